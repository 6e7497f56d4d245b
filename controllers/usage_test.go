package controllers

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"
)

// tallyAt returns the tally of an enforcer some seconds after day, with one policy
// "u1" whose limit "l" has these counters.
func tallyAt(started, now int, keys, admitted, limited int64) *tally {
	return &tally{
		started: day.Add(time.Duration(started) * time.Second),
		now:     day.Add(time.Duration(now) * time.Second),
		limits:  []limitID{{"u1", "l"}},
		counts:  []count{{activeKeys: keys, admitted: admitted, limited: limited}},
	}
}

// overAt adds thousandths of tokens that were admitted and were not there.
func overAt(t *tally, thousandths int64) *tally {
	t.counts[0].overAdmitted = thousandths
	return t
}

func TestRates(t *testing.T) {
	tests := map[string]struct {
		before, after map[string]*tally
		want          policyUsage
	}{
		"rates are differences over the enforcer's own time": {
			before: map[string]*tally{"a": tallyAt(-100, 0, 1, 1000, 50)},
			after:  map[string]*tally{"a": tallyAt(-100, 5, 2, 1050, 50)},
			want:   policyUsage{{"l", 2, 10, 0, 0}},
		},
		"enforcers add up, the clients they share do not": {
			before: map[string]*tally{"a": tallyAt(-100, 0, 7, 0, 0), "b": tallyAt(-100, 0, 7, 0, 0)},
			after:  map[string]*tally{"a": tallyAt(-100, 5, 7, 50, 5), "b": tallyAt(-100, 5, 6, 100, 10)},
			want:   policyUsage{{"l", 7, 30, 3, 0}},
		},
		"what was not there counts over all enforcers": {
			before: map[string]*tally{"a": overAt(tallyAt(-100, 0, 1, 0, 0), 0), "b": overAt(tallyAt(-100, 0, 1, 0, 0), 500)},
			after:  map[string]*tally{"a": overAt(tallyAt(-100, 5, 1, 500, 0), 2500), "b": overAt(tallyAt(-100, 5, 1, 500, 0), 1000)},
			want:   policyUsage{{"l", 1, 200, 0, 3}},
		},
		"an enforcer that restarted counts from its start": {
			before: map[string]*tally{"a": tallyAt(-100, 0, 1, 1000, 0)},
			after:  map[string]*tally{"a": tallyAt(2, 5, 1, 30, 0)},
			want:   policyUsage{{"l", 1, 10, 0, 0}},
		},
		"a new enforcer counts from its start": {
			after: map[string]*tally{"a": tallyAt(0, 5, 1, 50, 0)},
			want:  policyUsage{{"l", 1, 10, 0, 0}},
		},
		"a counter that went back began anew": {
			before: map[string]*tally{"a": tallyAt(-100, 0, 1, 1000, 1000)},
			after:  map[string]*tally{"a": tallyAt(-100, 5, 1, 50, 0)},
			want:   policyUsage{{"l", 1, 10, 0, 0}},
		},
		"a limit that the document did not have counts from zero, wherever it stands": {
			before: map[string]*tally{"a": {day.Add(-time.Minute), day, []limitID{{"u0", "l"}, {"u0", "m"}}, []count{{admitted: 5}, {admitted: 7}}}},
			after:  map[string]*tally{"a": tallyAt(-60, 5, 1, 50, 0)},
			want:   policyUsage{{"l", 1, 10, 0, 0}},
		},
		"a limit has moved in the document": {
			before: map[string]*tally{"a": {day.Add(-time.Minute), day, []limitID{{"u0", "l"}, {"u1", "l"}}, []count{{admitted: 5}, {admitted: 1000}}}},
			after:  map[string]*tally{"a": tallyAt(-60, 5, 1, 1050, 0)},
			want:   policyUsage{{"l", 1, 10, 0, 0}},
		},
		"an enforcer that left does not count": {
			before: map[string]*tally{"a": tallyAt(-100, 0, 1, 0, 0), "b": tallyAt(-100, 0, 1, 0, 0)},
			after:  map[string]*tally{"b": tallyAt(-100, 5, 1, 5, 0)},
			want:   policyUsage{{"l", 1, 1, 0, 0}},
		},
		"an enforcer that has no newer tally does not count": {
			before: map[string]*tally{"a": tallyAt(-100, 5, 1, 5, 0)},
			after:  map[string]*tally{"a": tallyAt(-100, 5, 1, 5, 0)},
		},
		"the first second is not blown up": {
			after: map[string]*tally{"a": {day, day.Add(time.Millisecond), tallyAt(0, 0, 1, 5, 0).limits, tallyAt(0, 0, 1, 5, 0).counts}},
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
		view := m.measure(now, map[string]*tally{"a": tallyAt(-10, s.at, min(1, s.admitted), s.admitted, 0)})
		var got int64
		if usage := view["u1"]; len(usage) > 0 {
			got = usage[0].admitted
		}
		if got != s.wantAdmitted {
			t.Errorf("after %d s %d/s is shown, want %d/s: %s", s.at, got, s.wantAdmitted, s.why)
		}
	}
}

// Whatever the traffic does, what is shown of a policy changes at most every 15
// seconds once it is used.
func TestUsageIsNotShownTooOften(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newUsageMeter()
		admitted := int64(0)
		var changed time.Time
		shown := policyUsage{}
		for second := range rapid.IntRange(1, 120).Draw(t, "seconds") {
			admitted += rapid.Int64Range(1, 1000).Draw(t, "requests")
			now := day.Add(time.Duration(second) * time.Second)
			tallies := map[string]*tally{"a": tallyAt(-10, second, 1, admitted, 0)}
			if rapid.IntRange(0, 9).Draw(t, "nobody answers") == 0 {
				tallies = nil
			}
			next := m.measure(now, tallies)["u1"]
			if slices.Equal(next, shown) || next == nil {
				continue
			}
			if !changed.IsZero() && now.Sub(changed) < refreshEvery {
				t.Fatalf("shown at %s and again at %s", changed, now)
			}
			shown, changed = next, now
		}
	})
}

// Where more policies change than may be shown at once, they take turns.
func TestUsageOfManyIsShownInTurns(t *testing.T) {
	const policies, turns = 2000, 4
	m := newUsageMeter()
	shown, last := map[types.UID]policyUsage{}, map[types.UID]int{}
	for sample := range 5 * turns {
		second := sample * int(sampleEvery/time.Second)
		all := tallyAt(-10, second, 1, 0, 0)
		for i := range policies {
			all.limits = append(all.limits, limitID{types.UID(fmt.Sprint("other", i)), "l"})
			all.counts = append(all.counts, count{activeKeys: 1, admitted: 100 << sample})
		}
		now, changed := day.Add(time.Duration(second)*time.Second), 0
		for uid, usage := range m.measure(now, map[string]*tally{"a": all}) {
			if !slices.Equal(usage, shown[uid]) && !usage.idle() {
				shown[uid], last[uid] = usage, sample
				changed++
			}
		}
		if changed > refreshAtOnce {
			t.Errorf("sample %d has %d policies shown anew, want %d at most", sample, changed, refreshAtOnce)
		}
		for i := range policies {
			if waited := sample - last[types.UID(fmt.Sprint("other", i))]; waited > turns {
				t.Fatalf("at sample %d policy %d has waited for %d samples, want %d at most", sample, i, waited, turns)
			}
		}
	}
}
