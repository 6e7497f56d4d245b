package engine_test

import (
	"testing"

	"github.com/sluice-dev/sluice/enforcer/engine"
	"github.com/sluice-dev/sluice/enforcer/gossip"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/match"
	"github.com/sluice-dev/sluice/enforcer/policy"
	"github.com/sluice-dev/sluice/enforcer/request"
)

const start = limit.Instant(1_700_000_000_000_000_000)

// compile makes a snapshot of one policy, shop/web, in the domain "web".
func compile(t testing.TB, limits ...policy.Limit) *policy.Snapshot {
	t.Helper()
	return compileAll(t, policy.Policy{Namespace: "shop", Name: "web", Domain: "web", Generation: 1, Limits: limits})
}

func compileAll(t testing.TB, policies ...policy.Policy) *policy.Snapshot {
	t.Helper()
	snapshot, err := policy.Compile(&policy.Document{Version: policy.Version, Pool: "default", Policies: policies})
	if err != nil {
		t.Fatal(err)
	}
	return snapshot
}

// perClient is a token bucket for each x-api-key.
func perClient(name string, requests int64, per string, burst int64) policy.Limit {
	return policy.Limit{
		Name: name, Key: []string{"request.headers['x-api-key']"}, Algorithm: policy.TokenBucket,
		Rate: policy.Rate{Requests: requests, Per: per}, Burst: burst,
	}
}

// total is a token bucket for all requests.
func total(name string, requests int64, per string) policy.Limit {
	return policy.Limit{Name: name, Algorithm: policy.TokenBucket, Rate: policy.Rate{Requests: requests, Per: per}}
}

// newEngine returns an engine without peers that has the snapshot in force.
func newEngine(t testing.TB, snapshot *policy.Snapshot) *engine.Engine {
	t.Helper()
	e, err := engine.New(engine.Options{Node: "node", MaxKeys: 100_000, Seed: match.Seed{15: 1}, Born: start})
	if err != nil {
		t.Fatal(err)
	}
	e.SetView(start, gossip.View{})
	if snapshot != nil {
		e.SetPolicy(start, snapshot)
	}
	return e
}

// client is a GET / of a client, with a cost of 1.
func client(key string) *request.Request {
	return &request.Request{
		Domain: "web", Cost: 1,
		HTTP: &request.HTTP{Method: "GET", Path: "/", Host: "example.com", Headers: request.Values{"x-api-key": key}},
	}
}

// ask decides one request.
func ask(e *engine.Engine, now limit.Instant, req *request.Request) *request.Answer {
	var ans request.Answer
	e.Decide(now, req, &ans)
	return &ans
}

// admitted asks n times and returns how often the answer was yes.
func admitted(e *engine.Engine, now limit.Instant, req *request.Request, n int) int {
	yes := 0
	for range n {
		if ask(e, now, req).Outcome != request.Denied {
			yes++
		}
	}
	return yes
}
