package share_test

import (
	"slices"
	"testing"

	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/share"
)

// Once all have registered with a new home nobody is supposed to take anything beside
// them, whatever part of what they are asked for was admitted when the former home
// handed over, and is admitted now.
func TestNobodyIsSupposedBesideThoseWhoRegistered(t *testing.T) {
	const ms = limit.Millisecond
	for _, c := range []struct {
		name                string
		first               bool // they register before it
		rate, demand, level float64
	}{
		{"after it, when nothing was refused", false, 210, 210, 4},
		{"after it, when half was refused", false, 106, 222, 1},
		{"before it, when nothing was refused", true, 210, 210, 4},
		{"before it, when half was refused", true, 106, 212, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBooks(bucket(100, limit.Second, 100), 4, start.Add(25*ms))
			steps := []func(){
				func() {
					b.apply(start.Add(20*ms), 1, 1, share.Report{Level: c.level, HandOver: true, Register: true, OthersRate: c.rate, OthersDemand: c.demand})
				},
				func() {
					for i := range int32(6) {
						b.apply(start.Add(20*ms), 2+i%3, uint32(i), share.Report{
							Taken: 500, Level: 1, Rate: 33, Demand: 70, Era: 1, Register: true, OthersRate: 66, OthersDemand: 140,
						})
					}
				},
			}
			if c.first {
				slices.Reverse(steps)
			}
			for _, step := range steps {
				step()
			}
			b.check(start.Add(30*ms), -1, -1)
			rate, demand, _, _ := b.Sums()
			near(t, "the rate while nothing is refused", rate, 210, 1e-6)
			near(t, "the demand", demand, 210, 1e-6)
			near(t, "the level half a second later", b.level(start.Add(500*ms)), 0, 5)
		})
	}
}
