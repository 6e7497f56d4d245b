package lease_test

import (
	"testing"

	"github.com/sluice-dev/sluice/enforcer/lease"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

// Each node admits its part of what is asked for, also the one that has the book at hand.
func TestWhoIsAtTheOwnerHasItsPartOnly(t *testing.T) {
	for name, params := range map[string]struct {
		requests, burst limit.Amount
		last            limit.Span
	}{
		"a burst of a second":   {1000, 1000, 5 * sec},
		"a burst of 100 ms":     {1000, 100, 5 * sec},
		"a burst of 20 ms":      {1000, 20, 5 * sec},
		"a few tokens a second": {20, 20, 60 * sec},
	} {
		for _, over := range []float64{2, 10} {
			p := newPool(t, 1, 5, bucket(params.requests, sec, params.burst))
			skewed := func(i int) *member { return p.nodes[[]int{0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 4}[i%12]] }
			p.load(float64(params.requests)*over, oneKey, skewed)
			p.world.Run(2 * sec) // the burst is used up
			since := p.world.Now()
			p.world.Run(params.last)
			all := float64(p.between(since, p.world.Now(), everybody))
			for i, part := range []float64{4. / 12, 3. / 12, 2. / 12, 2. / 12, 1. / 12} {
				got := float64(p.between(since, p.world.Now(), func(a admission) bool { return a.node == p.nodes[i].number })) / all
				if got < part/2 || got > 1.75*part { // with all that is there when it asks, the owner's node had 2 to 3 times its part
					t.Errorf("%s, %gx: node %d (owner: %t) has %.3f of all, and is asked for %.3f of it", name, over, i, p.owner(7) == p.nodes[i], got, part)
				}
			}
		}
	}
}

// While tokens are lent that may come back nobody is sent away until the next day.
func TestWhatIsLentMayComeBack(t *testing.T) {
	p := newPool(t, 1, 2, bucket(20, 24*limit.Hour, 20))
	owner := p.owner(7)
	other := p.nodes[0]
	if other == owner {
		other = p.nodes[1]
	}
	ask := func() lease.Charge {
		c := lease.Charge{ID: id(7), Params: &p.params, Cost: 1}
		owner.node.Take(p.world.Now(), &c, nil)
		return c
	}
	stop := p.load(100, oneKey, func(int) *member { return other })
	for owner.node.Lent(p.world.Now(), id(7).Key) < 5 {
		p.world.Run(ms)
	}
	stop()
	for range 2 {
		c := ask()
		for c.Outcome == lease.Admitted {
			c = ask()
		}
		lent := owner.node.Lent(p.world.Now(), id(7).Key)
		if soon := c.Reading.RetryAfter <= lease.Term; soon != (lent > 0) {
			t.Errorf("with %d lent a denied request is to come again after %v", lent, c.Reading.RetryAfter.Duration())
		}
		p.world.Run(2 * lease.Term)
	}
}
