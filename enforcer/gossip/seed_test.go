package gossip_test

import (
	"fmt"
	"testing"

	"github.com/sluice-dev/sluice/enforcer/gossip"
	"github.com/sluice-dev/sluice/enforcer/internal/sim"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

func TestNodesThatStartTogetherAgreeOnTheOldestSeed(t *testing.T) {
	for seed := range uint64(5) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			p := startPool(t, seed, 5)
			p.Link = func(string, string) sim.Link { return sim.Link{Loss: .1, Max: 10 * limit.Millisecond} }
			oldest := p.nodes[0].Seed()
			p.until("all have one seed", 2*limit.Second, p.agreed)
			if got := p.nodes[4].Seed(); got != oldest {
				t.Errorf("agreed on %+v, want %+v", got, oldest)
			}
		})
	}
}

func TestANewcomerDoesNotResetThePool(t *testing.T) {
	p := newPool(t, 1, 3)
	k := p.keyAt(0, 1)
	p.take(0, k, daily, 600)
	p.Run(limit.Second)
	want := p.nodes[0].Seed()
	resets := []int{p.nodes[0].counters.resets, p.nodes[1].counters.resets}
	p.kill(2)
	p.boot(2, 0) // by its clock it is 1970
	p.announce()
	p.join()
	for i := range 2 {
		if got := p.nodes[i].counters.resets; got != resets[i] {
			t.Errorf("the newcomer made node %d forget its counters", i)
		}
	}
	if got := p.nodes[2].Seed(); got != want {
		t.Errorf("the newcomer's seed is %+v, want the pool's %+v", got, want)
	}
	if got := p.nodes[2].counters.resets; got != 1 {
		t.Errorf("the newcomer began anew %d times, want once", got)
	}
}

func TestASeedOutlivesItsInventor(t *testing.T) {
	p := newPool(t, 1, 3)
	want := p.nodes[0].Seed()
	for i := range p.nodes {
		p.kill(i)
		p.announce()
		p.Run(limit.Second)
		p.boot(i, p.Now())
		p.announce()
		p.join()
	}
	if got := p.nodes[0].Seed(); got != want {
		t.Errorf("after a rolling restart the seed is %+v, want %+v", got, want)
	}
}

func TestTwoPoolsThatMeetAgreeOnTheOlderSeed(t *testing.T) {
	p := startPool(t, 1, 4)
	together := false
	p.Link = func(from, to string) sim.Link {
		if !together && (from < p.addrs[2]) != (to < p.addrs[2]) {
			return sim.Link{Loss: 1}
		}
		return lan(from, to)
	}
	p.until("all have joined", 5*limit.Second, func() bool { return p.nodes[0].Joined() && p.nodes[3].Joined() })
	p.Run(limit.Second)
	if p.nodes[0].Seed() == p.nodes[3].Seed() || p.nodes[2].Seed() != p.nodes[3].Seed() {
		t.Fatal("the sides do not have a seed each")
	}
	want := p.nodes[0].Seed()
	together = true
	p.until("both sides have one seed", 2*limit.Second, p.agreed)
	if got := p.nodes[3].Seed(); got != want {
		t.Errorf("agreed on %+v, want the older %+v", got, want)
	}
	p.Run(5 * limit.Second) // all have greeted all, agree on homes, and go by their links again
	k := p.keyAt(0, 1)
	p.take(3, k, daily, 600)
	p.Run(limit.Second)
	for i, got := range p.lefts(k, daily) {
		if got != 400 {
			t.Errorf("after the merge %d are left at node %d, want 400", got, i)
		}
	}
}

// What a node does with a hello of another seed.
func TestWhoseSeedIsKept(t *testing.T) {
	older := gossip.Seed{Value: [16]byte{15: 1}, Born: 0}
	younger := gossip.Seed{Value: [16]byte{15: 1}, Born: 2}
	smaller := gossip.Seed{Value: [16]byte{15: 1}, Born: poolSeed.Born}
	for _, c := range []struct {
		name              string
		joined, peer      bool // the node has joined, and its peer
		seed              gossip.Seed
		wantsPeers, resay bool // the node adopts the seed; it answers with its own
	}{
		{"of two that join the older", false, false, older, true, false},
		{"of two that join not the younger", false, false, younger, false, true},
		{"of two of one age the smaller", false, false, smaller, true, false},
		{"one that joins takes that of one that has joined", false, true, younger, true, false},
		{"one that has joined keeps its own", true, false, older, false, true},
		{"of two pools the older", true, true, older, true, false},
		{"of two pools not the younger", true, true, younger, false, true},
		{"the same is nothing new", true, false, poolSeed, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newLone(t)
			if c.joined {
				n.Tick(start.Add(limit.Hour), &n.out)
			}
			if n.Joined() != c.joined {
				t.Fatalf("Joined() = %v, want %v", n.Joined(), c.joined)
			}
			n.out.take()
			h := n.header(7)
			h.Settled, h.Tag = c.peer, c.seed.Tag()
			if err := n.receive(start.Add(limit.Hour), "b", gossip.NewHello(h, c.seed, "b")); err != nil {
				t.Fatal(err)
			}
			adopted := c.wantsPeers
			if got := n.Seed() == c.seed; got != (adopted || c.seed == poolSeed) {
				t.Errorf("the seed is %+v", n.Seed())
			}
			if got := n.counters.resets == 1; got != adopted {
				t.Errorf("counters were forgotten %d times", n.counters.resets)
			}
			if got := len(n.out.take()) > 0; got != c.resay {
				t.Errorf("it answered: %v, want %v", got, c.resay)
			}
		})
	}
}
