package share_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/sluice-dev/sluice/enforcer/decide"
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

// A former home may hand over late. It has supposed that those who registered here
// meanwhile go on as they said: only what it cannot know is missing from its level.
func TestALateHandOverKnowsWhatWasToBeExpected(t *testing.T) {
	const late = limit.Second / 2
	for _, c := range []struct {
		name string
		rep  *share.Report // of node 1 or, if it is fresh, of another one
		want float64       // level afterwards
	}{
		{"all went on as they said", nil, 6990},
		{"one took more", &share.Report{Taken: 1020, Rate: 10, Level: 6990, Era: 1}, 6975},
		{"one took less", &share.Report{Taken: 1003, Rate: 10, Level: 6990, Era: 1}, 6992},
		{"another one came", &share.Report{Taken: 20, Level: 6980, Era: 1, Fresh: true}, 6970},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBooks(must(decide.FixedWindow(10_000, limit.Hour)), 4, start.Add(25*limit.Millisecond))
			for node := range int32(2) {
				b.apply(start, 1+node, 1, share.Report{Taken: 1000, Rate: 10, Level: 7000, Era: 1, Register: true, OthersRate: 10})
			}
			b.check(start.Add(25*limit.Millisecond), -1, -1)
			at := start.Add(late)
			if rep := c.rep; rep != nil && rep.Fresh {
				b.apply(at, 3, 1, *rep)
			} else if rep != nil {
				b.apply(at, 1, 2, *rep)
			}
			b.apply(at, 4, 1, share.Report{Level: 6990, HandOver: true, Register: true, OthersRate: 20})
			near(t, "the level", b.level(at), c.want, 1e-6)
		})
	}
}

// What was taken from a sliding window comes back when it was taken long enough ago, and
// not a whole window after the counter got another home.
func TestANewHomeKnowsWhenAWindowWasUsed(t *testing.T) {
	p := must(decide.SlidingWindow(300, limit.Second))
	register := func(old *books, at limit.Instant) share.Report {
		return share.Report{Taken: 300, Level: old.level(at), Era: 1, Register: true}
	}
	for name, begin := range map[string]func(b, old *books, used decide.State, at limit.Instant){
		"handed over": func(b, old *books, _ decide.State, at limit.Instant) {
			b.apply(at, 1, 1, old.HandOver(&old.params, &old.rule, at))
		},
		"not handed over": func(b, old *books, used decide.State, at limit.Instant) {
			b.Seed(&b.params, &b.rule, &share.Local{}, used, at)
			b.apply(at, 1, 1, register(old, at))
		},
		"handed over after somebody registered": func(b, old *books, used decide.State, at limit.Instant) {
			b.Seed(&b.params, &b.rule, &share.Local{}, used, at)
			b.apply(at, 1, 1, register(old, at))
			b.apply(at, 2, 1, old.HandOver(&old.params, &old.rule, at))
		},
	} {
		for _, phase := range []limit.Span{0, 50 * limit.Millisecond, 300 * limit.Millisecond} {
			t.Run(fmt.Sprint(name, phase.Duration()), func(t *testing.T) {
				at := start.Add(phase)
				var used decide.State
				for i := range limit.Span(300) { // half of it in the first third of a second
					ago := limit.Second - i*limit.Second*2/3/300
					if i > 150 {
						ago = limit.Second*2/3 - (i-150)*limit.Second*2/3/150
					}
					used = p.Debit(used, at.Add(-ago), 1)
				}
				old, b := newBooks(p, 3, at.Add(1)), newBooks(p, 3, at.Add(25*limit.Millisecond))
				old.Seed(&old.params, &old.rule, &share.Local{}, used, at)
				begin(b, old, used, at)
				for _, after := range []limit.Span{0, 100 * limit.Millisecond, 400 * limit.Millisecond, 800 * limit.Millisecond, limit.Second} {
					at := at.Add(after)
					near(t, fmt.Sprint("the level after ", after.Duration()), b.level(at), old.level(at), 8)
				}
			})
		}
	}
}
