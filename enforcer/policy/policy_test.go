package policy_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

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
