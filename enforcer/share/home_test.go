package share_test

import (
	"math"
	"testing"

	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/share"
)

// books is a home with what it told, driven by hand.
type books struct {
	*share.Home
	params decide.Params
	rule   share.Rule
	told   map[int32]share.State
	rest   []share.State
}

func newBooks(p decide.Params, nodes int, ready limit.Instant) *books {
	b := &books{params: p, rule: share.NewRule(&p, nodes, delay, false), told: map[int32]share.State{}}
	b.Home = share.NewHome(&b.rule, start, ready)
	return b
}

func (b *books) apply(at limit.Instant, node int32, seq uint32, rep share.Report) (fell float64, ok bool) {
	return b.Apply(&b.params, &b.rule, share.Sender{Node: node, Life: 1, Seq: seq}, &rep, at)
}

func (b *books) level(at limit.Instant) float64 { return b.Level(&b.params, &b.rule, at) }

func (b *books) check(at limit.Instant, self, heir int32) {
	clear(b.told)
	b.rest = nil
	b.Check(&b.params, &b.rule, at, share.Pool{Missing: limit.Second}, self, heir, b)
}

func (b *books) Tell(node int32, s *share.State) { b.told[node] = *s }

func (b *books) TellRest(s *share.State, _ func(int32) bool) { b.rest = append(b.rest, *s) }

// hourly is a limit of which nothing comes back while a test runs.
var hourly = must(decide.FixedWindow(1000, limit.Hour))

func TestReports(t *testing.T) {
	type step struct {
		at    limit.Span
		from  share.Sender
		rep   share.Report
		want  float64 // level afterwards
		stale bool
	}
	ms := limit.Millisecond
	node := func(n int32, life, seq uint32) share.Sender { return share.Sender{Node: n, Life: life, Seq: seq} }
	fresh := func(taken int64, level float64) share.Report {
		return share.Report{Taken: taken, Level: level, Era: 1, Fresh: true}
	}
	told := func(taken int64, level float64) share.Report {
		return share.Report{Taken: taken, Level: level, Era: 1}
	}
	era := func(n uint16, rep share.Report) share.Report { rep.Era = n; return rep }
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"a report replaces the one before", []step{
			{from: node(1, 1, 1), rep: fresh(10, 990), want: 990},
			{at: ms, from: node(1, 1, 2), rep: fresh(25, 975), want: 975},
		}},
		{"nodes add up", []step{
			{from: node(1, 1, 1), rep: fresh(10, 990), want: 990},
			{from: node(2, 1, 1), rep: fresh(20, 980), want: 970},
		}},
		{"a lost report is mended by the next", []step{
			{from: node(1, 1, 1), rep: fresh(10, 990), want: 990},
			{at: ms, from: node(1, 1, 3), rep: told(40, 960), want: 960},
		}},
		{"an overtaken report changes nothing", []step{
			{from: node(1, 1, 3), rep: fresh(40, 960), want: 960},
			{at: ms, from: node(1, 1, 2), rep: fresh(10, 990), want: 960, stale: true},
		}},
		{"numbers wrap around", []step{
			{from: node(1, 1, math.MaxUint32), rep: fresh(10, 990), want: 990},
			{from: node(1, 1, 1), rep: fresh(20, 980), want: 980},
			{from: node(1, 1, math.MaxUint32), rep: fresh(10, 990), want: 980, stale: true},
		}},
		{"tokens that are given back come back", []step{
			{from: node(1, 1, 1), rep: fresh(30, 970), want: 970},
			{at: ms, from: node(1, 1, 2), rep: fresh(10, 990), want: 990},
			{at: 2 * ms, from: node(1, 1, 3), rep: fresh(-500, 1000), want: 1000},
		}},
		{"a restarted node begins anew, and what it took stays taken", []step{
			{from: node(1, 1, 900), rep: fresh(30, 970), want: 970},
			{at: ms, from: node(1, 2, 1), rep: fresh(5, 995), want: 965},
			{at: ms, from: node(1, 2, 2), rep: fresh(6, 994), want: 964},
		}},
		{"a counter that was forgotten and made anew begins anew", []step{
			{from: node(1, 1, 1), rep: fresh(30, 970), want: 970},
			{at: ms, from: node(1, 1, 2), rep: era(2, fresh(5, 965)), want: 965},
			{at: ms, from: node(1, 1, 3), rep: era(2, fresh(7, 963)), want: 963},
		}},
		{"of a node that took before this one was the home the level counts", []step{
			{from: node(1, 1, 1), rep: told(400, 300), want: 300},
			{from: node(1, 1, 2), rep: told(410, 290), want: 290},
			{from: node(2, 1, 1), rep: told(100, 900), want: 290},
		}},
		{"a debt is remembered to a floor", []step{
			{from: node(1, 1, 1), rep: fresh(900, 100), want: 100},
			{from: node(2, 1, 1), rep: fresh(900, 100), want: -800},
			{from: node(3, 1, 1), rep: fresh(900, 100), want: -1000}, // 1000 each hour, so no more than a burst
		}},
		{"a handed-over level counts where it is lower", []step{
			{from: node(1, 1, 1), rep: share.Report{Level: 600, HandOver: true, Register: true}, want: 600},
			{from: node(1, 1, 1), rep: share.Report{Level: 800, HandOver: true, Register: true}, want: 600},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBooks(hourly, 3, start)
			for i, s := range c.steps {
				at := start.Add(s.at)
				before := b.level(at)
				fell, ok := b.Apply(&b.params, &b.rule, s.from, &s.rep, at)
				if ok == s.stale {
					t.Fatalf("step %d: Apply() = %v, want %v", i, ok, !s.stale)
				}
				near(t, "the level", b.level(at), s.want, 1e-9)
				if !s.rep.HandOver {
					near(t, "the fall", fell, before-s.want, 1e-9)
				}
			}
		})
	}
}

func TestLinesGoOnUntilTheyAreHeldTooLong(t *testing.T) {
	b := newBooks(must(decide.FixedWindow(10_000, limit.Hour)), 3, start)
	b.apply(start, 1, 1, share.Report{Taken: 10, Rate: 100, Demand: 200, Level: 9990, Era: 1, Fresh: true})
	b.apply(start, 2, 1, share.Report{Taken: 10, Rate: 50, Demand: 50, Level: 9980, Era: 1, Fresh: true})
	near(t, "the level after a second", b.level(start.Add(limit.Second)), 9980-150, 1e-6)

	b.Gone(&b.params, &b.rule, 2, 0, start.Add(limit.Second))
	b.Gone(&b.params, &b.rule, 77, 0, start.Add(limit.Second)) // nobody
	near(t, "the level a second after one has gone", b.level(start.Add(2*limit.Second)), 9830-100, 1e-6)

	b.check(start.Add(share.Hold), -1, -1)
	if rate, demand, _, _ := b.Sums(); rate != 100 || demand != 200 {
		t.Errorf("within Hold others take %v and ask for %v, want 100 and 200", rate, demand)
	}
	b.check(start.Add(share.Hold+1), -1, -1)
	if rate, demand, _, _ := b.Sums(); rate != 0 || demand != 0 {
		t.Errorf("after Hold others take %v and ask for %v, want nothing", rate, demand)
	}
	level := b.level(start.Add(share.Hold + limit.Second))
	near(t, "the level when nobody is heard any more", level, 9980-1000-50, 1)

	b.apply(start.Add(20*limit.Second), 1, 2, share.Report{Taken: 310, Era: 1, Level: 9690})
	near(t, "the level when the node is heard again", b.level(start.Add(20*limit.Second)), 10_000-310-10-50, 1)
}

// A counter gets a new home: those who take from it register there.
func TestRegistration(t *testing.T) {
	const wait = 25 * limit.Millisecond
	ready := start.Add(wait)
	register := func(taken int64, level, rate, othersRate float64) share.Report {
		return share.Report{
			Taken: taken, Level: level, Rate: rate, Demand: 2 * rate, Era: 1,
			Register: true, OthersRate: othersRate, OthersDemand: 2 * othersRate,
		}
	}
	p := must(decide.FixedWindow(10_000, limit.Hour))
	b := newBooks(p, 4, ready)
	b.apply(start, 1, 1, register(100, 900, 10, 60))
	b.apply(start, 2, 1, register(50, 800, 20, 50))
	b.check(start, -1, -1)
	if len(b.told)+len(b.rest) > 0 {
		t.Errorf("%v and %v were told before all had registered", b.told, b.rest)
	}
	near(t, "the lowest level that was registered", b.level(start), 800, 1e-9)

	b.check(ready, -1, -1)
	rate, demand, rateOfLines, demandOfLines := b.Sums()
	near(t, "the rate with a ghost for the missing", rate, 70, 1e-3)
	near(t, "the demand with it", demand, 140, 1e-3)
	near(t, "the sum of the lines' rates", rateOfLines, rate, 1e-9)
	near(t, "the sum of the lines' demands", demandOfLines, demand, 1e-9)
	if len(b.told) != 2 {
		t.Errorf("%d nodes were told, want both that registered", len(b.told))
	}

	b.apply(ready.Add(limit.Millisecond), 3, 1, register(10, 850, 30, 30))
	rate, _, _, _ = b.Sums()
	near(t, "the rate when a late one has registered in place of the ghost", rate, 70, 1e-3)

	b.check(ready.Add(limit.Second+limit.Millisecond), -1, -1)
	rate, _, _, _ = b.Sums()
	near(t, "the rate when the rest is missing no more", rate, 60, 1e-3)
}

// Who cannot be reached, or has not registered, goes on: with his part of what comes
// in where there is not enough for all, else with all that he is asked for.
func TestWhoIsAwayTakesHisPart(t *testing.T) {
	for _, c := range []struct {
		name  string
		level int64 // of 1000, to which 1000 a second come in
		times float64
		said  float64 // part of the demand that those who register have said
	}{
		{"with enough for all", 900, .5, 1},
		{"with enough for all, who have not said how much they are asked for", 900, .5, 0},
		{"near the limit", 12, 5, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			demand := 1000 * c.times
			rate := min(1000, demand)
			b := newBooks(bucket(1000, limit.Second, 1000), 5, start)
			b.apply(start, 1, 1, share.Report{Taken: 1000 - c.level, Rate: .5 * rate, Demand: .5 * demand, Era: 1, Fresh: true})
			b.apply(start, 2, 1, share.Report{Rate: .5 * rate, Demand: .5 * demand, Era: 1, Fresh: true})
			b.apply(start, 1, 2, share.Report{Taken: 1000 - c.level, Rate: .5 * rate, Demand: .5 * demand, Era: 1})
			b.Away(&b.params, &b.rule, 2, start)
			near(t, "the rate with who is away", b.Taking(&b.params, &b.rule, start), rate, .01*rate)
			near(t, "the level", b.level(start), float64(c.level), 1)

			next := newBooks(b.params, 5, start.Add(1))
			for node := range int32(2) {
				next.apply(start, node, 1, share.Report{
					Level: float64(c.level), Rate: .2 * rate, Demand: .2 * demand * c.said, Era: 1,
					Register: true, OthersRate: .8 * rate, OthersDemand: .8 * demand,
				})
			}
			next.check(start.Add(1), -1, -1)
			near(t, "the rate with those who have not registered", next.Taking(&next.params, &next.rule, start.Add(1)), rate, .01*rate)
		})
	}
}

// While nodes register nobody is debited who has not, so that the level rises. What they
// believe of the others is at the level that they know.
func TestANewHomeSupposesWhatWasBelievedBeforeItWaited(t *testing.T) {
	b := newBooks(bucket(1000, limit.Second, 1000), 10, start.Add(30*limit.Millisecond))
	register := func(at limit.Instant, node int32) {
		b.apply(at, node, 1, share.Report{
			Level: 12, Rate: 100, Demand: 1000, Era: 1,
			Register: true, OthersRate: 900, OthersDemand: 9000,
		})
	}
	register(start, 1)
	late := start.Add(30 * limit.Millisecond)
	b.check(late, -1, -1)
	for node := range int32(4) {
		register(late, 2+node)
	}
	_, demand, _, _ := b.Sums()
	near(t, "the demand with that of five who cannot register", demand, 10_000, 1)
}

func TestANewHomeHasAGhostOnlyForWhatMatters(t *testing.T) {
	b := newBooks(hourly, 3, start.Add(1))
	b.apply(start, 1, 1, share.Report{Level: 900, Rate: 99, Demand: 99, Era: 1, Register: true, OthersRate: 1, OthersDemand: 1})
	b.check(start.Add(1), -1, -1)
	if rate, _, _, _ := b.Sums(); rate != 99 {
		t.Errorf("others take %v, want 99: the rest is what rates are rounded by", rate)
	}
}

func TestHandOver(t *testing.T) {
	old := newBooks(must(decide.FixedWindow(10_000, limit.Hour)), 3, start)
	old.apply(start, 1, 1, share.Report{Taken: 3000, Rate: 100, Demand: 300, Level: 7000, Era: 1, Fresh: true})
	at := start.Add(limit.Second)
	rep := old.HandOver(&old.params, &old.rule, at)

	next := newBooks(old.params, 3, at.Add(25*limit.Millisecond))
	next.apply(at, 2, 9, rep)
	near(t, "the level that was handed over", next.level(at), 6900, .1)
	if got := next.Lines(); got != 0 {
		t.Errorf("%d lines, want none: the former home has taken nothing", got)
	}
	// Until the node registers it is supposed to go on. What it took is part of the level
	// then.
	at = at.Add(20 * limit.Millisecond)
	near(t, "the level 20 ms later", next.level(at), 6898, .1)
	next.apply(at, 1, 2, share.Report{
		Taken: 3102, Rate: 100, Demand: 300, Level: 6898, Era: 1, Register: true,
	})
	next.check(at.Add(25*limit.Millisecond), -1, -1)
	rate, _, _, _ := next.Sums()
	near(t, "the rate", rate, 100, .1)
	near(t, "the level a second later", next.level(at.Add(limit.Second)), 6798, 1)
}

func TestWhenAHomeIsIdle(t *testing.T) {
	p := bucket(10, limit.Second, 100)
	b := newBooks(p, 3, start)
	b.apply(start, 1, 1, share.Report{Level: 0, HandOver: true})
	for _, c := range []struct {
		after limit.Span
		below float64 // a part of the burst that less is left of
		want  bool
	}{{0, .1, false}, {5 * limit.Second, .75, false}, {9 * limit.Second, .95, false}, {11 * limit.Second, 1.01, true}} {
		at := start.Add(c.after)
		if got := b.Idle(&b.params, &b.rule, at); got != c.want {
			t.Errorf("after %v: Idle() = %v, want %v", c.after.Duration(), got, c.want)
		}
		if !b.Below(&b.params, &b.rule, c.below, at) {
			t.Errorf("after %v: not below %v", c.after.Duration(), c.below)
		}
	}
}

// A former home of a split pool hands over to one that was the home all the time.
// What that knows already is not counted again.
func TestAHandOverToAHomeThatIsNotNew(t *testing.T) {
	b := newBooks(bucket(1000, limit.Second, 1000), 4, start)
	for i := range 100 { // 500 a second
		at := start.Add(limit.Span(i) * 100 * limit.Millisecond)
		b.apply(at, 1, uint32(i), share.Report{Taken: int64(50 * i), Rate: 500, Demand: 500, Level: 1000, Era: 1, Fresh: i == 0})
	}
	at := start.Add(10 * limit.Second)
	before := b.level(at)
	b.apply(at, 2, 1, share.Report{Level: 990, OthersRate: 300, OthersDemand: 300, HandOver: true, Register: true})
	near(t, "the level", b.level(at), min(before, 990), 20)
}

// A node that was on the other side of a split network told another home what it
// took. There was room for that here, even if it comes back just when its old line has
// ended.
func TestWhoComesBackFromASplitStarvesNobody(t *testing.T) {
	for _, away := range []limit.Span{5 * limit.Second, share.Hold, share.Hold + limit.Second} {
		t.Run(away.Duration().String(), func(t *testing.T) {
			b := newBooks(bucket(1000, limit.Second, 1000), 4, start)
			b.apply(start, 1, 1, share.Report{Taken: 10, Rate: 300, Demand: 300, Level: 990, Era: 1, Fresh: true})
			at := start
			for end := start.Add(away); at < end; {
				at = at.Add(limit.Second / 2)
				b.check(at, -1, -1)
			}
			took := int64(400 * away / limit.Second) // a third more than it said
			b.apply(at, 1, 2, share.Report{
				Taken: 10 + took, Rate: 400, Demand: 400, Level: 1000, Age: 100 * limit.Millisecond, Era: 1, Register: true,
			})
			near(t, "the level", b.level(at), 1000, 1)
		})
	}
}
