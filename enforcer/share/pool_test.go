package share_test

import (
	"fmt"
	"testing"

	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/internal/sim"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/share"
)

func lan(int) sim.Link { return sim.Link{Min: limit.Millisecond, Max: 3 * limit.Millisecond} }

// spread offers load over the nodes by weight, and returns what each admitted.
func (c *pool) spread(perSecond float64, d limit.Span, weights ...float64) []*tally {
	sum := 0.0
	for _, w := range weights {
		sum += w
	}
	all := make([]*tally, len(weights))
	for i, w := range weights {
		all[i] = &tally{}
		if w > 0 {
			all[i] = c.offer(i, perSecond*w/sum, d, 1)
		}
	}
	return all
}

func admitted(all []*tally) (n int) {
	for _, t := range all {
		n += t.admitted
	}
	return n
}

// Ten times what is allowed is cut to the limit, whoever is asked, and what is
// below the limit is not cut at all.
func TestAPoolAdmitsWhatOneNodeWould(t *testing.T) {
	const seconds = 4
	for _, weights := range [][]float64{
		{1, 1, 1},
		{16, 3, 1},
		{1, 0, 0},
		{1, 1, 1, 1, 1, 1, 1, 1, 1, 1},
	} {
		for _, load := range []float64{.9, 2, 10} {
			t.Run(fmt.Sprintf("%v times the limit over %v", load, weights), func(t *testing.T) {
				c := newPool(bucket(1000, limit.Second, 1000), len(weights), false, 1).drive()
				c.link = lan
				all := c.spread(1000*load, seconds*limit.Second, weights...)
				c.Run(seconds * limit.Second)
				want, off := 1000*load*seconds, 1.
				if load > 1 {
					want, off = 1000*seconds+1000, 100
				}
				near(t, "what was admitted", float64(admitted(all)), want, off)
			})
		}
	}
}

func TestItHardlyMattersWhichNodeIsAsked(t *testing.T) {
	weights := make([]float64, 10)
	for i := range weights {
		weights[i] = 1 / float64(i+1)
	}
	c := newPool(bucket(1000, limit.Second, 1000), 10, false, 1).drive()
	c.link = lan
	all := c.spread(10_000, 10*limit.Second, weights...)
	c.Run(10 * limit.Second)
	sum, squares := 0., 0.
	for _, a := range all {
		sum += a.ratio()
		squares += a.ratio() * a.ratio()
	}
	if jain := sum * sum / squares / 10; jain < .9997 { // 1 where all have the same chance
		t.Errorf("Jain's index of the chances on ten nodes is %.4f, want at least 0.9997", jain)
	}
}

// A report that comes late is of tokens that have come in again meanwhile. Where
// they had no room then, they are not missing now: a client that stays below its
// limit is not refused for it.
func TestALateReportDoesNotStarveAClientBelowItsLimit(t *testing.T) {
	for _, outage := range []limit.Span{100 * limit.Millisecond, 900 * limit.Millisecond, 3 * limit.Second, 9 * limit.Second} {
		t.Run(outage.Duration().String(), func(t *testing.T) {
			c := newPool(bucket(1000, limit.Second, 1000), 3, false, 1).drive()
			c.link = lan
			refused := func(d limit.Span) int {
				all := c.spread(900, d, 1, 1, 1)
				c.Run(d)
				asked := 0
				for _, a := range all {
					asked += a.asked
				}
				return asked - admitted(all)
			}
			if n := refused(2 * limit.Second); n > 0 {
				t.Errorf("%d were refused before the outage", n)
			}
			c.link = func(node int) sim.Link {
				if node == 0 {
					return sim.Link{Loss: 1}
				}
				return lan(node)
			}
			if n := refused(outage); n > 0 {
				t.Errorf("%d were refused during the outage", n)
			}
			c.link = lan
			if n := refused(5 * limit.Second); n > 0 {
				t.Errorf("%d of 4500 were refused after the outage", n)
			}
		})
	}
}

// The refund is of tokens that had no room, and of no others.
func TestRefunds(t *testing.T) {
	type report struct {
		node  int32
		at    limit.Span
		taken int64
		age   limit.Span
		era   uint16
	}
	s, ms := limit.Second, limit.Millisecond
	for _, c := range []struct {
		name string
		told []report
		want float64 // level after the last, of a bucket of 1000 that 100 a second come in to
	}{
		{"what came in since it was taken is not missing", []report{{1, 20 * s, 50, s / 2, 1}}, 1000},
		{"what did not come in again is", []report{{1, 20 * s, 50, s / 10, 1}}, 960},
		{"nothing came in since just now", []report{{1, 20 * s, 50, 0, 1}}, 950},
		{"after an outage half a minute is remembered", []report{{1, 100 * s, 5000, 60 * s, 1}}, -1000},
		{"half a minute brings 3000", []report{{1, 100 * s, 3500, 60 * s, 1}}, 500},
		{"what came in is given back once", []report{{1, 20 * s, 40, 400 * ms, 1}, {2, 20 * s, 40, 400 * ms, 1}}, 960},
		{"and to tokens of the last half second only what came in since", []report{{1, 20 * s, 1000, 0, 1}, {2, 20*s + 600*ms, 60, 620 * ms, 1}}, 60 - 60*496/620},
		{"a counter that was not full since has lost nothing", []report{{1, s, 1000, 0, 1}, {1, 6 * s, 1100, 2 * s, 1}, {1, 7 * s, 1200, s, 1}}, 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBooks(bucket(100, limit.Second, 1000), 3, start)
			at := start
			for i, r := range c.told {
				for ; at < start.Add(r.at); at = at.Add(50 * limit.Millisecond) {
					b.level(at) // every home is looked at now and then
				}
				b.apply(at, r.node, uint32(i), share.Report{Taken: r.taken, Age: r.age, Era: r.era, Fresh: true})
			}
			near(t, "the level", b.level(at), c.want, .3)
		})
	}
	window := newBooks(must(decide.FixedWindow(1000, 100*limit.Second)), 3, start)
	window.apply(start.Add(20*s), 1, 1, share.Report{Taken: 50, Age: 10 * s, Era: 1, Fresh: true})
	near(t, "the level of a window, to which nothing comes in", window.level(start.Add(20*s)), 950, 1e-9)
}

// Only what came in since a token was taken is refunded for it, to the millisecond:
// when many nodes report at once, a little for each is much.
func TestARefundIsExactInTime(t *testing.T) {
	ms := limit.Millisecond
	for _, c := range []struct {
		made, told, age limit.Span
		want            float64 // of 1000 a second
	}{
		{ms, ms, ms, 1},
		{12 * ms, 12 * ms, 4 * ms, 4},
		{12 * ms, 12 * ms, 17 * ms, 17},
		{12 * ms, 14 * ms, 4 * ms, 4},
		{0, 15 * ms, 4 * ms, 4},
		{0, 79 * ms, 64 * ms, 64},
	} {
		b := newBooks(bucket(1000, limit.Second, 1000), 10, start)
		b.Home = share.NewHome(&b.rule, start.Add(c.made), start.Add(c.made))
		at := start.Add(c.told)
		b.level(at)
		for node := range int32(10) {
			b.apply(at, node, 1, share.Report{Taken: 50, Age: c.age, Era: 1, Fresh: true})
		}
		what := fmt.Sprintf("made after %v, told after %v: the refund for %v", c.made.Duration(), c.told.Duration(), c.age.Duration())
		near(t, what, b.level(at)-500, c.want, .1)
	}
}

// A node that has lost what its home told believes that more is left than is. Its
// next report says so, and the home corrects it.
func TestALostStateIsMendedByWhatTheNodeReports(t *testing.T) {
	c := newPool(bucket(1000, limit.Second, 1000), 3, false, 1).drive()
	c.link = lan
	c.spread(3000, 20*limit.Second, 1, 1, 1)
	c.Run(2 * limit.Second)
	near(t, "node 0's view", c.level(0), c.homeLevel(), 30)

	// It believes that all is left, and that nobody else is asked.
	n := c.nodes[0]
	counter := c.counter(n)
	counter.Settle(c.Now())
	counter.Hear(c.Now(), &share.State{Level: 800})
	if off := c.level(0) - c.homeLevel(); off < 500 {
		t.Fatalf("node 0's view is off by %v only", off)
	}
	c.Run(150 * limit.Millisecond)
	near(t, "node 0's view soon after", c.level(0), c.homeLevel(), 30)
}

func TestAFlashIsPaidBack(t *testing.T) {
	for _, nodes := range []int{2, 3, 10} {
		t.Run(fmt.Sprintf("%d nodes", nodes), func(t *testing.T) {
			c := newPool(bucket(100, limit.Second, 100), nodes, false, 1).drive()
			c.link = lan
			total := 0
			for i := range nodes { // within one delay
				for range 200 {
					if c.ask(i, 1) {
						total++
					}
				}
			}
			if total != 100*nodes {
				t.Errorf("%d were admitted at once, want the burst on each of %d nodes", total, nodes)
			}
			weights := make([]float64, nodes)
			for i := range weights {
				weights[i] = 1
			}
			all := c.spread(500, 20*limit.Second, weights...)
			c.Run(20 * limit.Second)
			near(t, "what was admitted in 20 s", float64(total+admitted(all)), 100+20*100, 15)
		})
	}
}

func TestAStrictFlashIsNoMoreThanTheBurst(t *testing.T) {
	c := newPool(bucket(100, limit.Second, 100), 10, true, 1).drive()
	total := 0
	for i := range 10 {
		for range 200 {
			if c.ask(i, 1) {
				total++
			}
		}
	}
	if total != 100 {
		t.Errorf("%d were admitted at once, want 10 on each of 10 nodes", total)
	}
	c.link = lan
	all := c.spread(500, 10*limit.Second, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)
	c.Run(10 * limit.Second)
	near(t, "what was admitted in 10 s", float64(total+admitted(all)), 1100, 15)
}

// A node that was told of a counter takes from it for the first time, at the same
// moment as another one.
func TestTheFirstReportOfANodeThatWasToldIsCharged(t *testing.T) {
	c := newPool(bucket(100, limit.Hour, 100), 3, false, 1).drive()
	for range 60 {
		c.ask(0, 1)
	}
	c.Run(1500 * limit.Millisecond) // everybody knows that 40 are left
	taken := 60
	for range 20 {
		for i := 1; i < 3; i++ {
			if c.ask(i, 1) {
				taken++
			}
		}
	}
	c.Run(limit.Second)
	near(t, "the home's level", c.homeLevel(), float64(100-taken), 1)
	for i := range 3 {
		near(t, fmt.Sprintf("the view of node %d", i), c.level(i), float64(100-taken), 1)
	}
}
