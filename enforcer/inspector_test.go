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
