package share_test

import (
	"testing"

	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/share"
)

// A home leaves half of what comes in to a node that it cannot reach. What that node
// took, or more or less of it, it says when it is back; that is not debited twice, however
// long it was away.
func TestWhoIsBackIsNotDebitedTwice(t *testing.T) {
	const away = 60 * limit.Second
	for _, c := range []struct {
		name  string
		taken int64   // by the absent node meanwhile
		want  float64 // level, when the home has heard of it
		later float64 // a fifth of a second later: nobody takes anything from a debt
		again float64 // after another time
	}{
		{"as much as was left to it", 30_000, 12, 12, -88},
		{"less", 25_000, 12, 12, -88}, // what was left to it unused is not given back
		{"more", 30_300, -288, -88, -238},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBooks(bucket(1000, limit.Second, 1000), 2, start)
			b.apply(start, 1, 1, share.Report{Taken: 494, Level: 506, Rate: 500, Demand: 5000, Era: 1, Fresh: true})
			b.apply(start, 2, 1, share.Report{Taken: 494, Level: 12, Rate: 500, Demand: 5000, Era: 1, Fresh: true})
			b.Away(&b.params, &b.rule, 2, start)
			now, pool := start, share.Pool{Missing: share.Hold}
			for seq := uint32(2); now < start.Add(away); seq++ {
				now = now.Add(100 * limit.Millisecond)
				b.apply(now, 1, seq, share.Report{Taken: 494 + int64(now.Sub(start)/limit.Millisecond)/2, Level: 12, Rate: 500, Demand: 5000, Era: 1})
				if now.Sub(start) >= share.Hold {
					pool.Away = .5
				}
				b.Check(&b.params, &b.rule, now, pool, 1, -1, b)
			}
			near(t, "the level while it is away", b.level(now), 12, 10)
			b.apply(now, 2, 2, share.Report{Taken: 494 + c.taken, Level: 12, Rate: 500, Demand: 5000, Era: 1, Register: true})
			near(t, "the level when it is back", b.level(now), c.want, 10)
			now = now.Add(200 * limit.Millisecond)
			b.Check(&b.params, &b.rule, now, share.Pool{}, 1, -1, b)
			near(t, "the level a little later", b.level(now), c.later, 10)

			// Not for long, and that time it takes 700, which is more than its part.
			b.Away(&b.params, &b.rule, 2, now)
			now = now.Add(limit.Second)
			b.apply(now, 2, 3, share.Report{Taken: 494 + c.taken + 700, Level: 12, Rate: 500, Demand: 5000, Era: 1, Register: true})
			near(t, "the level after another time", b.level(now), c.again, 10)
		})
	}
}

// What a node is supposed to have taken since it is silent is given back when it is down,
// and taken again when it is not.
func TestWhatASilentNodeHasNotTakenIsGivenBack(t *testing.T) {
	at := func(ms limit.Span) limit.Instant { return start.Add(ms * limit.Millisecond) }
	for _, c := range []struct {
		name   string
		silent limit.Instant
		away   bool    // it may have taken it all the same
		down   float64 // level after a second, when it is found to be down
	}{
		{"since when is not known", 0, false, 9830},
		{"since 400 ms", at(600), false, 9850},
		{"all the time", start, false, 9880},
		{"longer than anybody has heard of it", start.Add(-limit.Second), false, 9880},
		{"since now", at(1000), false, 9830},
		{"away until now", at(600), true, 9830},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBooks(must(decide.FixedWindow(10_000, limit.Hour)), 3, start)
			b.apply(start, 1, 1, share.Report{Taken: 10, Rate: 100, Demand: 200, Level: 9990, Era: 1, Fresh: true})
			b.apply(start, 2, 1, share.Report{Taken: 10, Rate: 50, Demand: 50, Level: 9980, Era: 1, Fresh: true})
			if c.away {
				b.Away(&b.params, &b.rule, 2, start)
			}
			b.Gone(&b.params, &b.rule, 2, c.silent, at(1000))
			near(t, "the level when it is down", b.level(at(1000)), c.down, 1e-6)
			b.Gone(&b.params, &b.rule, 2, c.silent, at(1200)) // nothing new
			near(t, "the level later", b.level(at(1500)), c.down-50, 1e-6)
			b.NotGone(&b.params, &b.rule, 2, at(1500))
			near(t, "the level when it is not down", b.level(at(1500)), 9980-150-75, 1e-6)
			near(t, "the level later", b.level(at(2500)), 9980-150-75-150, 1e-6)
		})
	}
}

// The home is down. What everybody supposed it to take is given back to the next one, once
// all have registered or had the time to.
func TestWhatAFormerHomeHasNotTakenIsGivenBack(t *testing.T) {
	const wait = 25 * limit.Millisecond
	for _, c := range []struct {
		name   string
		nodes  int // that can be reached
		silent limit.Instant
		soon   float64 // level when those who registered have
		later  float64 // and 300 ms later
	}{
		{"all have registered", 2, start.Add(-limit.Second), 800 + 30*1.025, 800 + 30*1.025 - 9},
		{"one may be missing", 3, start.Add(-limit.Second), 800, 800 - 18 + 30*1.325},
		{"since when is not known", 3, 0, 800, 800 - 18},
	} {
		t.Run(c.name, func(t *testing.T) {
			ready := start.Add(wait)
			b := newBooks(must(decide.FixedWindow(10_000, limit.Hour)), 4, ready)
			for i, rate := range []float64{10, 20} {
				b.apply(start, int32(i+1), 1, share.Report{
					Taken: 100, Level: 800 + 30*.025, Rate: rate, Demand: rate, Era: 1,
					Register: true, OthersRate: 60 - rate, OthersDemand: 60 - rate,
				})
			}
			pool := share.Pool{Missing: 300 * limit.Millisecond, Reached: c.nodes, Silent: c.silent}
			b.Check(&b.params, &b.rule, ready, pool, -1, -1, b)
			near(t, "the level", b.level(ready), c.soon, .1)
			at := ready.Add(pool.Missing)
			b.Check(&b.params, &b.rule, at, pool, -1, -1, b)
			near(t, "the level later", b.level(at), c.later, .1)
		})
	}
}
