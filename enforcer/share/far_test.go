package share_test

import (
	"testing"

	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/share"
)

// What a node is asked for is told, and told at once, where the counter may soon be
// near its limit; elsewhere it changes nobody's decisions.
func TestWhereDemandIsTold(t *testing.T) {
	for _, c := range []struct {
		name  string
		gap   limit.Span // between requests, for two seconds
		heard share.State
		want  bool
	}{
		{"one of a few far from the limit", 50 * limit.Millisecond, share.State{Level: 990, Others: 2}, false},
		{"one of many", 5 * limit.Millisecond, share.State{Level: 990, Others: 9}, true},
		{"others are asked for much", 50 * limit.Millisecond, share.State{Level: 990, Demand: 2000, Others: 2}, true},
		{"little is left", 50 * limit.Millisecond, share.State{Level: 300, Rate: 1000, Others: 2}, true},
		{"the home wants to know", 50 * limit.Millisecond, share.State{Level: 990, Others: 2, Exact: true}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEnd(bucket(1000, limit.Second, 1000), 10)
			now := start
			for at := limit.Span(0); at < 2*limit.Second; at += c.gap {
				now = start.Add(at)
				e.hear(now, c.heard)
				e.ask(now, 1)
			}
			counter := e.counter()
			if got := counter.Patience(now) < share.CalmWait; got != c.want {
				t.Errorf("pressing %v, want %v", got, c.want)
			}
			if got := counter.Report(now).Demand > 0; got != c.want {
				t.Errorf("demand told %v, want %v", got, c.want)
			}
		})
	}
}

// Much that is taken at once must not wait, whatever was asked for before.
func TestWhatIsTakenAtOncePresses(t *testing.T) {
	for _, c := range []struct {
		cost limit.Amount
		want bool
	}{{2, false}, {300, true}} {
		e := newEnd(bucket(1000, limit.Second, 1000), 10)
		e.hear(start, share.State{Level: 1000, Others: 2})
		e.ask(start, c.cost)
		if got := e.counter().Patience(start) < share.CalmWait; got != c.want {
			t.Errorf("%d of 1000 tokens: pressing %v, want %v", c.cost, got, c.want)
		}
	}
}

// What may change what others decide waits for other entries only while it is unlikely that
// anything is asked for: of a slow limit one token granted twice is much.
func TestHowLongAWordMayWait(t *testing.T) {
	slow, fast := bucket(5, limit.Minute, 5), bucket(100, limit.Second, 100)
	for _, c := range []struct {
		name   string
		params decide.Params
		demand float64
		want   limit.Span
	}{
		{"a slow limit, hardly asked for", slow, 4, share.SlowWait},
		{"a slow limit, at a hundred times of it", slow, 8, 0},
		{"hardly asked for", fast, 8, share.SlowWait},
		{"asked for", fast, 80, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEnd(c.params, 50)
			e.hear(start, share.State{Level: .5, Demand: c.demand, Others: 49})
			if got := e.counter().Patience(start); got != c.want {
				t.Errorf("Patience() = %v, want %v", got.Duration(), c.want.Duration())
			}
		})
	}
}

// A counter that is left alone until Look has nothing to say before it.
func TestWhenToLookAgain(t *testing.T) {
	const ms = limit.Millisecond
	for _, c := range []struct {
		name     string
		per      limit.Span // between requests, for three seconds
		heard    share.State
		min, max limit.Span
	}{
		{"what nobody was told of, until it may be forgotten", limit.Second, share.State{Level: 990, Others: 2}, 400 * ms, 3 * limit.Second},
		{"a rate that goes on as it was said", 10 * ms, share.State{Level: 990, Others: 2}, 20 * ms, 500 * ms},
		{"a demand near the limit", 4 * ms, share.State{Level: 10, Rate: 900, Demand: 500, Others: 2, Exact: true}, 1, 100 * ms},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEnd(bucket(1000, limit.Second, 1000), 10)
			now := start
			for at := limit.Span(0); at < 3*limit.Second; at += c.per {
				now = start.Add(at)
				e.hear(now, c.heard)
				e.ask(now, 1)
				if counter := e.counter(); counter.Due(now) {
					counter.Report(now)
				}
			}
			counter := e.counter()
			counter.Rest(now)
			if rest := counter.Look.Sub(now); rest < c.min || rest > c.max {
				t.Fatalf("it is left alone for %v, want %v to %v", rest.Duration(), c.min.Duration(), c.max.Duration())
			}
			for at := now.Add(ms); at < counter.Look; at = at.Add(ms) {
				e.counter().Settle(at)
				if e.counter().Due(at) {
					t.Fatalf("there is something to say after %v, and it is left alone for %v", at.Sub(now).Duration(), counter.Look.Sub(now).Duration())
				}
			}
		})
	}
}

func TestWhatMustBeToldIsLookedAtSoon(t *testing.T) {
	e := newEnd(hourly, 3)
	e.local.Again()
	counter := e.counter()
	if counter.Rest(start); counter.Look != start {
		t.Errorf("it is left alone for %v", counter.Look.Sub(start).Duration())
	}
}

// Two requests that happen to come together say nothing of how many will.
func TestTwoRequestsAreNoPace(t *testing.T) {
	e := newEnd(bucket(15, 10*limit.Second, 15), 10)
	now := start
	for range 2 {
		now = now.Add(3 * limit.Millisecond)
		e.ask(now, 1)
	}
	if rep := e.counter().Report(now); rep.Demand > 0 {
		t.Errorf("a demand of %v is told after two requests", rep.Demand)
	}
	for range 3 {
		now = now.Add(3 * limit.Millisecond)
		e.ask(now, 1)
	}
	if rep := e.counter().Report(now); rep.Demand == 0 {
		t.Error("no demand is told of five requests in 15 ms")
	}
}
