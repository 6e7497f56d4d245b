package engine_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/enforcer/engine"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/policy"
	"github.com/sluice-dev/sluice/enforcer/request"
)

func TestWithoutPoliciesNothingIsLimited(t *testing.T) {
	e := newEngine(t, nil)
	if got := ask(e, start, client("a")); got.Outcome != request.NotLimited || got.KnownDomain {
		t.Errorf("before the first policy: %+v", got)
	}
	e.SetPolicy(start, compile(t, total("all", 1, "1s")))
	req := client("a")
	req.Domain = "other"
	if got := ask(e, start, req); got.Outcome != request.NotLimited || got.KnownDomain {
		t.Errorf("a domain of no policy: %+v", got)
	}
	req.Domain, req.HTTP = "web", nil
	req.Descriptors = make([]request.Descriptor, 2)
	if got := ask(e, start, req); !got.KnownDomain || len(got.Descriptors) != 2 {
		t.Errorf("a known domain: %+v", got)
	}
}

func TestAnAnswerTellsTheDecidingLimit(t *testing.T) {
	// quota is what the verdicts point to; only the limit's name is compared.
	type verdict struct {
		Limit      string
		Denied     bool
		Remaining  limit.Amount
		ResetAfter limit.Span
		RetryAfter limit.Span
	}
	shadow := total("watched", 1, "1h")
	shadow.Mode = policy.Shadow
	override := perClient("client", 10, "1s", 10)
	override.Overrides = []policy.Override{
		{Key: []string{"big"}, Rate: &policy.Rate{Requests: 100, Per: "1s"}},
		{Key: []string{"friend-*"}, Unlimited: true},
		{Key: []string{"banned"}, Deny: true},
	}
	for _, c := range []struct {
		name    string
		limits  []policy.Limit
		key     string
		before  int // requests of the same client before
		cost    limit.Amount
		outcome request.Outcome
		verdict verdict
		applied []string
	}{
		{
			name: "of limits with room the one with the smallest part left", cost: 2,
			limits:  []policy.Limit{total("wide", 100, "1s"), perClient("narrow", 4, "1s", 4), total("middle", 10, "1s")},
			outcome: request.Admitted, applied: []string{"wide", "narrow", "middle"},
			verdict: verdict{"narrow", false, 2, 500 * limit.Millisecond, 0},
		},
		{
			name: "of limits that deny the one with the longest wait", cost: 1, before: 1,
			limits:  []policy.Limit{total("second", 1, "1s"), total("hour", 1, "1h"), total("minute", 1, "1m")},
			outcome: request.Denied, applied: []string{"second (denied)", "hour (denied)", "minute (denied)"},
			verdict: verdict{"hour", true, 0, limit.Hour, limit.Hour},
		},
		{
			name: "a limit that denies before a tighter one that does not", cost: 5,
			limits:  []policy.Limit{total("small", 4, "1s"), perClient("tight", 5, "1s", 5)},
			outcome: request.Denied, applied: []string{"small (denied)", "tight"},
			verdict: verdict{"small", true, 4, 0, limit.Forever},
		},
		{
			name: "of equals the first", cost: 1,
			limits:  []policy.Limit{total("one", 10, "1s"), total("two", 10, "1s")},
			outcome: request.Admitted, applied: []string{"one", "two"},
			verdict: verdict{"one", false, 9, 100 * limit.Millisecond, 0},
		},
		{
			name: "never a shadow limit", cost: 1, before: 3,
			limits:  []policy.Limit{shadow, total("all", 10, "1s")},
			outcome: request.Admitted, applied: []string{"watched (denied)", "all"},
			verdict: verdict{"all", false, 6, 400 * limit.Millisecond, 0},
		},
		{
			name: "nothing but shadow limits is not limited", cost: 1, before: 3,
			limits:  []policy.Limit{shadow},
			outcome: request.NotLimited, applied: []string{"watched (denied)"},
		},
		{
			name: "an override with a rate of its own", cost: 1, key: "big",
			limits:  []policy.Limit{override},
			outcome: request.Admitted, applied: []string{"client"},
			verdict: verdict{"client", false, 99, 10 * limit.Millisecond, 0},
		},
		{
			name: "an unlimited client", cost: 1000, before: 100, key: "friend-1",
			limits:  []policy.Limit{override},
			outcome: request.Admitted, applied: []string{"client"},
			verdict: verdict{"client", false, limit.MaxAmount, 0, 0},
		},
		{
			name: "an unlimited client is held by another limit", cost: 1, before: 1, key: "friend-1",
			limits:  []policy.Limit{override, total("all", 10, "1s")},
			outcome: request.Admitted, applied: []string{"client", "all"},
			verdict: verdict{"all", false, 8, 200 * limit.Millisecond, 0},
		},
		{
			name: "a banned client", cost: 1, key: "banned",
			limits:  []policy.Limit{total("all", 10, "1s"), override},
			outcome: request.Denied, applied: []string{"all", "client (denied)"},
			verdict: verdict{"client", true, 0, 0, limit.Forever},
		},
		{
			name: "a cost of nothing only looks", cost: 0, before: 3,
			limits:  []policy.Limit{total("all", 10, "1s")},
			outcome: request.Admitted, applied: []string{"all"},
			verdict: verdict{"all", false, 7, 300 * limit.Millisecond, 0},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEngine(t, compile(t, c.limits...))
			req := client(c.key)
			admitted(e, start, req, c.before)
			req.Cost = c.cost
			got := ask(e, start, req)
			if got.Outcome != c.outcome {
				t.Errorf("Outcome = %v, want %v", got.Outcome, c.outcome)
			}
			var gotVerdict verdict
			if v := got.Verdict; v.Quota != nil {
				gotVerdict = verdict{v.Quota.Limit, v.Denied, v.Remaining, v.ResetAfter, v.RetryAfter}
			}
			if diff := cmp.Diff(c.verdict, gotVerdict); diff != "" {
				t.Errorf("Verdict (-want +got):\n%s", diff)
			}
			var applied []string
			for _, v := range got.Applied {
				name := v.Quota.Limit
				if v.Denied {
					name += " (denied)"
				}
				applied = append(applied, name)
			}
			if diff := cmp.Diff(c.applied, applied); diff != "" {
				t.Errorf("Applied (-want +got):\n%s", diff)
			}
		})
	}
}

func TestADeniedRequestChargesNothing(t *testing.T) {
	banning := perClient("client", 10, "1s", 10)
	banning.Overrides = []policy.Override{{Key: []string{"banned"}, Deny: true}}
	shadow := total("watched", 100, "1s")
	shadow.Mode = policy.Shadow
	for _, c := range []struct {
		name   string
		limits []policy.Limit
		key    string
	}{
		{"by a limit that comes first", []policy.Limit{total("none", 1, "1h"), total("all", 100, "1s"), shadow}, "a"},
		{"by a limit that comes last", []policy.Limit{shadow, total("all", 100, "1s"), total("none", 1, "1h")}, "a"},
		{"by a ban", []policy.Limit{shadow, total("all", 100, "1s"), banning}, "banned"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEngine(t, compile(t, c.limits...))
			if c.key == "a" {
				admitted(e, start, client("a"), 1) // takes the one token of "none"
			}
			before := 100 - remaining(t, e, "all")
			if n := admitted(e, start, client(c.key), 20); n != 0 {
				t.Fatalf("%d of 20 requests were admitted, want none", n)
			}
			if got := remaining(t, e, "all"); got != 100-before {
				t.Errorf("the limit that would have admitted has %d tokens left, want %d", got, 100-before)
			}
			if got, want := remaining(t, e, "watched"), 80-before; got != want {
				t.Errorf("the shadow limit has %d tokens left, want %d: it is charged on its own", got, want)
			}
		})
	}
}

// remaining looks at what a limit has left for a client that nobody banned.
func remaining(t *testing.T, e *engine.Engine, name string) limit.Amount {
	t.Helper()
	req := client("a")
	req.Cost = 0
	for _, v := range ask(e, start, req).Applied {
		if v.Quota.Limit == name {
			return v.Remaining
		}
	}
	t.Fatalf("limit %s did not apply", name)
	return 0
}

func TestEachDescriptorHasItsVerdict(t *testing.T) {
	byEntry := func(name, entry string, requests int64) policy.Limit {
		l := total(name, requests, "1s")
		l.Key = []string{"descriptor['" + entry + "']"}
		return l
	}
	e := newEngine(t, compile(t, byEntry("user", "user", 3), byEntry("path", "path", 1), total("all", 100, "1s")))
	descriptor := func(key, value string) request.Descriptor {
		return request.Descriptor{Entries: []request.Entry{{Key: key, Value: value}}}
	}
	req := &request.Request{Domain: "web", Cost: 1, Descriptors: []request.Descriptor{
		descriptor("user", "u"), descriptor("path", "p"), descriptor("other", "o"),
	}}
	say := func(ans *request.Answer) []string {
		out := []string{ans.Outcome.String()}
		for _, v := range ans.Descriptors {
			text := "none"
			if v.Quota != nil {
				text = v.Quota.Limit
			}
			if v.Denied {
				text += " (denied)"
			}
			out = append(out, text)
		}
		return out
	}
	if diff := cmp.Diff([]string{"admitted", "user", "path", "all"}, say(ask(e, start, req))); diff != "" {
		t.Errorf("first request (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"denied", "user", "path (denied)", "all"}, say(ask(e, start, req))); diff != "" {
		t.Errorf("second request (-want +got):\n%s", diff)
	}
	req.Descriptors = req.Descriptors[:1]
	if diff := cmp.Diff([]string{"admitted", "user"}, say(ask(e, start, req))); diff != "" {
		t.Errorf("third request, which the second has cost nothing (-want +got):\n%s", diff)
	}
}

func TestUsageIsCountedByLimit(t *testing.T) {
	l := perClient("client", 10, "1s", 10)
	l.Overrides = []policy.Override{{Key: []string{"friend"}, Unlimited: true}, {Key: []string{"banned"}, Deny: true}}
	snapshot := compile(t, l)
	e := newEngine(t, snapshot)
	admitted(e, start, client("a"), 15)
	admitted(e, start, client("friend"), 7)
	admitted(e, start, client("banned"), 3)
	got := e.Report().Usage[snapshot.Meters[0].Limit]
	if got.Active != 1 || got.Admitted != 17 || got.Limited != 8 {
		t.Errorf("Usage = %+v, want 1 active key, 10+7 admitted, 5+3 limited", got)
	}
}

func TestAFailedExpressionIsCountedAndDoesNotLetTheRequestEscape(t *testing.T) {
	l := total("all", 1, "1h")
	l.When = []string{"int(request.headers['x-size']) > 10"}
	e := newEngine(t, compile(t, l))
	if n := admitted(e, start, client("a"), 3); n != 1 {
		t.Errorf("%d requests were admitted, want 1", n)
	}
	if got := e.Report().Failed; got != 3 {
		t.Errorf("Failed = %d, want 3", got)
	}
}
