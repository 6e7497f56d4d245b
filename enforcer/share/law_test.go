package share_test

import (
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/enforcer/internal/sim"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

// Whatever the network loses, repeats and overtakes: once it works again the home
// knows of every token, and all nodes agree with it.
func TestTokensAreConserved(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes := rapid.IntRange(2, 5).Draw(t, "nodes")
		c := newPool(hourly, nodes, false, rapid.Uint64().Draw(t, "seed"))
		take := func(i, n int) {
			for range n {
				c.ask(i, 1)
			}
		}
		for i := range nodes { // all are known to the home, and it to all
			take(i, 150)
		}
		c.drive()
		c.Run(20 * limit.Millisecond)

		link := sim.Link{
			Loss: rapid.Float64Range(0, .7).Draw(t, "loss"), Repeat: rapid.Float64Range(0, .5).Draw(t, "repeat"),
			Max: limit.Span(rapid.Int64Range(0, int64(60*limit.Millisecond)).Draw(t, "delay")),
		}
		c.link = func(int) sim.Link { return link }
		for range rapid.IntRange(0, 30).Draw(t, "steps") {
			node := rapid.IntRange(0, nodes-1).Draw(t, "node")
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0:
				if c.ask(node, -3); c.nodes[node].local == nil {
					t.Fatal("a counter in use was forgotten")
				}
			case 1:
				c.ask(node, limit.Amount(rapid.IntRange(2, 50).Draw(t, "cost")))
			default:
				take(node, rapid.IntRange(1, 20).Draw(t, "tokens"))
			}
			c.Run(limit.Span(rapid.Int64Range(0, int64(60*limit.Millisecond)).Draw(t, "pause")))
			if rate, demand, rateOfLines, demandOfLines := c.home.Sums(); math.Abs(rate-rateOfLines) > 1e-3 || math.Abs(demand-demandOfLines) > 1e-3 {
				t.Fatalf("rate and demand are %v and %v, want the sums of all lines, %v and %v", rate, demand, rateOfLines, demandOfLines)
			}
		}
		c.Run(100 * limit.Millisecond)
		c.link = nil
		taken := 0.
		for i := range nodes {
			take(i, 1)
			taken += float64(c.nodes[i].taken)
		}
		c.Run(3 * limit.Second)

		if got := c.home.Consumed(&c.params, &c.rule, c.Now()); math.Abs(got-taken) > 1e-6 {
			t.Fatalf("the home knows of %v tokens, want %v", got, taken)
		}
		if got := c.homeLevel(); math.Abs(got-(1000-taken)) > 1e-6 {
			t.Fatalf("the home's level is %v, want %v", got, 1000-taken)
		}
		for i := range nodes {
			if got, want := c.level(i), c.homeLevel(); math.Abs(got-want) > allowedOff(c, want) {
				t.Fatalf("node %d believes that %v are left, the home %v", i, got, want)
			}
		}
	})
}

// The home neither loses tokens nor invents them: in an overload from a full bucket
// what it knows to be left is, on average, what is left; however the load is spread,
// and whatever nodes take before it tells them to speak.
func TestTheHomeKnowsWhatIsLeft(t *testing.T) {
	for _, nodes := range []int{10, 50} {
		for _, times := range []float64{2, 10} {
			for _, skewed := range []bool{false, true} {
				t.Run(fmt.Sprintf("%d nodes, %gx, skewed %v", nodes, times, skewed), func(t *testing.T) {
					c := newPool(bucket(1000, limit.Second, 1000), nodes, false, 1).drive()
					c.link = lan
					weights := make([]float64, nodes)
					for i := range weights {
						weights[i] = 1
						if skewed {
							weights[i] = 1 / float64(i+1)
						}
					}
					c.spread(1000*times, 5*limit.Second, weights...)
					known, left, was, off, n := false, 1000., int64(0), 0., 0.
					c.Every(c.Now(), limit.Millisecond, func() bool {
						taken := int64(0)
						for _, n := range c.nodes {
							taken += n.taken
						}
						left = min(1000, left+1) - float64(taken-was)
						if was = taken; known {
							off += c.homeLevel() - left
							n++
						}
						return true
					})
					c.Run(1500 * limit.Millisecond)
					known = true
					c.Run(3500 * limit.Millisecond)
					near(t, "what the home believes too much", off/n, 0, 10)
				})
			}
		}
	}
}

// While no home answers, what each node takes of what is left must not be taken again
// by all the others: each supposes that they do as it does.
func TestWithoutAHomeNodesTakeNoMoreThanComesIn(t *testing.T) {
	for _, skewed := range []bool{false, true} {
		for seed := range uint64(5) {
			c := newPool(bucket(1000, limit.Second, 1000), 10, false, seed).drive()
			c.link = lan
			weights := make([]float64, 10)
			for i := range weights {
				weights[i] = 1
				if skewed {
					weights[i] = 1 / float64(i+1)
				}
			}
			c.spread(10_000, 3*limit.Second, weights...)
			c.Run(3 * limit.Second)
			c.link = func(int) sim.Link { return sim.Link{Loss: 1} }
			during := c.spread(10_000, 3*limit.Second, weights...)
			c.Run(3 * limit.Second)
			near(t, fmt.Sprintf("skewed %v, seed %d: what was admitted in 3 s", skewed, seed), float64(admitted(during)), 3000, 90)
		}
	}
}

// allowedOff is how wrong a view may be of a counter that nothing comes in to: a
// token where less than half is left, else the margin.
func allowedOff(c *pool, level float64) float64 {
	if level < c.rule.Full()/2 {
		return 1
	}
	return max(1, level/10)
}
