package share_test

import (
	"testing"

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
