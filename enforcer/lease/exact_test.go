package lease_test

import (
	"fmt"
	"testing"

	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/internal/sim"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

// exact fails unless the pool admitted what one limiter would have: never more, and at
// least a part of it. A last token may be under way when time ends.
func (p *pool) exact(t *testing.T, least float64) {
	t.Helper()
	if over := p.over(&p.params); over > 0 {
		t.Errorf("%d tokens above the limit", over)
	}
	if p.params.Algorithm() == decide.Bucket && !linearizable(&p.params, p.admissions) {
		t.Error("no limiter would have admitted that")
	}
	got, exact := p.part(&p.params, start)
	t.Logf("admitted %d, one limiter %d (%.2f %%); %.2f %% of %d requests waited",
		got, exact, 100*float64(got)/float64(exact), 100*float64(p.waited)/float64(len(p.arrivals)), len(p.arrivals))
	if float64(got+1) < least*float64(exact) {
		t.Errorf("%d were admitted, want %g of %d", got, least, exact)
	}
}

func TestNeverAboveTheLimitAndNearlyAllOfIt(t *testing.T) {
	second := func(rate, burst limit.Amount) decide.Params { return bucket(rate, sec, burst) }
	sliding, _ := decide.SlidingWindow(1000, sec)
	fixed, _ := decide.FixedWindow(1000, sec)
	for _, c := range []struct {
		name  string
		nodes int
		decide.Params
		over float64 // of the rate
		last limit.Span
	}{
		{"ten times the rate", 10, second(1000, 1000), 10, 5 * sec},
		{"a small burst", 10, second(1000, 100), 10, 5 * sec},
		{"twice the rate", 10, second(1000, 1000), 2, 8 * sec},
		{"below the rate", 10, second(1000, 1000), .9, 10 * sec},
		{"a burst of 20 ms", 10, second(1000, 20), 2, 5 * sec},
		{"many nodes", 50, second(1000, 1000), 10, 4 * sec},
		{"a low rate", 10, second(20, 20), 10, 20 * sec},
		{"a low rate and burst", 10, second(20, 5), 3, 20 * sec},
		{"a few a minute", 10, bucket(5, limit.Minute, 5), 10, 5 * limit.Minute},
		{"a few a minute on many nodes", 50, bucket(5, limit.Minute, 5), 100, 2 * limit.Minute},
		{"a sliding window", 10, sliding, 10, 5 * sec},
		{"a fixed window", 10, fixed, 10, 5 * sec},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPool(t, 1, c.nodes, c.Params)
			p.load(float64(c.Requests())/float64(c.Per())*float64(sec)*c.over, oneKey, p.anywhere)
			p.world.Run(c.last)
			p.exact(t, .98)
		})
	}
}

// Where requests come to makes no difference.
func TestAnyBalanceOfTheLoad(t *testing.T) {
	for _, c := range []struct {
		name  string
		where func(p *pool, i int) *member
	}{
		{"one node", func(p *pool, _ int) *member { return p.nodes[3] }},
		{"only the owner", func(p *pool, _ int) *member { return p.owner(7) }},
		{"most at few", func(p *pool, _ int) *member {
			r := p.world.Rand().Float64()
			return p.nodes[int(10*r*r*r)]
		}},
		{"hopping each 20 ms", func(p *pool, _ int) *member { return p.nodes[int(p.world.Now()/limit.Instant(20*ms))%10] }},
		{"hopping each 300 ms", func(p *pool, _ int) *member { return p.nodes[int(p.world.Now()/limit.Instant(300*ms))%10] }},
	} {
		for _, over := range []float64{.9, 2, 10} {
			t.Run(fmt.Sprint(c.name, " at ", over), func(t *testing.T) {
				p := newPool(t, 2, 10, bucket(1000, sec, 500))
				p.load(1000*over, oneKey, func(i int) *member { return c.where(p, i) })
				p.world.Run(15 * sec) // what is lent when time ends is a small part of that
				p.exact(t, .98)
			})
		}
	}
}

// A client that asks for less than its limit is not denied for what it has been asking of
// nodes that it has left.
func TestAClientBelowItsLimitMayHop(t *testing.T) {
	for _, c := range []struct {
		nodes  int
		burst  limit.Amount
		period limit.Span
	}{{10, 100, 20 * ms}, {50, 500, 20 * ms}, {50, 200, 100 * ms}} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			p := newPool(t, 5, c.nodes, bucket(1000, sec, c.burst))
			p.load(900, oneKey, func(int) *member { return p.nodes[int(p.world.Now()/limit.Instant(c.period))%c.nodes] })
			p.world.Run(5 * sec)
			p.exact(t, .999)
		})
	}
}

func TestPoorNetworksAndClocks(t *testing.T) {
	for _, c := range []struct {
		name  string
		least float64
		harm  func(p *pool)
	}{
		{"a tenth is lost", .95, func(p *pool) {
			p.world.Link = func(string, string) sim.Link { return sim.Link{Loss: .1, Min: ms / 2, Max: 2 * ms} }
		}},
		{"much comes twice, and in any order", .97, func(p *pool) {
			p.world.Link = func(string, string) sim.Link { return sim.Link{Repeat: .3, Min: ms / 2, Max: 20 * ms} }
		}},
		{"clocks are apart", .98, func(p *pool) {
			for i, m := range p.nodes {
				m.sim.SetClock(limit.Span(i-5)*limit.Hour, 0)
			}
		}},
		{"nodes stall", .9, func(p *pool) {
			p.world.Every(p.world.Now(), 100*ms, func() bool {
				p.anywhere(0).sim.Pause(limit.Span(p.world.Rand().Int64N(int64(60 * ms))))
				return true
			})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPool(t, 3, 10, bucket(1000, sec, 500))
			c.harm(p)
			p.load(3000, oneKey, p.anywhere)
			p.world.Run(6 * sec)
			p.exact(t, c.least)
		})
	}
}

// A clock that is fast by a part makes the limits faster that its node owns, and no
// other.
func TestADriftingClockIsTheOwnersOnly(t *testing.T) {
	p := newPool(t, 4, 10, bucket(1000, sec, 100))
	owner := p.owner(7)
	for i, m := range p.nodes {
		if m != owner {
			m.sim.SetClock(0, 200e-6*float64(i-5))
		}
	}
	p.load(5000, oneKey, p.anywhere)
	p.world.Run(6 * sec)
	p.exact(t, .98)
}
