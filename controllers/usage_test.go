package controllers

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/enforcer/report"
)

// stateAt returns the state of an enforcer some seconds after day, with one
// policy "u1" whose limit "l" has these counters.
func stateAt(started, now int, keys, admitted, limited int64) *report.State {
	return &report.State{
		Started: day.Add(time.Duration(started) * time.Second),
		Now:     day.Add(time.Duration(now) * time.Second),
		Policies: []report.Policy{{
			Namespace: "shop", Name: "storefront", UID: "u1", Generation: 1,
			Limits: []report.Usage{{Name: "l", ActiveKeys: keys, Admitted: admitted, Limited: limited}},
		}},
	}
}

// overAt adds thousandths of tokens that were admitted and were not there.
func overAt(s *report.State, thousandths int64) *report.State {
	s.Policies[0].Limits[0].OverAdmitted = thousandths
	return s
}

func TestRates(t *testing.T) {
	tests := map[string]struct {
		before, after map[string]*report.State
		want          policyUsage
	}{
		"rates are differences over the enforcer's own time": {
			before: map[string]*report.State{"a": stateAt(-100, 0, 1, 1000, 50)},
			after:  map[string]*report.State{"a": stateAt(-100, 5, 2, 1050, 50)},
			want:   policyUsage{{"l", 2, 10, 0, 0}},
		},
		"enforcers add up, the clients they share do not": {
			before: map[string]*report.State{"a": stateAt(-100, 0, 7, 0, 0), "b": stateAt(-100, 0, 7, 0, 0)},
			after:  map[string]*report.State{"a": stateAt(-100, 5, 7, 50, 5), "b": stateAt(-100, 5, 6, 100, 10)},
			want:   policyUsage{{"l", 7, 30, 3, 0}},
		},
		"what was not there counts over all enforcers": {
			before: map[string]*report.State{"a": overAt(stateAt(-100, 0, 1, 0, 0), 0), "b": overAt(stateAt(-100, 0, 1, 0, 0), 500)},
			after:  map[string]*report.State{"a": overAt(stateAt(-100, 5, 1, 500, 0), 2500), "b": overAt(stateAt(-100, 5, 1, 500, 0), 1000)},
			want:   policyUsage{{"l", 1, 200, 0, 3}},
		},
		"an enforcer that restarted counts from its start": {
			before: map[string]*report.State{"a": stateAt(-100, 0, 1, 1000, 0)},
			after:  map[string]*report.State{"a": stateAt(2, 5, 1, 30, 0)},
			want:   policyUsage{{"l", 1, 10, 0, 0}},
		},
		"a new enforcer counts from its start": {
			after: map[string]*report.State{"a": stateAt(0, 5, 1, 50, 0)},
			want:  policyUsage{{"l", 1, 10, 0, 0}},
		},
		"a counter that went back began anew": {
			before: map[string]*report.State{"a": stateAt(-100, 0, 1, 1000, 1000)},
			after:  map[string]*report.State{"a": stateAt(-100, 5, 1, 50, 0)},
			want:   policyUsage{{"l", 1, 10, 0, 0}},
		},
		"an enforcer that left does not count": {
			before: map[string]*report.State{"a": stateAt(-100, 0, 1, 0, 0), "b": stateAt(-100, 0, 1, 0, 0)},
			after:  map[string]*report.State{"b": stateAt(-100, 5, 1, 5, 0)},
			want:   policyUsage{{"l", 1, 1, 0, 0}},
		},
		"an enforcer that has no newer state does not count": {
			before: map[string]*report.State{"a": stateAt(-100, 5, 1, 5, 0)},
			after:  map[string]*report.State{"a": stateAt(-100, 5, 1, 5, 0)},
		},
		"the first second is not blown up": {
			after: map[string]*report.State{"a": {Started: day, Now: day.Add(time.Millisecond), Policies: stateAt(0, 0, 1, 5, 0).Policies}},
			want:  policyUsage{{"l", 1, 5, 0, 0}},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := rates(tc.before, tc.after)["u1"]
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(limitUsage{})); diff != "" {
				t.Errorf("usage (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNear(t *testing.T) {
	tests := []struct {
		a, b int64
		want bool
	}{
		{0, 0, true},
		{0, 1, false},
		{1, 0, false},
		{100, 100, true},
		{100, 91, true},
		{100, 90, true},
		{100, 89, false},
		{1, 2, false},
	}
	for _, tc := range tests {
		if got := near(tc.a, tc.b); got != tc.want {
			t.Errorf("near(%d, %d) = %v, want %v", tc.a, tc.b, got, tc.want)
		}
		if near(tc.a, tc.b) != near(tc.b, tc.a) {
			t.Errorf("near(%d, %d) is not symmetrical", tc.a, tc.b)
		}
	}
}

func TestUsageIsShownWhenItMatters(t *testing.T) {
	steps := []struct {
		at           int   // seconds
		admitted     int64 // counter, cumulative
		wantAdmitted int64 // tokens per second that are shown
		why          string
	}{
		{0, 0, 0, "nothing is measured yet"},
		{5, 0, 0, "nobody uses it"},
		{8, 300, 0, "between two samples nothing is looked at"},
		{10, 500, 100, "the first use is shown at the next sample"},
		{15, 1500, 100, "it doubled, but 15 seconds have not passed"},
		{20, 2500, 100, "nor now"},
		{25, 3500, 200, "now they have"},
		{30, 4500, 200, "no change"},
		{35, 5500, 200, "no change"},
		{40, 6525, 200, "a fortieth more does not matter"},
		{45, 6525, 0, "zero does"},
	}
	m := newUsageMeter()
	for _, s := range steps {
		now := day.Add(time.Duration(s.at) * time.Second)
		view := m.measure(now, map[string]*report.State{"a": stateAt(-10, s.at, min(1, s.admitted), s.admitted, 0)})
		var got int64
		if usage := view["u1"]; len(usage) > 0 {
			got = usage[0].admitted
		}
		if got != s.wantAdmitted {
			t.Errorf("after %d s %d/s is shown, want %d/s: %s", s.at, got, s.wantAdmitted, s.why)
		}
	}
}

// Whatever the traffic does, what is shown of one policy changes at most every 15
// seconds once it is used, and with very many policies less often still.
func TestUsageKeepsItsBudget(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		policies := rapid.SampledFrom([]int{1, 2000}).Draw(t, "policies")
		every := refreshEvery
		if policies == 2000 {
			every = 40 * time.Second
		}
		m := newUsageMeter()
		admitted := int64(0)
		var changed time.Time
		shown := policyUsage{}
		for second := range rapid.IntRange(1, 120).Draw(t, "seconds") {
			admitted += rapid.Int64Range(1, 1000).Draw(t, "requests")
			now := day.Add(time.Duration(second) * time.Second)
			state := stateAt(-10, second, 1, admitted, 0)
			for i := 1; i < policies; i++ {
				state.Policies = append(state.Policies, report.Policy{UID: fmt.Sprint("other", i)})
			}
			next := m.measure(now, map[string]*report.State{"a": state})[types.UID("u1")]
			if cmp.Equal(next, shown, cmp.AllowUnexported(limitUsage{})) || next == nil {
				continue
			}
			if !changed.IsZero() && now.Sub(changed) < every {
				t.Fatalf("shown at %s and again at %s", changed, now)
			}
			shown, changed = next, now
		}
	})
}
