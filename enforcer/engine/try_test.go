package engine_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/enforcer/engine"
	"github.com/sluice-dev/sluice/enforcer/gossip"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/match"
	"github.com/sluice-dev/sluice/enforcer/policy"
	"github.com/sluice-dev/sluice/enforcer/request"
)

// try asks what would be decided.
func try(e *engine.Engine, now limit.Instant, req *request.Request) *request.Answer {
	var ans request.Answer
	e.Try(now, req, &ans)
	return &ans
}

var ignoreWork = cmpopts.IgnoreFields(request.Answer{}, "Work")

// What Try says is what Decide does, and trying changes nothing. The limits that
// Explain finds to apply are those that have a say.
func TestTryAndExplainAgreeWithDecide(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := []policy.Limit{
			perClient("client", 10, "1s", 5), total("all", 20, "1s"), total("shadow", 3, "1m"),
			{
				Name: "path", Key: []string{"request.path"}, Algorithm: policy.FixedWindow, Rate: policy.Rate{Requests: 6, Per: "1m"}, Cost: "size(request.path)",
				Overrides: []policy.Override{{Key: []string{"/b*"}, Deny: true}, {Key: []string{"/free"}, Unlimited: true}},
			},
			{Name: "user", Key: []string{"descriptor['user']"}, Algorithm: policy.SlidingWindow, Rate: policy.Rate{Requests: 4, Per: "10s"}},
		}
		limits[2].Mode = policy.Shadow
		for i := range limits[:4] { // two descriptors may ask for one counter of the last
			limits[i].Sharing = rapid.SampledFrom([]string{"", policy.Exact.String()}).Draw(t, "sharing")
		}
		limits = limits[:rapid.IntRange(1, len(limits)).Draw(t, "limits")]
		e, err := engine.New(engine.Options{Node: "node", Seed: match.Seed{1}, Born: start})
		if err != nil {
			t.Fatal(err)
		}
		snapshot, err := policy.Compile(&policy.Document{Policies: []policy.Policy{{Namespace: "shop", Name: "web", Domain: "web", Limits: limits}}})
		if err != nil {
			t.Fatal(err)
		}
		e.SetView(start, gossip.View{}) // alone, and so the owner of what is shared exactly
		e.SetPolicy(start, snapshot)
		now := start
		for range rapid.IntRange(1, 40).Draw(t, "requests") {
			now = now.Add(limit.Span(rapid.Int64Range(0, int64(limit.Second)).Draw(t, "gap")))
			req := client(rapid.SampledFrom([]string{"a", "b"}).Draw(t, "client"))
			req.HTTP.Path = rapid.SampledFrom([]string{"/", "/a", "/ban", "/free"}).Draw(t, "path")
			req.Cost = limit.Amount(rapid.Int64Range(-1, 3).Draw(t, "cost"))
			for range rapid.IntRange(0, 2).Draw(t, "descriptors") {
				req.Descriptors = append(req.Descriptors, request.Descriptor{Entries: []request.Entry{{Key: "user", Value: rapid.SampledFrom([]string{"u", "v"}).Draw(t, "user")}}})
			}
			before := e.Report().Usage
			tried, again := try(e, now, req), try(e, now, req)
			if diff := cmp.Diff(tried, again, ignoreWork); diff != "" {
				t.Fatalf("trying changed what is tried (-first +second):\n%s", diff)
			}
			if diff := cmp.Diff(before, e.Report().Usage); diff != "" {
				t.Fatalf("trying was counted:\n%s", diff)
			}
			decided := ask(e, now, req)
			if diff := cmp.Diff(decided, tried, ignoreWork); diff != "" {
				t.Fatalf("%+v (-decided +tried):\n%s", req, diff)
			}
			var applied, explained []*request.Quota
			for i := range decided.Applied {
				applied = append(applied, decided.Applied[i].Quota)
			}
			for _, f := range match.Explain(snapshot.Domain("web"), req) {
				if f.Charge == nil {
					continue
				}
				explained = append(explained, f.Charge.Quota)
				if f.Charge.Deny && !f.Charge.Quota.Shadow && decided.Outcome != request.Denied {
					t.Fatalf("%s denies this client, and it was %s", f.Charge.Quota.Limit, decided.Outcome)
				}
			}
			if diff := cmp.Diff(applied, explained); diff != "" {
				t.Fatalf("limits that apply (-decided +explained):\n%s", diff)
			}
		}
	})
}

// Near the limit a node thins what comes in; Try says of the very next request what
// becomes of it.
func TestTryInAPool(t *testing.T) {
	for _, first := range []string{policy.Full, policy.Share} {
		l := perClient("client", 100, "1s", 100)
		l.FirstBurst = first
		p := newPool(t, 7, 3, lan, compile(t, l))
		for i := range 3000 {
			p.Run(limit.Millisecond)
			e := p.nodes[i%3]
			if got, want := try(e, p.Now(), client("a")), ask(e, p.Now(), client("a")); got.Outcome != want.Outcome {
				t.Fatalf("firstBurst %s, request %d was tried as %s, and %s", first, i, got.Outcome, want.Outcome)
			}
		}
	}
}

func TestTryWithoutPolicies(t *testing.T) {
	e := newEngine(t, nil)
	if got := try(e, start, client("a")); got.KnownDomain || got.Outcome != request.NotLimited {
		t.Errorf("before the first policy: %+v", got)
	}
	e.SetPolicy(start, compile(t, total("all", 1, "1s")))
	req := client("a")
	req.Domain = "other"
	if got := try(e, start, req); got.KnownDomain || got.Outcome != request.NotLimited {
		t.Errorf("a domain of no policy: %+v", got)
	}
}
