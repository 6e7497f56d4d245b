package scenario

import (
	"math"
	"testing"

	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/policy"
)

// stream is a record made by hand: burst tokens at instants in milliseconds, and
// steady ones, so many each millisecond of [from, to).
type stream struct {
	limit                        Limit
	span                         limit.Span
	arrivals, admissions         map[int]int64
	arriveSteady, admittedSteady []steady
}

type steady struct{ from, to, each int }

func (s stream) result() *Result {
	r := newRecorder(&Scenario{Limit: s.limit, Duration: s.span, Nodes: 3})
	fill := func(into []int64, at map[int]int64, all []steady) {
		for i, n := range at {
			into[i] += n
		}
		for _, s := range all {
			for i := s.from; i < s.to; i++ {
				into[i] += int64(s.each)
			}
		}
	}
	fill(r.arrived, s.arrivals, s.arriveSteady)
	fill(r.admitted, s.admissions, s.admittedSteady)
	return newResult(&Scenario{Limit: s.limit, Duration: s.span, Nodes: 3}, &r)
}

func same(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-6 && got != want {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

const s1 = limit.Second

func TestOver(t *testing.T) {
	for _, c := range []struct {
		name              string
		admissions        map[int]int64
		steady            []steady
		over1, over2, net float64
	}{
		{"nothing", nil, nil, 0, 0, -133.33333333},
		{"the burst", map[int]int64{0: 1000}, nil, 0, 0, -100},
		{"the burst, then the rate", map[int]int64{0: 1000}, []steady{{1, 3000, 1}}, 0, 0, -1 / 30.},
		{"half a burst too much", map[int]int64{0: 1500}, nil, 50, 25, -83.33333333},
		{"twice within a second", map[int]int64{0: 1300, 900: 1200}, nil, 60, 30, -50},
		{"twice, farther apart", map[int]int64{0: 1300, 1500: 1300}, nil, 30, 30, -46.66666667},
		{"a refusal is not held against what follows", map[int]int64{0: 3000, 500: 500, 1000: 500}, nil, 200, 100, 0},
		{"twice the rate, all the time", nil, []steady{{0, 3000, 2}}, 100, 100, 66.66666667},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := stream{limit: PerSecond(1000), span: 3 * s1, admissions: c.admissions, admittedSteady: c.steady}.result()
			same(t, "Over1", r.Over1(), c.over1)
			same(t, "Over of 2 s", r.Over(2*s1, 0, 3*s1), c.over2)
			same(t, "OverTokens", r.OverTokens(), 10*c.over1)
			same(t, "Net", r.Net(), c.net)
		})
	}
}

func TestOverCountsOnlyItsInterval(t *testing.T) {
	r := stream{limit: PerSecond(1000), span: 10 * s1, admissions: map[int]int64{1000: 1500, 8000: 1200}}.result()
	same(t, "before", r.Over(s1, 0, s1), 0)
	same(t, "the first", r.Over(s1, 0, 5*s1), 50)
	same(t, "the second", r.Over(s1, 5*s1, 10*s1), 20)
}

func TestLowLimitsAreCountedInTokens(t *testing.T) {
	low := Limit{Requests: 5, Per: limit.Minute}
	r := stream{limit: low, span: 120 * s1, admissions: map[int]int64{0: 5, 100: 1, 24_000: 2, 40_000: 1}}.result()
	// The token at 100 ms comes 12 s too early; the two at 24 s are there by then.
	same(t, "OverTokens", r.OverTokens(), .991667)
	if got := r.OverTokens(); got > 1 {
		t.Errorf("OverTokens %v", got)
	}
}

func TestUnderAndLost(t *testing.T) {
	s := stream{
		limit: PerSecond(1000), span: 4 * s1, arriveSteady: []steady{{0, 4000, 2}},
		admittedSteady: []steady{{0, 1000, 2}, {1000, 3000, 1}},
	}
	r := s.result()
	// An exact limiter lives off its burst for the first second, then takes 1 of 2.
	// A full bucket gains nothing in the first millisecond: 4999 in all.
	same(t, "Lost", r.Lost(), 999)
	same(t, "Under of all", r.Under(0, 4*s1), 100*999./4999)
	same(t, "Under of the first 3 s", r.Under(0, 3*s1), -100*1./3999)
	same(t, "Under of the last", r.Under(3*s1, 4*s1), 100)
	s.admittedSteady = append(s.admittedSteady, steady{3000, 4000, 2})
	same(t, "Lost, when more was admitted", s.result().Lost(), -1001)
	if got := (stream{limit: PerSecond(1), span: s1}).result().Under(0, s1); got != 0 {
		t.Errorf("Under without arrivals is %v", got)
	}
}

func TestSettledAndPaidBack(t *testing.T) {
	flat := Limit{Requests: 1000, Per: s1, Burst: 1}
	load := []steady{{2000, 20_000, 10}}
	for _, c := range []struct {
		name          string
		admissions    map[int]int64
		steady        []steady
		settled, paid float64
	}{
		{"at once", nil, []steady{{2000, 20_000, 1}}, 0, 0},
		// A stretch of 200 ms may miss 31 tokens; that ending at 460 ms misses 40.
		{"silent for 300 ms", nil, []steady{{2300, 20_000, 1}}, .46, 0},
		{"never", nil, []steady{{2000, 20_000, 2}}, Never, Never},
		// 500 too many at once: paid when nothing more than 10 tokens is owed.
		{"a debt that is paid", map[int]int64{2000: 501}, []steady{{2500, 20_000, 1}}, .66, .490},
		{"a debt that is kept", map[int]int64{2000: 501}, []steady{{2001, 20_000, 1}}, .2, Never},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := stream{limit: flat, span: 20 * s1, arriveSteady: load, admissions: c.admissions, admittedSteady: c.steady}.result()
			same(t, "Settled", r.Settled(2*s1), c.settled)
			if got := r.PaidBack(2 * s1); math.Abs(got-c.paid) > .002 && got != c.paid {
				t.Errorf("PaidBack is %v, want %v", got, c.paid)
			}
		})
	}
}

func TestCourse(t *testing.T) {
	r := stream{limit: PerSecond(1000), span: 10 * s1, admittedSteady: []steady{{0, 2000, 1}, {3000, 6000, 2}}}.result()
	average, least, most := r.Course(0, 6*s1)
	same(t, "average", average, 8./6)
	same(t, "least", least, 0)
	same(t, "most", most, 2)
	average, least, most = r.Course(1*s1, 1500*limit.Millisecond)
	same(t, "average of half a second", average, 1)
	same(t, "least", least, 1)
	same(t, "most", most, 1)
}

func TestWindows(t *testing.T) {
	windows := Limit{Algorithm: policy.FixedWindow, Requests: 1000, Per: s1}
	s := stream{
		limit: windows, span: 4 * s1, arriveSteady: []steady{{0, 4000, 5}},
		admissions: map[int]int64{0: 900, 1999: 1100, 2000: 1200, 3500: 1000},
	}
	r := s.result()
	worst, mean := r.Windows()
	same(t, "worst", worst, 20)
	same(t, "mean", mean, 5)
	same(t, "Over1", r.Over1(), 30) // 100 and, a millisecond later, 200 too many
	same(t, "Lost", r.Lost(), -200)
	same(t, "Under of the first window", r.Under(0, s1), 10)
}

func TestSlidingWindowsAreComparedWithASlidingWindow(t *testing.T) {
	sliding := Limit{Algorithm: policy.SlidingWindow, Requests: 100, Per: s1}
	r := stream{limit: sliding, span: 4 * s1, arrivals: map[int]int64{0: 150, 500: 50}, admissions: map[int]int64{0: 100, 500: 50}}.result()
	same(t, "OverTokens", r.OverTokens(), 50)
	same(t, "Lost", r.Lost(), -50)
}

func TestFairness(t *testing.T) {
	r := &Result{arrivedAt: []int64{1000, 500, 0, 19}, admittedAt: []int64{100, 50, 0, 19}}
	same(t, "of equals", r.Fairness(), 1)
	r.admittedAt[1] = 0
	same(t, "when one of two gets nothing", r.Fairness(), .5)
	same(t, "without load", (&Result{}).Fairness(), 1)
}

func TestCost(t *testing.T) {
	r := &Result{
		Scenario: &Scenario{Nodes: 10, Keys: 2, Load: Step(1, 2*s1)},
		marks:    []mark{{0, 100, 10, 1000}, {2 * s1, 100, 20, 2000}, {4 * s1, 500, 120, 12_000}},
	}
	if got, want := r.Cost(0), (Cost{100, 27.5, 2750}); got != want {
		t.Errorf("from the begin %+v, want %+v", got, want)
	}
	if got, want := r.Cost(3*s1), (Cost{200, 50, 5000}); got != want {
		t.Errorf("from the step %+v, want %+v", got, want)
	}
	same(t, "EntriesPerNode", r.EntriesPerNode(), 10)
}
