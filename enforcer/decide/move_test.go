package decide_test

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

func TestLevels(t *testing.T) {
	ms, s := limit.Millisecond, limit.Second
	for _, c := range []struct {
		name   string
		params decide.Params
		gone   limit.Amount // at start
		at     limit.Span
		want   float64
	}{
		{"a counter of which nothing was taken is full", bucket(10, s, 3), 0, 0, 3},
		{"a bucket has fractions of tokens", bucket(10, s, 3), 3, 250 * ms, 2.5},
		{"a bucket fills to its burst", bucket(10, s, 3), 3, s, 3},
		{"a debt lies below zero", bucket(10, s, 3), 13, 100 * ms, -9},
		{"a third of a second", bucket(3, s, 1), 1, 333333333, .999999999},
		{"before the epoch nothing has come in", bucket(10, s, 3), 0, -limit.Span(start), 3},
		{"a window does not fill", fixed(10, 10*s), 4, 9 * s, 6},
		{"a window is full again", fixed(10, 10*s), 4, 10 * s, 10},
		{"the debt of a window is carried over", fixed(10, 10*s), 25, 10 * s, -5},
		{"a sliding window forgets by thirds", sliding(6, 3*s), 6, 3*s + 500*ms, 3},
		{"a calendar day", calendar(1000, decide.Day), 1, 0, 999},
	} {
		t.Run(c.name, func(t *testing.T) {
			state := c.params.Debit(decide.State{}, start, c.gone)
			if got := c.params.Level(state, start.Add(c.at)); math.Abs(got-c.want) > 1e-6 {
				t.Errorf("Level() = %v, want %v", got, c.want)
			}
		})
	}
}

// Level says the same as Used, in fractions: Used rounds up.
func TestLevelAgreesWithUsed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := params(t)
		state, now := history(t, &p)
		level, whole := p.Level(state, now), float64(p.Burst())-float64(p.Used(state, now))
		if off := level - whole; off < -1e-6*math.Abs(level) || off >= 1+1e-6*math.Abs(level) {
			t.Fatalf("Level() = %v, with %v whole tokens left", level, whole)
		}
	})
}

func TestMoveTakesAndGivesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := params(t)
		state, now := history(t, &p)
		n := limit.Amount(rapid.Int64Range(1, 2*int64(p.Burst())).Draw(t, "tokens"))
		if got, want := p.Move(state, now, n), p.Debit(state, now, n); got != want {
			t.Fatalf("Move(%d) = %v, Debit() = %v", n, got, want)
		}
		back, _ := p.Take(state, now, -n)
		if got := p.Move(state, now, -n); got != back {
			t.Fatalf("Move(%d) = %v, Take() = %v", -n, got, back)
		}
		if p.Move(state, now, 0) != state {
			t.Fatal("moving nothing changed the state")
		}
		before, there := p.Used(state, now), p.Move(p.Move(state, now, n), now, -n)
		if got := p.Used(there, now); got != before {
			t.Fatalf("%d are gone after %d were taken and given back, want %d", got, n, before)
		}
	})
}

func TestPartsOfAToken(t *testing.T) {
	slow := bucket(5, limit.Minute, 5)
	s := slow.Debit(decide.State{}, start, 3)
	s = slow.MovePart(s, start, .75)
	if got := slow.Level(s, start); math.Abs(got-1.25) > 1e-6 {
		t.Errorf("%v of five tokens are left, want 1.25", got)
	}
	if s, ok := slow.Take(s, start.Add(8*limit.Second), 1); !ok {
		t.Error("1.92 tokens are not enough for one")
	} else if _, ok := slow.Take(s, start.Add(8*limit.Second), 1); ok {
		t.Error("1.92 tokens are enough for two")
	}
	if got := slow.MovePart(s, start, 0); got != s {
		t.Error("nothing is not nothing")
	}
	if got, want := slow.Level(slow.MovePart(s, start, 7), start), slow.Level(s, start)-1; math.Abs(got-want) > 1e-6 {
		t.Errorf("more than one token was taken in parts: %v are left, want %v", got, want)
	}
	window := fixed(10, limit.Minute)
	if s := window.Debit(decide.State{}, start, 3); window.MovePart(s, start, .75) != s {
		t.Error("a window has parts of tokens")
	}
}
