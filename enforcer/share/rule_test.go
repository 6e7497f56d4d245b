package share_test

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/share"
)

func TestANodeWithoutOthersSharesNothing(t *testing.T) {
	p := bucket(10, limit.Second, 10)
	for nodes := -1; nodes < 2; nodes++ {
		if r := share.NewRule(&p, nodes, delay, true); r != (share.Rule{}) || !r.Alone() || !r.Flash(&p, decide.State{}, start, 10) {
			t.Errorf("a pool of %d nodes: %+v, want the rule of a node that is alone", nodes, r)
		}
	}
	if r := share.NewRule(&p, 2, delay, false); r.Alone() {
		t.Error("two nodes are alone")
	}
}

func TestRoundIsIdempotentAndClose(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.Float64Range(0, 1e12).Draw(t, "rate")
		once := share.Round(rate)
		if twice := share.Round(once); twice != once {
			t.Fatalf("Round(%v) = %v, and again %v", rate, once, twice)
		}
		if rate > 1e-30 && math.Abs(once/rate-1) > 1./65_000 {
			t.Fatalf("Round(%v) = %v, off by more than 1 part in 65,000", rate, once)
		}
	})
	for _, rate := range []float64{-1, 0, math.Inf(-1)} {
		if got := share.Round(rate); got != 0 {
			t.Errorf("Round(%v) = %v, want 0", rate, got)
		}
	}
}

// rules draws a limit and the rule to share it by.
func rules(t *rapid.T, cautious bool) (decide.Params, share.Rule, int) {
	requests := limit.Amount(rapid.Int64Range(1, 10_000).Draw(t, "requests"))
	per := rapid.SampledFrom([]limit.Span{limit.Second, limit.Minute, limit.Hour}).Draw(t, "per")
	var p decide.Params
	switch rapid.IntRange(0, 2).Draw(t, "algorithm") {
	case 0:
		p = bucket(requests, per, limit.Amount(rapid.Int64Range(1, 10_000).Draw(t, "burst")))
	case 1:
		p = must(decide.FixedWindow(requests, per))
	default:
		p = must(decide.SlidingWindow(requests, per))
	}
	nodes := rapid.IntRange(2, 1000).Draw(t, "nodes")
	return p, share.NewRule(&p, nodes, delay, cautious), nodes
}

// What all nodes together take without a word is two fifths of what comes in, and
// a tenth of the burst or half a token each at once; of a burst that has five for each
// also three eighths, up to two and a half each.
func TestWhatIsTakenWithoutAWordIsBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, r, nodes := rules(t, false)
		n := float64(nodes)
		rate := float64(p.Requests()) * float64(limit.Second) / float64(p.Per())
		leaks := rate * .4
		if p.Algorithm() != decide.Bucket {
			leaks = 0 // nothing comes in again before a window is over
		}
		if got := n * r.Leaks(); math.Abs(got-leaks) > rate*1e-9 {
			t.Fatalf("%v tokens a second leak, want %v", got, leaks)
		}
		most := max(n/2, float64(p.Burst())/10) * (1 + 1e-9)
		if p.Algorithm() == decide.Bucket && float64(p.Burst()) >= 5*n {
			most = max(most, min(2.5*n, .375*float64(p.Burst())*(1+1e-9)))
		}
		if got := n * r.Depth(); got > most {
			t.Fatalf("%v tokens may be untold, want at most %v", got, most)
		}
		untold := float32(rapid.Float64Range(0, 1e4).Draw(t, "untold"))
		// A longer time than 11 days is cut short.
		if d := r.LeakTime(untold); leaks > 0 && d < limit.Span(1e6)*limit.Second && r.Leak(untold, d+limit.Millisecond) > untold*1e-5 {
			t.Fatalf("of %v tokens %v are left after %v", untold, r.Leak(untold, d), d.Duration())
		}
		passed := limit.Span(rapid.Int64Range(-int64(limit.Second), int64(limit.Minute)).Draw(t, "passed"))
		if got := r.Leak(untold, passed); got > untold || got < 0 {
			t.Fatalf("of %v tokens %v are left after %v", untold, got, passed.Duration())
		}
		if must := r.MustTell(untold); must != (float64(untold) >= r.Depth()) {
			t.Fatalf("MustTell(%v) = %v, with %v allowed", untold, must, r.Depth())
		}
	})
}

// grants is how much a node grants in one instant of a counter that it has not
// heard of.
func grants(p *decide.Params, r *share.Rule) (n limit.Amount) {
	var s decide.State
	for r.Flash(p, s, start, 1) {
		next, ok := p.Take(s, start, 1)
		if !ok {
			break
		}
		s, n = next, n+1
	}
	return n
}

func TestAFlashOnAColdCounter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cautious := rapid.Bool().Draw(t, "cautious")
		p, r, nodes := rules(t, cautious)
		got, most := float64(grants(&p, &r)), float64(p.Burst())
		if cautious {
			most = max(1, most/float64(nodes))
		}
		if got > most || got < math.Floor(most)-1 || got < 1 {
			t.Fatalf("a node grants %v of %v at once, want %v", got, p.Burst(), math.Floor(most))
		}
	})
	p := bucket(10, limit.Second, 10)
	for _, c := range []struct {
		name     string
		cautious bool
		used     limit.Amount
		cost     limit.Amount
		want     bool
	}{
		{"the whole burst is granted", false, 0, 10, true},
		{"a cautious node grants its share", true, 0, 5, true},
		{"more than that it does not", true, 0, 6, false},
		{"what it granted before counts", true, 3, 3, false},
		{"a cost of 0 asks for one token", true, 5, 0, false},
		{"tokens can always be given back", true, 10, -1, true},
	} {
		r := share.NewRule(&p, 2, delay, c.cautious)
		if got := r.Flash(&p, p.Debit(decide.State{}, start, c.used), start, c.cost); got != c.want {
			t.Errorf("%s: Flash() = %v, want %v", c.name, got, c.want)
		}
	}
	if r := share.NewRule(&p, 2, delay, true); !r.MustTell(1) {
		t.Error("a cautious node asks nobody after the first token")
	}
}

func TestTheRuleOfALimit(t *testing.T) {
	for _, c := range []struct {
		name   string
		params decide.Params
		nodes  int
		full   float64 // tokens of a full counter
		debt   float64
		slow   bool    // every token is told
		low    float64 // tokens that the margin is a part of, when none is left
	}{
		{"a bucket as large as a second", bucket(1000, limit.Second, 1000), 10, 1000, 9000, false, 100},
		{"a small bucket is lent what comes in during six delays", bucket(1000, limit.Second, 5), 10, 48, 1000, false, 100},
		{"a small bucket that is large enough", bucket(100, limit.Second, 20), 10, 20, 180, false, 10},
		{"a debt is what half a minute brings", bucket(10, limit.Second, 100), 10, 100, 300, false, 1},
		{"a slow bucket", bucket(5, limit.Minute, 5), 50, 5, 5, true, 0},
		{"a window has no slack", must(decide.FixedWindow(1000, limit.Second)), 10, 1000, 9000, false, 100},
		{"a slow window", must(decide.SlidingWindow(100, limit.Hour)), 3, 100, 100, true, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := share.NewRule(&c.params, c.nodes, delay, false)
			near(t, "full", r.Full(), c.full, 1e-9)
			near(t, "the deepest debt", r.Debt(), c.debt, 1e-9)
			margin := func(of, nodes float64) float64 {
				if c.slow {
					return .5
				}
				part, least := share.Tolerance, 1.
				if c.params.Algorithm() != decide.Bucket {
					part, least = share.WindowTolerance, .5
				}
				return max(least, part*of/math.Sqrt(nodes))
			}
			near(t, "the margin of a full counter", r.Margin(c.full, 1), margin(max(c.full, c.low), 1), 1e-9)
			near(t, "the margin of an empty counter", r.Margin(0, 1), margin(c.low, 1), 1e-9)
			near(t, "the margin of one of sixteen nodes", r.Margin(0, 16), margin(c.low, 16), 1e-9)
		})
	}
}
