package policy_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/policy"
)

// document is one policy, shop/web, in the domain "web".
func document(limits ...policy.Limit) *policy.Document {
	p := plain()
	p.Limits = limits
	return &policy.Document{Version: policy.Version, Pool: "default", Policies: []policy.Policy{p}}
}

func TestASnapshotHasAMeterForEachRate(t *testing.T) {
	l := plain().Limits[0]
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

func TestEachMeterSaysHowItIsShared(t *testing.T) {
	type sharing struct {
		Sharing       policy.Sharing
		OnUnreachable policy.OnUnreachable
	}
	for written, want := range map[[2]string]sharing{
		{}: {}, {"Gossip"}: {}, {"Local"}: {Sharing: policy.Local}, {"Exact"}: {Sharing: policy.Exact}, {"Exact", "LocalShare"}: {Sharing: policy.Exact},
		{"Exact", "Deny"}: {policy.Exact, policy.Deny}, {"Exact", "Admit"}: {policy.Exact, policy.Admit},
	} {
		l := plain().Limits[0]
		l.Sharing, l.OnUnreachable = written[0], written[1]
		l.Overrides = []policy.Override{{Key: []string{"a"}, Rate: &policy.Rate{Requests: 20, Per: "1m"}}}
		s, err := policy.Compile(document(l))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range s.Meters {
			if got := (sharing{m.Sharing, m.OnUnreachable}); got != want {
				t.Errorf("%q, variant %d: %v, want %v", written, m.Variant, got, want)
			}
		}
	}
}

func TestALimitKeepsItsIdentity(t *testing.T) {
	id := func(namespace, name, l string, generation int64) uint64 {
		return policy.LimitID(&policy.Policy{Namespace: namespace, Name: name, Generation: generation}, &policy.Limit{Name: l, Rate: policy.Rate{Requests: generation}})
	}
	if id("a", "b", "c", 1) != id("a", "b", "c", 2) {
		t.Error("another version of a limit has another identity")
	}
	for _, other := range [][3]string{{"a", "b", "d"}, {"a", "c", "b"}, {"ab", "", "c"}, {"", "ab", "c"}, {"a", "bc", ""}} {
		if id("a", "b", "c", 1) == id(other[0], other[1], other[2], 1) {
			t.Errorf("%q has the identity of a/b/c", other)
		}
	}
}
