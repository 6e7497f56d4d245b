package share_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/share"
)

// end is one node's end of a counter, driven by hand.
type end struct {
	local  share.Local
	state  decide.State
	params decide.Params
	rule   share.Rule
}

func newEnd(p decide.Params, nodes int) *end {
	e := &end{params: p, rule: share.NewRule(&p, nodes, delay, false)}
	e.local.Start(&e.rule, start, e.state, 0, 0, 1)
	return e
}

func (e *end) counter() *share.Counter {
	return &share.Counter{Params: &e.params, Rule: &e.rule, State: &e.state, Local: &e.local}
}

// ask decides one request.
func (e *end) ask(now limit.Instant, cost limit.Amount) bool {
	e.counter().Settle(now)
	ok := e.local.Admits(&e.params, &e.rule, e.state, now, cost)
	if ok {
		e.state = e.params.Move(e.state, now, cost)
	}
	e.local.Count(&e.params, &e.rule, now, cost, ok)
	return ok
}

func (e *end) hear(now limit.Instant, s share.State) {
	e.counter().Settle(now)
	e.counter().Hear(now, &s)
}

func (e *end) level(now limit.Instant) float64 {
	e.counter().Settle(now)
	return e.local.Level(&e.params, e.state, now)
}

// A node of which nobody else is asked decides as an exact limiter, request by
// request.
func TestANodeThatIsAskedAloneIsNeverThinned(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, _, _ := rules(t, false)
		e := newEnd(p, rapid.IntRange(2, 100).Draw(t, "pool"))
		if rapid.Bool().Draw(t, "heard") {
			e.hear(start, share.State{Level: float64(p.Burst())})
		}
		var naive decide.State
		now := start
		for range rapid.IntRange(1, 50).Draw(t, "requests") {
			now = now.Add(limit.Span(rapid.Int64Range(0, int64(p.Per())/5).Draw(t, "gap")))
			cost := limit.Amount(rapid.Int64Range(-3, 1+int64(p.Burst())/3).Draw(t, "cost"))
			next, want := p.Take(naive, now, cost)
			naive = next
			if got := e.ask(now, cost); got != want {
				t.Fatalf("cost %d with %v left: admitted %v, want %v", cost, e.level(now), got, want)
			}
			rep := e.counter().Report(now)
			if rep.Level > float64(p.Burst()) {
				t.Fatalf("reports that %v of %v are left", rep.Level, p.Burst())
			}
		}
	})
}

// Whatever a home says, a node alone never exceeds the limit.
func TestANodeNeverExceedsTheLimitAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, _, _ := rules(t, false)
		e := newEnd(p, 5)
		var naive decide.State // of what was admitted here
		now := start
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(limit.Span(rapid.Int64Range(0, int64(p.Per())/10).Draw(t, "gap")))
			if rapid.IntRange(0, 3).Draw(t, "step") == 0 {
				e.hear(now, share.State{
					Level: rapid.Float64Range(-1e6, 1e6).Draw(t, "level"), Rate: rapid.Float64Range(0, 1e4).Draw(t, "rate"),
					Demand: rapid.Float64Range(0, 1e5).Draw(t, "demand"), Others: 3,
				})
				continue
			}
			cost := limit.Amount(rapid.Int64Range(1, 1+int64(p.Burst())/2).Draw(t, "cost"))
			if !e.ask(now, cost) {
				continue
			}
			next, ok := p.Take(naive, now, cost)
			if naive = next; !ok {
				t.Fatalf("admitted %d, which is beyond the limit alone", cost)
			}
		}
	})
}

// Nodes with equal views come to one chance, and it does not matter which of them
// is asked.
func TestNodesWithEqualViewsHaveOneChance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, rule, _ := rules(t, false)
		nodes := rapid.IntRange(2, 20).Draw(t, "users")
		asked := rapid.IntRange(2, 300).Draw(t, "requests each")
		level := rapid.Float64Range(-1, float64(p.Burst())).Draw(t, "level")
		var ends []*end
		for range nodes {
			e := newEnd(p, nodes)
			e.rule = rule
			ends = append(ends, e)
		}
		now := start
		for range asked {
			now = now.Add(3 * limit.Millisecond)
			for _, e := range ends {
				e.ask(now, 1)
			}
		}
		rate := 1000. / 3
		var chances []float64
		for _, e := range ends {
			seen := e.local.Taken()
			e.hear(now, share.State{Level: level, Rate: rate / 2, Demand: rate * float64(nodes-1), Others: int32(nodes - 1), Line: true, Seen: seen, Era: 1})
			chances = append(chances, e.local.Chance(&e.params, &e.rule, e.state, now))
		}
		for _, c := range chances {
			if c != chances[0] || c < 0 || c > 1 {
				t.Fatalf("with %v left the chances are %v", level, chances)
			}
		}
	})
}

func TestWhatANodeAdmits(t *testing.T) {
	p := bucket(10, limit.Second, 100)
	for _, c := range []struct {
		name  string
		told  share.State
		cost  limit.Amount
		after limit.Span // when it is asked
		want  bool
	}{
		{"one of one token", share.State{Level: 1}, 1, 0, true},
		{"none of less than one", share.State{Level: .99}, 1, 0, false},
		{"a large cost needs that much", share.State{Level: 40}, 41, 0, false},
		{"a large cost that is there", share.State{Level: 41}, 41, 0, true},
		{"a cost above the burst never", share.State{Level: 100}, 101, 0, false},
		{"a cost of 0 while there is a token", share.State{Level: 1}, 0, 0, true},
		{"a cost of 0 not while there is none", share.State{Level: .5}, 0, 0, false},
		{"a token that is given back always", share.State{Level: -50}, -1, 0, true},
		{"what comes in", share.State{Level: 0}, 5, 500 * limit.Millisecond, true},
		{"no more than comes in", share.State{Level: 0}, 6, 500 * limit.Millisecond, false},
		{"not what others take of it", share.State{Level: 0, Rate: 8}, 2, 500 * limit.Millisecond, false},
		{"what others leave of it", share.State{Level: 0, Rate: 6}, 2, 500 * limit.Millisecond, true},
		{"after Hold others are supposed to take nothing", share.State{Level: 0, Rate: 10}, 10, share.Hold + limit.Second, true},
		{"until Hold they are supposed to go on", share.State{Level: 0, Rate: 10}, 1, share.Hold, false},
		{"a debt is paid back first", share.State{Level: -10}, 1, limit.Second, false},
		{"then it is admitted again", share.State{Level: -10}, 1, 1100 * limit.Millisecond, true},
		{"a debt has a floor", share.State{Level: -1e9}, 1, 20_100 * limit.Millisecond, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEnd(p, 3)
			e.hear(start, c.told)
			if got := e.ask(start.Add(c.after), c.cost); got != c.want {
				t.Errorf("with %v left: admitted %v, want %v", e.level(start.Add(c.after)), got, c.want)
			}
		})
	}
}

// Where there is no whole token all refuse, so that what comes in stays until there is
// one. Then they take what comes in, but for what is kept to come to the level aimed at.
func TestInDebtOthersAreSupposedToRefuse(t *testing.T) {
	const demand = 10_000
	for _, c := range []struct {
		name   string
		left   float64 // which takes others to take rate, were nobody refused for want of it
		rate   float64
		after  limit.Span
		lo, hi float64
	}{
		{"half a token", .5, 895, limit.Millisecond / 2, 1, 1},
		{"a debt is paid back", -10, 790, 10 * limit.Millisecond, 0, 0},
		{"all of it", -10, 790, 11 * limit.Millisecond, 1, 1},
		{"then what comes in is taken", -10, 790, 16 * limit.Millisecond, 1, 2},
		{"while there is a token it is", 1, 900, 5 * limit.Millisecond, 1, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEnd(bucket(1000, limit.Second, 1000), 50)
			e.hear(start, share.State{Level: c.left, Rate: c.rate, Demand: demand, Others: 49})
			if got := e.level(start.Add(c.after)); got < c.lo-1e-6 || got > c.hi+1e-6 {
				t.Errorf("%v of %v tokens are left after %v, want %v to %v", got, c.left, c.after, c.lo, c.hi)
			}
		})
	}
}

// What a node took and its home does not know of stays taken when it is told.
func TestWhatTheHomeDoesNotKnowStaysTaken(t *testing.T) {
	for _, c := range []struct {
		name string
		told share.State
		want float64
	}{
		{"all that it took is known", share.State{Level: 900, Line: true, Seen: 30, Era: 1}, 900},
		{"ten tokens are not known", share.State{Level: 900, Line: true, Seen: 20, Era: 1}, 890},
		{"the home has extrapolated too far", share.State{Level: 900, Line: true, Seen: 34, Era: 1}, 904},
		{"without a line what it reported is known", share.State{Level: 900}, 890},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEnd(hourly, 3)
			for range 20 {
				e.ask(start, 1)
			}
			e.counter().Report(start)
			for range 10 {
				e.ask(start, 1)
			}
			e.hear(start, c.told)
			near(t, "the level", e.level(start), c.want, 1e-9)
		})
	}
}

func TestTheDemandOfANode(t *testing.T) {
	for _, c := range []struct {
		name     string
		requests int
		gap      limit.Span
		after    limit.Span
		want     float64 // per second
		off      float64 // allowed, as a part of it
	}{
		{"a steady stream", 200, 10 * limit.Millisecond, 0, 100, .05},
		{"the first moments of a fast one", 20, limit.Millisecond, 0, 1000, .4},
		{"a slow one", 10, limit.Second, 0, 1, .15},
		{"a stream that ended a second ago", 200, 10 * limit.Millisecond, limit.Second, 8, .05},
		{"nothing for forty seconds", 200, 10 * limit.Millisecond, 40 * limit.Second, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEnd(bucket(20, limit.Second, 20), 3) // most are refused, and count
			e.hear(start, share.State{Level: 0, Rate: 20, Demand: 1})
			now := start
			for range c.requests {
				now = now.Add(c.gap)
				e.ask(now, 1)
				e.counter().Due(now)
			}
			for end := now.Add(c.after); now < end; {
				now = now.Add(limit.Second / 2)
				e.counter().Settle(now)
				e.counter().Report(now)
			}
			near(t, "the demand that is reported", e.counter().Report(now).Demand, c.want, c.want*c.off)
		})
	}
}

// Requests come at random, and yet a node takes what it said of what comes in: it
// has little to report.
func TestWhatComesInIsGrantedEvenly(t *testing.T) {
	const rate = 1000
	p := bucket(rate, limit.Second, rate)
	for _, c := range []struct {
		times   float64 // the limit, half of it here
		reports int     // at most in 10 s
	}{{1.25, 40}, {2, 25}, {10, 12}} {
		t.Run(fmt.Sprint(c.times), func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, 2))
			demand := c.times * rate / 2
			e := newEnd(p, 2)
			reports, now := 0, start
			for now < start.Add(12*limit.Second) {
				now = now.Add(limit.Span(random.ExpFloat64() / demand * float64(limit.Second)))
				e.hear(now, share.State{Level: 25, Rate: rate / 2, Demand: demand, Others: 1, Line: true, Seen: e.local.Taken(), Era: 1})
				e.ask(now, 1)
				if e.counter().Due(now) {
					e.counter().Report(now)
					if now > start.Add(2*limit.Second) {
						reports++
					}
				}
			}
			if reports > c.reports {
				t.Errorf("%d reports in 10 s, want at most %d", reports, c.reports)
			}
		})
	}
}

// A node that has earned a token waits for the next request before it says that it did not
// take it: for what it grants early, beside the margin.
func TestANodeWaitsForTheNextRequestBeforeItSaysThatItLags(t *testing.T) {
	const rate, times, nodes = 1000, 2, 50
	const gap = limit.Second * nodes / (rate * times) // from one request to the next
	e := newEnd(bucket(rate, limit.Second, rate), nodes)
	now := start
	for now < start.Add(3*limit.Second) {
		now = now.Add(gap)
		e.hear(now, share.State{
			Level: e.rule.Aim(rate * times), Rate: rate - rate/nodes, Demand: rate*times - e.local.Asked(now), Others: nodes - 1, Line: true, Seen: e.local.Taken(), Era: 1,
		})
		e.ask(now, 1)
	}
	e.counter().Report(now)
	said := now
	for c := e.counter(); !c.Due(now); c.Settle(now) {
		now = now.Add(limit.Millisecond)
	}
	// A quarter of a token is granted early, the margin is one, and 20 are earned in a second.
	near(t, "the seconds until it speaks", float64(now.Sub(said))/float64(limit.Second), 1.25/20, .006)
}

// A client that goes from node to node gets its part at each of them, though that is
// asked for nothing most of the time.
func TestAnIntermittentClientIsNotKeptShort(t *testing.T) {
	const rate, times, nodes = 1000, 10, 10
	e := newEnd(bucket(rate, limit.Second, rate), nodes)
	random := rand.New(rand.NewPCG(1, 2))
	now, asked, admitted := start, 0., 0.
	for now < start.Add(20*limit.Second) {
		now = now.Add(limit.Span(random.ExpFloat64() / (times * rate) * float64(limit.Second)))
		if since := now.Sub(start) % (200 * limit.Millisecond); since > 20*limit.Millisecond {
			now = now.Add(200*limit.Millisecond - since) // they are elsewhere
		}
		e.hear(now, share.State{
			Level: e.rule.Aim(rate * times), Rate: rate, Demand: rate*times - e.local.Asked(now), Others: nodes - 1, Line: true, Seen: e.local.Taken(), Era: 1,
		})
		if asked++; e.ask(now, 1) {
			admitted++
		}
	}
	near(t, "the part of the requests that is admitted", admitted/asked, 1./times, .1/times)
}

// What a node admits more or less to come to the level that is aimed at is over soon:
// it says what it is going to take then.
func TestTheRateThatANodeSays(t *testing.T) {
	const rate, asked = 1000, 2000
	for _, c := range []struct {
		name          string
		level, demand float64 // what is left, and what others are asked for
		want          float64
	}{
		{"at the level that is aimed at", 25, 2000, 500},
		{"a little above it", 35, 2000, 500},
		{"a little below it", 15, 2000, 500},
		{"others are asked for more", 25, 6000, 250},
		{"all is admitted", 900, 2000, asked},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEnd(bucket(rate, limit.Second, rate), 2)
			now := start
			for range 2 * asked {
				now = now.Add(limit.Second / asked)
				e.hear(now, share.State{Level: c.level, Rate: rate / 2, Demand: c.demand, Others: 1, Line: true, Seen: e.local.Taken(), Era: 1})
				e.ask(now, 1)
			}
			near(t, "the rate that is said", e.counter().Report(now).Rate, c.want, c.want*.05)
		})
	}
}
