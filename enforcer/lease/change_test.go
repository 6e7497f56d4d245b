package lease_test

import (
	"testing"

	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/internal/sim"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

// A limit that is used up stays so, and none is counted twice, whatever nodes come and
// go in order: also while nodes do not learn of it at the same time.
func TestAPoolThatChangesKeepsItsCounts(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(p *pool)
	}{
		{"one joins", func(p *pool) {
			p.join()
			p.meet()
		}},
		{"three join at once", func(p *pool) {
			for range 3 {
				p.join()
			}
			p.meet()
		}},
		{"two join shortly after another", func(p *pool) {
			p.join()
			p.meet()
			p.world.Run(100 * ms)
			p.join()
			p.meet()
		}},
		{"an owner leaves", func(p *pool) { p.owner(7).leave() }},
		{"an owner leaves while one joins", func(p *pool) {
			p.owner(7).leave()
			p.join()
			p.meet()
		}},
		{"half of them leave", func(p *pool) {
			for _, m := range p.nodes[:5] {
				m.leave()
			}
		}},
	} {
		for name, lag := range map[string]limit.Span{"": 0, ", seen at other times": 400 * ms} {
			t.Run(c.name+name, func(t *testing.T) {
				for seed := range uint64(2) {
					p := newPool(t, seed, 10, bucket(100, sec, 1000))
					p.load(20_000, func(i int) uint64 { return uint64(i % 50) }, p.anywhere)
					p.world.Run(2 * sec)
					p.lag = lag
					before := p.world.Now()
					c.change(p)
					p.world.Run(4 * sec)
					p.exact(t, .9)
					if got, exact := p.part(&p.params, before); float64(got) < .85*float64(exact) {
						t.Errorf("%d tokens were admitted since then, want nearly %d", got, exact)
					}
				}
			})
		}
	}
}

// What slides out of a window does so as before when another node goes on with it.
func TestASlidingWindowGoesOn(t *testing.T) {
	sliding, _ := decide.SlidingWindow(1000, sec)
	p := newPool(t, 1, 10, sliding)
	p.load(2000, oneKey, p.anywhere)
	p.world.Run(3 * sec)
	p.owner(7).leave()
	begin := p.world.Now()
	p.world.Run(sec)
	if got := p.between(begin, p.world.Now(), everybody); got < 800 {
		t.Errorf("%d tokens were admitted in a second, want nearly 1000", got)
	}
	if over := p.over(&p.params); over > 0 {
		t.Errorf("%d tokens above the limit", over)
	}
}

func TestARollingRestart(t *testing.T) {
	p := newPool(t, 5, 6, bucket(1000, sec, 1000))
	p.lag = 200 * ms
	p.load(4000, func(i int) uint64 { return uint64(i % 4) }, p.anywhere)
	p.world.Run(sec)
	for _, m := range p.alive() {
		p.join()
		p.meet()
		p.world.Run(sec)
		m.leave()
		p.world.Run(sec)
	}
	if n := len(p.alive()); n != 6 {
		t.Errorf("%d nodes are up, want 6", n)
	}
	p.exact(t, .95)
}

// A run is a function of its seed.
func TestTheSameSeedIsTheSameRun(t *testing.T) {
	run := func(seed uint64) (uint64, int) {
		p := newPool(t, seed, 5, bucket(500, sec, 100))
		p.world.Link = func(string, string) sim.Link { return sim.Link{Loss: .05, Repeat: .05, Min: ms, Max: 4 * ms} }
		p.load(2000, func(i int) uint64 { return uint64(i % 20) }, p.anywhere)
		p.world.Run(sec)
		p.join()
		p.owner(3).leave()
		p.meet()
		p.world.Run(sec)
		return p.world.Trace(), len(p.admissions)
	}
	trace, admitted := run(1)
	if again, n := run(1); again != trace || n != admitted {
		t.Errorf("the same seed admitted %d, then %d; traces %x and %x", admitted, n, trace, again)
	}
	if other, _ := run(2); other == trace {
		t.Error("another seed is the same run")
	}
}

// Any mix of joins, departures, crashes of nodes that own nothing, stalls, losses and
// views that come late: never above the limit.
func TestNoMixOfEventsAdmitsTooMuch(t *testing.T) {
	seeds := uint64(20)
	if testing.Short() {
		seeds = 5
	}
	for seed := range seeds {
		p := newPool(t, seed, 4, bucket(300, sec, 200))
		r := p.world.Rand()
		p.lag = limit.Span(r.Int64N(int64(500 * ms)))
		p.world.Link = func(string, string) sim.Link {
			return sim.Link{Loss: .02, Repeat: .02, Min: ms / 2, Max: 5 * ms}
		}
		p.load(2000, func(i int) uint64 { return uint64(i % 3) }, p.anywhere)
		for range 12 {
			p.world.Run(limit.Span(r.Int64N(int64(sec))))
			m := p.anywhere(0)
			switch r.IntN(4) {
			case 0:
				p.join()
				p.meet()
			case 1:
				if len(p.alive()) > 2 && !m.leaving {
					m.leave()
				}
			case 2:
				if !m.ownsAny(3) && !m.leaving && len(p.alive()) > 2 {
					m.crash()
				}
			default:
				m.sim.Pause(limit.Span(r.Int64N(int64(200 * ms))))
			}
		}
		p.world.Run(3 * sec)
		if over := p.over(&p.params); over > 0 || !linearizable(&p.params, p.admissions) {
			t.Errorf("seed %d: %d tokens above the limit", seed, over)
		}
		if got, exact := p.part(&p.params, start); float64(got) < .7*float64(exact) {
			t.Errorf("seed %d: %d tokens were admitted, one limiter would have admitted %d", seed, got, exact)
		}
	}
}

// ownsAny says whether a node is the owner of one of the first keys to anybody.
func (m *member) ownsAny(keys uint64) bool {
	for _, o := range m.alive() {
		for k := range keys {
			if o.node.Owner(id(k).Key) == limit.NodeID(m.name) {
				return true
			}
		}
	}
	return false
}
