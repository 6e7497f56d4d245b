package enforcer_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/enforcer"
	"github.com/sluice-dev/sluice/enforcer/inspect"
)

// ask asks the admin port a question, and decodes the answer into out.
func (r *running) ask(method, path, question string, out any) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, "http://"+r.Admin+path, strings.NewReader(question))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil || resp.StatusCode != http.StatusOK {
		r.t.Fatalf("%s %s %s: %s, %v", method, path, question, resp.Status, err)
	}
}

func TestWhatPeopleAsk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "web.yaml")
	writePolicy(t, path, perHour(5))
	e := start(t, enforcer.Options{Policies: path, Node: "n"})
	const alice = `{"domain": "web", "headers": {"X-Api-Key": "alice"}}`

	var explained inspect.Explanation
	e.ask(http.MethodPost, "/v1/explain", alice, &explained)
	var got []string
	for _, f := range explained.Limits {
		got = append(got, fmt.Sprintf("%s %v %v", f.Limit, f.Key, f.Missing))
	}
	want := []string{"per-client [{request.headers['x-api-key'] alice }] []", "per-tenant [] [descriptor['tenant']]"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("limits (-want +got):\n%s", diff)
	}

	tried := func() string {
		var a inspect.Answer
		e.ask(http.MethodPost, "/v1/try", alice, &a)
		return fmt.Sprintf("%s: %s by %s, %d left", a.Node, a.Outcome, a.Decided, *a.Limits[0].Remaining)
	}
	for range 10 {
		if got := tried(); got != "n: admitted by shop/web/per-client, 4 left" {
			t.Fatalf("a try of the first request: %s", got)
		}
	}
	e.check("web", "alice", 5)
	if got := tried(); got != "n: denied by shop/web/per-client, 0 left" {
		t.Errorf("a try of the sixth request: %s", got)
	}
}

// A reset is an order to each enforcer of a pool; then all of them agree.
func TestAPoolResetsAClient(t *testing.T) {
	path := filepath.Join(t.TempDir(), "web.yaml")
	writePolicy(t, path, perHour(6))
	pool := startPool(t, 3, enforcer.Options{Policies: path})
	for i := range 6 {
		pool[i%3].check("web", "alice", 1)
	}
	const alice = `{"namespace": "shop", "policy": "web", "limit": "per-client", "key": ["alice"]}`
	var counter inspect.Counter
	left := func(e *running, want int64) {
		t.Helper()
		e.eventually("what the counter has left", func() error {
			if e.ask(http.MethodPost, "/v1/keys", alice, &counter); counter.Remaining != want {
				return fmt.Errorf("%d, want %d", counter.Remaining, want)
			}
			return nil
		})
	}
	for _, e := range pool {
		left(e, 0)
	}
	for i, e := range pool {
		e.ask(http.MethodPut, "/v1/keys", alice, &counter)
		if want := fmt.Sprint("node-", i); counter.Node != want {
			t.Errorf("%s says that it reset the counter, want %s", counter.Node, want)
		}
	}
	for _, e := range pool {
		left(e, 6)
	}
	admitted := 0
	for range 10 {
		if code, _ := pool[2].check("web", "alice", 1); code == http.StatusOK {
			admitted++
		}
	}
	if admitted < 5 || admitted > 6 { // a part of a token may be missing
		t.Errorf("%d admitted of a full counter, want 6", admitted)
	}
}

// Of a limit that is shared exactly one enforcer keeps the count. Whoever is told to reset
// it, and whoever is asked, it is that one's that counts.
func TestAResetReachesWhoKeepsTheCount(t *testing.T) {
	path := filepath.Join(t.TempDir(), "web.yaml")
	writePolicy(t, path, strings.Replace(perHour(6), "per: 1h}", "per: 1h}, sharing: Exact", 1))
	pool := startPool(t, 3, enforcer.Options{Policies: path})
	const alice = `{"namespace": "shop", "policy": "web", "limit": "per-client", "key": ["alice"]}`
	look := func(e *running) (c inspect.Counter) {
		e.ask(http.MethodPost, "/v1/keys", alice, &c)
		return c
	}
	var keeps, other *running
	pool[0].eventually("all agree who keeps the count", func() error {
		by := map[string]bool{}
		keeps, other = nil, nil
		for _, e := range pool {
			c := look(e)
			if by[c.KeptBy] = true; c.KeptBy == c.Node {
				keeps = e
			} else {
				other = e
			}
		}
		if len(by) > 1 || keeps == nil || other == nil {
			return fmt.Errorf("they say %v", by)
		}
		return nil
	})
	left := func(want int64) {
		t.Helper()
		keeps.eventually("what the counter has left", func() error {
			if got := look(keeps).Remaining; got != want {
				return fmt.Errorf("%d, want %d", got, want)
			}
			return nil
		})
	}
	for range 6 { // until it has heard of all others it denies
		keeps.eventually("what is within the limit is admitted", func() error {
			if code, _ := keeps.check("web", "alice", 1); code != http.StatusOK {
				return fmt.Errorf("%d", code)
			}
			return nil
		})
	}
	left(0)
	var tried inspect.Answer
	keeps.ask(http.MethodPost, "/v1/try", `{"domain": "web", "headers": {"X-Api-Key": "alice"}}`, &tried)
	if v := tried.Limits[0]; v.KeptBy != tried.Node || !v.Denied {
		t.Errorf("a try of the seventh request: %+v", v)
	}
	var counter inspect.Counter
	other.ask(http.MethodPut, "/v1/keys", alice, &counter)
	left(6)
}
