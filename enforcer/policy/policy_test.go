package policy_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/policy"
)

func valid() policy.Limit {
	return policy.Limit{Name: "l", Key: []string{"request.path"}, Algorithm: policy.TokenBucket, Rate: policy.Rate{Requests: 10, Per: "1s"}}
}

func document(limits ...policy.Limit) *policy.Document {
	return &policy.Document{Version: policy.Version, Pool: "default", Policies: []policy.Policy{
		{Namespace: "shop", Name: "web", Domain: "web", Generation: 1, Limits: limits},
	}}
}

func TestFaultsNameTheirField(t *testing.T) {
	with := func(change func(*policy.Limit)) []policy.Limit {
		l := valid()
		change(&l)
		return []policy.Limit{l}
	}
	override := func(o policy.Override) []policy.Limit {
		return with(func(l *policy.Limit) { l.Overrides = []policy.Override{{Key: []string{"fine"}, Deny: true}, o} })
	}
	for _, c := range []struct {
		name   string
		limits []policy.Limit
		want   []string
	}{
		{"no limits", nil, []string{"shop/web: spec.limits: 0 limits: use 1 to 64"}},
		{"no name", with(func(l *policy.Limit) { l.Name = "" }), []string{"shop/web: spec.limits[0].name: a limit needs a name"}},
		{"one name twice", []policy.Limit{valid(), valid()}, []string{`shop/web: spec.limits[1].name: "l" is the name of another limit of this policy: use another one`}},
		{"a mode", with(func(l *policy.Limit) { l.Mode = "Trial" }), []string{`shop/web: spec.limits[0].mode: "Trial": use Enforce or Shadow`}},
		{"an algorithm", with(func(l *policy.Limit) { l.Algorithm = "Leaky" }), []string{`shop/web: spec.limits[0].algorithm: "Leaky": use TokenBucket, SlidingWindow or FixedWindow`}},
		{"a length of time", with(func(l *policy.Limit) { l.Rate.Per = "1d" }), []string{`shop/web: spec.limits[0].rate.per: "1d": use a duration of hours, minutes, seconds and milliseconds such as 1s, 250ms or 1h30m, or Day, Week, Month or Year`}},
		{"a calendar bucket", with(func(l *policy.Limit) { l.Rate.Per = "Day" }), []string{"shop/web: spec.limits[0].rate: a rate per Day needs algorithm FixedWindow: use it, or a duration such as 24h"}},
		{"a burst of a window", with(func(l *policy.Limit) { l.Algorithm, l.Burst = policy.SlidingWindow, 3 }), []string{"shop/web: spec.limits[0].rate: burst belongs to algorithm TokenBucket: remove it, or use TokenBucket"}},
		{"a condition", with(func(l *policy.Limit) { l.When = []string{"true", "request.path =="} }), []string{"shop/web: spec.limits[0].when[1]: 1:16: Syntax error"}},
		{"a key", with(func(l *policy.Limit) { l.Key = []string{"1"} }), []string{"shop/web: spec.limits[0].key[0]: 1:1: this is of type int: write an expression of type string"}},
		{"a cost", with(func(l *policy.Limit) { l.Cost = "'1'" }), []string{"shop/web: spec.limits[0].cost: 1:1: this is of type string: write an expression of type int"}},
		{"an override of nothing", override(policy.Override{Key: []string{"a"}}), []string{"shop/web: spec.limits[0].overrides[1]: an override needs exactly one of rate, unlimited: true and deny: true"}},
		{"an override of two things", override(policy.Override{Key: []string{"a"}, Deny: true, Unlimited: true}), []string{"shop/web: spec.limits[0].overrides[1]: an override needs exactly one of"}},
		{"an override of another key", override(policy.Override{Key: []string{"a", "b"}, Deny: true}), []string{"shop/web: spec.limits[0].overrides[1].key: 2 patterns for a key of 1 parts: use one for each, '*' for a part that does not matter"}},
		{"an override's rate", override(policy.Override{Key: []string{"a"}, Rate: &policy.Rate{Requests: -1, Per: "1s"}}), []string{"shop/web: spec.limits[0].overrides[1].rate: requests is -1: use 1 to 1000000000"}},
		{"several faults", with(func(l *policy.Limit) { l.Mode, l.Cost, l.Rate.Requests = "x", "''", 0 }), []string{".mode: ", ".cost: ", ".rate: requests is 0: use 1 to 1000000000"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := policy.Compile(document(c.limits...))
			faults := policy.Errors(err)
			if len(faults) != len(c.want) {
				t.Fatalf("%d faults, want %d: %v", len(faults), len(c.want), err)
			}
			for i, fault := range faults {
				if !strings.Contains(fault.Error(), c.want[i]) {
					t.Errorf("fault %d is %q, want %q in it", i, fault, c.want[i])
				}
			}
			if one := policy.CompilePolicy(&document(c.limits...).Policies[0]); one == nil || one.Error() != err.Error() {
				t.Errorf("CompilePolicy says %v, Compile %v", one, err)
			}
		})
	}
	d := document(valid())
	d.Policies = append(d.Policies, d.Policies[0])
	if _, err := policy.Compile(d); err == nil || err.Error() != "shop/web: metadata.name: the document has two policies of this name" {
		t.Errorf("two policies of one name: %v", err)
	}
}

func TestASnapshotHasAMeterForEachRate(t *testing.T) {
	l := valid()
	l.Overrides = []policy.Override{
		{Key: []string{"a"}, Rate: &policy.Rate{Requests: 20, Per: "1m"}, Burst: 5},
		{Key: []string{"b"}, Unlimited: true},
		{Key: []string{"c"}, Rate: &policy.Rate{Requests: 30, Per: "1h"}},
	}
	s, err := policy.Compile(document(l))
	if err != nil {
		t.Fatal(err)
	}
	type meter struct {
		Variant  uint16
		Requests limit.Amount
		Burst    limit.Amount
		Per      limit.Span
	}
	var got []meter
	for _, m := range s.Meters {
		if m.Limit != s.Meters[0].Limit {
			t.Errorf("variant %d has another identity than its limit", m.Variant)
		}
		got = append(got, meter{m.Variant, m.Params.Requests(), m.Params.Burst(), m.Params.Per()})
	}
	want := []meter{{0, 10, 10, limit.Second}, {1, 20, 5, limit.Minute}, {3, 30, 30, limit.Hour}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("meters (-want +got):\n%s", diff)
	}
	if s.Domain("web") == nil || s.Domain("other") != nil {
		t.Error("the snapshot has other domains than its document")
	}
}

func TestALimitKeepsItsIdentity(t *testing.T) {
	id := func(namespace, name, l string) uint64 {
		return policy.LimitID(&policy.Policy{Namespace: namespace, Name: name, Domain: "x"}, &policy.Limit{Name: l})
	}
	if id("a", "b", "c") != id("a", "b", "c") {
		t.Error("one limit has two identities")
	}
	for _, other := range [][3]string{{"a", "b", "d"}, {"a", "c", "b"}, {"ab", "", "c"}, {"", "ab", "c"}, {"a", "bc", ""}} {
		if id("a", "b", "c") == id(other[0], other[1], other[2]) {
			t.Errorf("%q has the identity of a/b/c", other)
		}
	}
}

func TestParsePer(t *testing.T) {
	for per, want := range map[string]limit.Span{
		"1ms": limit.Millisecond, "1s": limit.Second, "0.5s": 0, "1h30m": 90 * limit.Minute, "8784h": decide.MaxPer, "8785h": 0,
		"0s": 0, "": 0, "1": 0, "s": 0, "-1s": 0, "1m1m1m1m": 4 * limit.Minute, "1m1m1m1m1m": 0, "99999ms": 99999 * limit.Millisecond, "100000ms": 0, "1us": 0, "1d": 0, "day": 0,
	} {
		if got, calendar, err := policy.ParsePer(per); got != want || calendar != 0 || (err == nil) != (want > 0) {
			t.Errorf("ParsePer(%q) = %v, %v, %v, want %v", per, got.Duration(), calendar, err, want.Duration())
		}
	}
	for per, want := range map[string]decide.Calendar{"Day": decide.Day, "Week": decide.Week, "Month": decide.Month, "Year": decide.Year} {
		if span, got, err := policy.ParsePer(per); got != want || span != 0 || err != nil {
			t.Errorf("ParsePer(%q) = %v, %v, %v", per, span, got, err)
		}
	}
}
