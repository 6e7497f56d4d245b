package gossip_test

import (
	"fmt"
	"testing"

	"github.com/sluice-dev/sluice/enforcer/internal/sim"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

func TestNodesThatStartTogetherAgreeOnTheOldestSeed(t *testing.T) {
	for seed := range uint64(10) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			p := newPool(t, seed, 5)
			p.Link = func(string, string) sim.Link { return sim.Link{Loss: .1, Max: 10 * limit.Millisecond} }
			oldest := p.nodes[0].Seed()
			p.until("all nodes have the oldest seed", limit.Second, func() bool { return p.agreed() })
			if got := p.nodes[4].Seed(); got != oldest {
				t.Errorf("agreed on %+v, want %+v", got, oldest)
			}
		})
	}
}

func TestANewcomerWithASlowClockDoesNotResetThePool(t *testing.T) {
	p := newPool(t, 1, 3)
	p.join()
	p.Run(limit.Second)
	p.nodes[0].tally.take(1, 5)
	p.Run(limit.Second)
	want, resets := p.nodes[0].Seed(), p.nodes[0].tally.resets
	p.kill(2)
	p.boot(2, 0) // it believes to live in 1970
	p.join()
	p.Run(limit.Second)
	for i, n := range p.nodes {
		if n.Seed() != want {
			t.Errorf("node %d has seed %+v, want the pool's %+v", i, n.Seed(), want)
		}
		if got := n.tally.used(1); got != 5 {
			t.Errorf("node %d knows of %d tokens, want 5", i, got)
		}
	}
	if got := p.nodes[0].tally.resets; got != resets {
		t.Errorf("the newcomer made node 0 forget its counters")
	}
}

func TestASeedOutlivesItsInventor(t *testing.T) {
	p := newPool(t, 1, 3)
	p.join()
	want := p.nodes[0].Seed()
	for i := range p.nodes {
		p.kill(i)
		p.Run(2 * limit.Second)
		p.boot(i, p.Now())
		p.join()
	}
	if !p.agreed() || p.nodes[0].Seed() != want {
		t.Errorf("after a rolling restart the seed is %+v, want %+v", p.nodes[0].Seed(), want)
	}
}

func TestTwoPoolsThatMeetAgreeOnTheOlderSeed(t *testing.T) {
	p := newPool(t, 1, 4)
	side := map[string]bool{p.addrs[0]: true, p.addrs[1]: true}
	p.Link = func(from, to string) sim.Link {
		if side[from] != side[to] {
			return sim.Link{Loss: 1}
		}
		return sim.Link{}
	}
	p.Run(4 * limit.Second)
	if p.nodes[0].Seed() == p.nodes[3].Seed() || p.nodes[2].Seed() != p.nodes[3].Seed() {
		t.Fatal("the sides do not have a seed each")
	}
	want := p.nodes[0].Seed()
	p.Link = nil
	p.until("both sides have one seed", limit.Second, p.agreed)
	if got := p.nodes[3].Seed(); got != want {
		t.Errorf("agreed on %+v, want the older %+v", got, want)
	}
	p.nodes[0].tally.take(1, 5)
	p.Run(200 * limit.Millisecond)
	if got := p.nodes[3].tally.used(1); got != 5 {
		t.Errorf("after the merge node 3 knows of %d tokens, want 5", got)
	}
}

// agreed says whether all nodes have one seed.
func (p *pool) agreed() bool {
	for _, n := range p.nodes {
		if n.Seed() != p.nodes[0].Seed() {
			return false
		}
	}
	return true
}
