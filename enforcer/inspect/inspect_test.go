package inspect_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/inspect"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/match"
	"github.com/sluice-dev/sluice/enforcer/policy"
	"github.com/sluice-dev/sluice/enforcer/request"
)

func compile(t *testing.T) *policy.Snapshot {
	t.Helper()
	client := policy.Limit{
		Name: "client", When: []string{"request.path.startsWith('/api')"}, Key: []string{"request.headers['x-api-key']"},
		Algorithm: policy.TokenBucket, Rate: policy.Rate{Requests: 10, Per: "1m"}, Burst: 20, Cost: "size(request.path)",
		Overrides: []policy.Override{{Key: []string{"acme"}, Rate: &policy.Rate{Requests: 5, Per: "1h30m"}}, {Key: []string{"free*"}, Unlimited: true}},
	}
	user := policy.Limit{Name: "user", Key: []string{"descriptor['user']"}, Algorithm: policy.FixedWindow, Rate: policy.Rate{Requests: 7, Per: "Day"}, Mode: policy.Shadow}
	all := policy.Limit{Name: "all", Algorithm: policy.TokenBucket, Rate: policy.Rate{Requests: 1, Per: "1s"}}
	snapshot, err := policy.Compile(&policy.Document{Policies: []policy.Policy{
		{Namespace: "shop", Name: "web", Domain: "web", Limits: []policy.Limit{client, user}},
		{Namespace: "shop", Name: "whole", Domain: "whole", Limits: []policy.Limit{all}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return snapshot
}

func ask(t *testing.T, text string) *inspect.Request {
	t.Helper()
	r := &inspect.Request{}
	if err := json.Unmarshal([]byte(text), r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestExplain(t *testing.T) {
	for name, c := range map[string]struct{ request, want string }{
		"a limit that applies, and one that reads what is not there": {
			`{"domain": "web", "path": "/api", "headers": {"X-Api-Key": "alice"}}`, `[
			{"namespace": "shop", "policy": "web", "limit": "client", "applies": true, "when": [{"expression": "request.path.startsWith('/api')", "holds": true}],
			 "key": [{"expression": "request.headers['x-api-key']", "value": "alice"}], "rate": {"requests": 10, "per": "1m", "burst": 20}, "cost": 4, "costFrom": "size(request.path)"},
			{"namespace": "shop", "policy": "web", "limit": "user", "applies": false, "missing": ["descriptor['user']"], "cost": 0, "shadow": true}]`,
		},
		"an override with a rate, and a descriptor": {
			`{"domain": "web", "path": "/api", "headers": {"x-api-key": "acme"}, "descriptors": [{"entries": [{"key": "user", "value": "u"}], "cost": 3}]}`, `[
			{"namespace": "shop", "policy": "web", "limit": "client", "applies": true, "when": [{"expression": "request.path.startsWith('/api')", "holds": true}],
			 "key": [{"expression": "request.headers['x-api-key']", "value": "acme"}], "override": {"index": 0, "key": ["acme"]},
			 "rate": {"requests": 5, "per": "1h30m", "burst": 5}, "cost": 4, "costFrom": "size(request.path)"},
			{"namespace": "shop", "policy": "web", "limit": "user", "applies": true, "descriptor": 0, "key": [{"expression": "descriptor['user']", "value": "u"}],
			 "rate": {"requests": 7, "per": "Day", "burst": 7}, "cost": 3, "shadow": true}]`,
		},
		"an override that does not limit, of a request without descriptors": {
			`{"domain": "web", "path": "/api", "headers": {"x-api-key": "free1"}}`, `[
			{"namespace": "shop", "policy": "web", "limit": "client", "applies": true, "when": [{"expression": "request.path.startsWith('/api')", "holds": true}],
			 "key": [{"expression": "request.headers['x-api-key']", "value": "free1"}], "override": {"index": 1, "key": ["free*"], "unlimited": true}, "cost": 4, "costFrom": "size(request.path)"},
			{"namespace": "shop", "policy": "web", "limit": "user", "applies": false, "missing": ["descriptor['user']"], "cost": 0, "shadow": true}]`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := inspect.Explain(compile(t), ask(t, c.request))
			if err != nil {
				t.Fatal(err)
			}
			var want []inspect.Finding
			if err := json.Unmarshal([]byte(c.want), &want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&inspect.Explanation{Domain: "web", Limits: want}, got); diff != "" {
				t.Errorf("explanation (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTry(t *testing.T) {
	client := &request.Quota{Namespace: "shop", Policy: "web", Limit: "client", Requests: 10, Burst: 20, Per: limit.Second}
	free := &request.Quota{Namespace: "shop", Policy: "web", Limit: "free", Requests: limit.MaxAmount}
	shadow := &request.Quota{Namespace: "shop", Policy: "web", Limit: "shadow", Shadow: true}
	never := request.Verdict{Quota: shadow, Denied: true, ResetAfter: limit.Second, RetryAfter: limit.Forever}
	full := request.Verdict{Quota: client, Denied: true, Remaining: 0, ResetAfter: 2 * limit.Second, RetryAfter: 100 * limit.Millisecond}
	got, err := inspect.Try(func(req *request.Request, ans *request.Answer) []limit.NodeID {
		if req.Domain != "web" || req.Cost != 1 || req.HTTP.Path != "/" {
			t.Errorf("tried %+v", req)
		}
		*ans = request.Answer{Outcome: request.Denied, KnownDomain: true, Verdict: full, Applied: []request.Verdict{full, {Quota: free}, never}}
		return []limit.NodeID{"node-1", "", ""}
	}, ask(t, `{"domain": "web", "path": "/"}`))
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"outcome":"denied","decided":{"namespace":"shop","policy":"web","limit":"client"},"limits":[` +
		`{"namespace":"shop","policy":"web","limit":"client","denied":true,"keptBy":"node-1","remaining":0,"resetAfter":"2s","retryAfter":"100ms"},` +
		`{"namespace":"shop","policy":"web","limit":"free","unlimited":true},` +
		`{"namespace":"shop","policy":"web","limit":"shadow","denied":true,"shadow":true,"remaining":0,"resetAfter":"1s"}]}`
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
}

func TestFaultsOfTheCaller(t *testing.T) {
	try := func(r *inspect.Request) error {
		_, err := inspect.Try(func(*request.Request, *request.Answer) []limit.NodeID { return nil }, r)
		return err
	}
	explain := func(r *inspect.Request) error {
		_, err := inspect.Explain(compile(t), r)
		return err
	}
	for _, f := range []func(*inspect.Request) error{try, explain} {
		if err := f(ask(t, `{"domain": "other"}`)); !errors.Is(err, inspect.NotFound(`no policy in force has the domain "other"`)) {
			t.Errorf("another domain: %v", err)
		}
		if err := f(ask(t, `{"domain": "web", "descriptors": [{}]}`)); err == nil || !strings.Contains(err.Error(), "descriptors[0].entries is empty: send at least one") {
			t.Errorf("an empty descriptor: %v", err)
		}
	}
}

func TestWhichClientIsMeant(t *testing.T) {
	web := func(limit string, key ...string) *inspect.Client {
		return &inspect.Client{Name: inspect.Name{Namespace: "shop", Policy: "web", Limit: limit}, Key: key}
	}
	whole := func(key ...string) *inspect.Client {
		return &inspect.Client{Name: inspect.Name{Namespace: "shop", Policy: "whole", Limit: "all"}, Key: key}
	}
	elsewhere := web("client", "a")
	elsewhere.Namespace = "other"
	for _, c := range []struct {
		client *inspect.Client
		want   error
	}{
		{web("client", "a"), nil},
		{whole(), nil},
		{web("client"), errors.New("the key of limit shop/web/client is made of request.headers['x-api-key']: give a value for each, in order, and not 0")},
		{web("client", "a", "b"), errors.New("the key of limit shop/web/client is made of request.headers['x-api-key']: give a value for each, in order, and not 2")},
		{whole("a"), errors.New("limit shop/whole/all has no key, so all requests share one counter: leave key out")},
		{web("nothing"), inspect.NotFound(`policy shop/web has no limit "nothing": it has client, user`)},
		{elsewhere, inspect.NotFound("no policy other/web is in force")},
	} {
		if got := c.client.Check(compile(t)); fmt.Sprintf("%T %v", got, got) != fmt.Sprintf("%T %v", c.want, c.want) {
			t.Errorf("%v: %v, want %v", c.client, got, c.want)
		}
	}
}

func TestCounter(t *testing.T) {
	client := inspect.Client{Name: inspect.Name{Namespace: "shop", Policy: "web", Limit: "client"}, Key: []string{"a"}}
	for want, c := range map[string]struct {
		charge  match.Charge
		reading decide.Reading
	}{
		`"rate":{"requests":10,"per":"1s","burst":20},"remaining":3,"resetAfter":"1.7s"}`: {
			match.Charge{Quota: &request.Quota{Requests: 10, Per: limit.Second, Burst: 20}}, decide.Reading{Remaining: 3, ResetAfter: 1700 * limit.Millisecond},
		},
		`"remaining":0,"deny":true}`:      {match.Charge{Quota: &request.Quota{}, Deny: true}, decide.Reading{}},
		`"remaining":0,"unlimited":true}`: {match.Charge{Quota: &request.Quota{Requests: limit.MaxAmount}, Unlimited: true}, decide.Reading{}},
	} {
		got, err := json.Marshal(client.Counter(&c.charge, c.reading))
		if want = `{"namespace":"shop","policy":"web","limit":"client","key":["a"],` + want; err != nil || string(got) != want {
			t.Errorf("%s, %v, want %s", got, err, want)
		}
	}
}
