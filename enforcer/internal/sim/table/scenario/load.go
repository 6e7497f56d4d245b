package scenario

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sort"

	"github.com/sluice-dev/sluice/enforcer/limit"
)

// Load is how much of a key's rate arrives at a time. Make one with Constant,
// Step, OnOff or Flash.
type Load struct {
	Name string

	// Begins is when the load first differs from nothing.
	Begins limit.Span

	// times returns the load at t as a multiple of the limit's rate, and until
	// when it stays that.
	times func(l Limit, t limit.Span) (x float64, until limit.Span)
}

// Constant is x times the limit's rate, all the time.
func Constant(x float64) Load { return Step(x, 0) }

// Step is nothing until at, and x times the limit's rate from then on.
func Step(x float64, at limit.Span) Load {
	name := fmt.Sprintf("%gx", x)
	if at > 0 {
		name = fmt.Sprintf("step to %gx", x)
	}
	return Load{name, at, func(_ Limit, t limit.Span) (float64, limit.Span) {
		if t < at {
			return 0, at
		}
		return x, limit.Forever
	}}
}

// OnOff is x times the limit's rate in the first part, duty, of each period.
func OnOff(x float64, period limit.Span, duty float64) Load {
	on := limit.Span(duty * float64(period))
	return Load{fmt.Sprintf("on and off %gx", x), 0, func(_ Limit, t limit.Span) (float64, limit.Span) {
		begin := t / period * period
		if t-begin < on {
			return x, begin + on
		}
		return 0, begin + period
	}}
}

// Flash is x times the burst within width, at once, and nothing else.
func Flash(x float64, at, width limit.Span) Load {
	return Load{fmt.Sprintf("flash of %gx", x), at, func(l Limit, t limit.Span) (float64, limit.Span) {
		switch {
		case t < at:
			return 0, at
		case t < at+width:
			return x * l.Depth() / l.Rate() * float64(limit.Second) / float64(width), at + width
		}
		return 0, limit.Forever
	}}
}

// Spread is which part of the requests arrives at which node. Make one with
// Uniform, Zipf, One, Hop, Rotating or Weights.
type Spread struct {
	Name string

	// period is how long the weights of one epoch hold; 0: for ever.
	period  limit.Span
	weights func(n, epoch int) []float64
}

// Uniform spreads the requests evenly.
func Uniform() Spread {
	return Spread{Name: "uniform", weights: func(n, _ int) []float64 { return slices.Repeat([]float64{1}, n) }}
}

// Zipf gives node i a part proportional to 1/(i+1).
func Zipf() Spread {
	return Spread{Name: "zipf", weights: func(n, _ int) []float64 { return zipf(n, 0) }}
}

// Rotating is Zipf with the nodes moved on by three each period.
func Rotating(period limit.Span) Spread {
	return Spread{"rotating", period, func(n, epoch int) []float64 { return zipf(n, 3*epoch) }}
}

// One sends everything to one node.
func One(node int) Spread {
	return Spread{Name: "one node", weights: func(n, _ int) []float64 { return one(n, node) }}
}

// Hop sends everything to one node, another one each period.
func Hop(period limit.Span) Spread {
	return Spread{fmt.Sprintf("hop %v", period.Duration()), period, func(n, epoch int) []float64 {
		return one(n, int(uint32(epoch)*2654435761>>8))
	}}
}

// Weights gives each node its part; the nodes that follow get nothing.
func Weights(w ...float64) Spread {
	return Spread{Name: "weights", weights: func(n, _ int) []float64 {
		return append(slices.Clone(w[:min(n, len(w))]), make([]float64, max(0, n-len(w)))...)
	}}
}

func zipf(n, by int) []float64 {
	w := make([]float64, n)
	for i := range w {
		w[(i+by)%n] = 1 / float64(i+1)
	}
	return w
}

func one(n, node int) []float64 {
	w := make([]float64, n)
	w[node%n] = 1
	return w
}

// source makes the requests of a run, one at a time: one Poisson process for the
// whole pool, of which each request goes to a node by the weights. That is the
// same as one process for each node, and keeps a single event pending.
type source struct {
	pool    *Pool
	rand    *rand.Rand
	perSpan float64 // arrivals a nanosecond at a load of 1
	hot     int     // the first keys, that have ten times the load
	heat    float64 // the part of the requests that is for them
	fire    func()
	begun   limit.Instant
	until   limit.Span

	epoch  int
	stale  bool // the nodes that serve have changed
	weight []float64
	sums   []float64 // running sums of weight, of the nodes that serve
}

func newSource(p *Pool, seed uint64) *source {
	s := p.scenario
	src := &source{pool: p, rand: rand.New(rand.NewPCG(seed, 0x10ad)), until: s.Duration, epoch: -1}
	src.hot = int(s.Hot * float64(s.Keys))
	shares := float64(s.Keys + 9*src.hot)
	src.heat = 10 * float64(src.hot) / shares
	src.perSpan = s.Limit.Rate() / float64(limit.Second) * shares / float64(s.Train) / float64(s.Cost)
	src.fire = func() {
		src.arrive()
		src.next()
	}
	return src
}

// start begins to offer the load of the scenario, from now on.
func (s *source) start() {
	s.begun = s.pool.Now()
	s.next()
}

// next asks for the next arrival. A Poisson process has no memory, so where the
// rate changes it is drawn anew.
func (s *source) next() {
	t := s.pool.Now().Sub(s.begun)
	for t < s.until {
		x, until := s.pool.scenario.Load.times(s.pool.scenario.Limit, t)
		if x > 0 {
			gap := s.rand.ExpFloat64() / (x * s.perSpan)
			if gap < float64(min(until, s.until)-t) {
				s.pool.At(s.begun.Add(t+limit.Span(gap)), s.fire)
				return
			}
		}
		t = until
	}
}

// arrive has a train of requests arrive somewhere.
func (s *source) arrive() {
	key := s.key()
	m := s.pick()
	if m == nil {
		return
	}
	for range s.pool.scenario.Train {
		s.pool.arrive(m, key)
	}
}

// key chooses a key.
func (s *source) key() int {
	switch keys := s.pool.scenario.Keys; {
	case keys == 1:
		return 0
	case s.hot > 0 && (s.hot == keys || s.rand.Float64() < s.heat):
		return s.rand.IntN(s.hot)
	default:
		return s.hot + s.rand.IntN(keys-s.hot)
	}
}

// pick chooses a node that serves, or nil when there is none.
func (s *source) pick() *member {
	epoch := 0
	if period := s.pool.scenario.Spread.period; period > 0 {
		epoch = int(s.pool.Now().Sub(s.begun) / period)
	}
	if epoch != s.epoch || s.stale {
		s.reweigh(epoch)
	}
	total := s.sums[len(s.sums)-1]
	if total <= 0 {
		return nil
	}
	u := s.rand.Float64() * total
	return s.pool.members[sort.Search(len(s.sums)-1, func(i int) bool { return s.sums[i] > u })]
}

// reweigh sums up the weights of the nodes that serve. When those of the load do
// not, the others take it.
func (s *source) reweigh(epoch int) {
	members := s.pool.members
	if epoch != s.epoch {
		s.weight = s.pool.scenario.Spread.weights(len(members), epoch)
	}
	s.epoch, s.stale = epoch, false
	s.sums = slices.Grow(s.sums[:0], len(members))[:len(members)]
	sum := func(weight func(i int) float64) float64 {
		total := 0.0
		for i, m := range members {
			if m.serving {
				total += weight(i)
			}
			s.sums[i] = total
		}
		return total
	}
	if sum(func(i int) float64 { return s.weight[i] }) < math.SmallestNonzeroFloat64 {
		sum(func(int) float64 { return 1 })
	}
}
