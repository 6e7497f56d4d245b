package gossip_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/enforcer/gossip"
	"github.com/sluice-dev/sluice/enforcer/internal/sim"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

func TestConsumptionReachesEveryNodeWithin100ms(t *testing.T) {
	for _, c := range []struct {
		name string
		link sim.Link
	}{
		{"on a perfect network", sim.Link{}},
		{"with 5 ms of delay", sim.Link{Min: 5 * limit.Millisecond, Max: 5 * limit.Millisecond}},
		{"with delay, repetition and reordering", sim.Link{Repeat: .3, Max: 30 * limit.Millisecond}},
	} {
		for _, n := range []int{2, 3, 10} {
			t.Run(fmt.Sprintf("%d nodes %s", n, c.name), func(t *testing.T) {
				p := newPool(t, 1, n)
				p.Link = func(string, string) sim.Link { return c.link }
				p.join()
				for key := range uint64(50) {
					p.nodes[int(key)%n].tally.take(key+1, limit.Amount(key+1))
				}
				p.until("everyone knows everything", 100*limit.Millisecond, func() bool {
					for _, node := range p.nodes {
						for key := range uint64(50) {
							if node.tally.used(key+1) != limit.Amount(key+1) {
								return false
							}
						}
					}
					return true
				})
			})
		}
	}
}

func TestAValueSurvivesTheLossOfTwoOfItsThreeFrames(t *testing.T) {
	p := newPool(t, 1, 2)
	p.join()
	lost := 0
	p.Link = func(from, _ string) sim.Link {
		if from == p.addrs[0] && lost < 2 {
			lost++
			return sim.Link{Loss: 1}
		}
		return sim.Link{}
	}
	p.nodes[0].tally.take(1, 7)
	p.until("the value arrives", 4*gossip.Interval, func() bool { return p.nodes[1].tally.used(1) == 7 })
	if lost != 2 {
		t.Errorf("%d frames were lost, want 2", lost)
	}
}

// Whatever the network did before, once it works again every node knows the sum
// of what all of them took: nothing is counted twice and nothing is missing.
func TestCountsAreExactAfterAnyLossRepetitionAndReordering(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			p := newPool(t, seed, 4)
			p.join()
			p.Link = func(string, string) sim.Link {
				return sim.Link{Loss: .3, Repeat: .3, Max: 90 * limit.Millisecond}
			}
			want := map[uint64]limit.Amount{}
			take := func(node int, key uint64, n limit.Amount) {
				p.nodes[node].tally.take(key, n)
				want[key] += n
			}
			for range 400 {
				take(p.Rand().IntN(4), 1+p.Rand().Uint64N(10), 1+limit.Amount(p.Rand().Uint64N(5)))
				p.Run(limit.Span(p.Rand().Int64N(int64(5 * limit.Millisecond))))
			}
			p.Link = nil
			for node := range 4 {
				for key := range uint64(10) {
					take(node, key+1, 1)
				}
			}
			p.Run(200 * limit.Millisecond)
			for i, node := range p.nodes {
				got := map[uint64]limit.Amount{}
				for key := range want {
					got[key] = node.tally.used(key)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("node %d (-want +got):\n%s", i, diff)
				}
			}
		})
	}
}

func TestAReturnedTokenIsReturnedEverywhere(t *testing.T) {
	p := newPool(t, 1, 3)
	p.join()
	p.nodes[0].tally.take(1, 5)
	p.Run(100 * limit.Millisecond)
	p.nodes[0].tally.take(1, -2)
	p.Run(100 * limit.Millisecond)
	for i, n := range p.nodes {
		if got := n.tally.used(1); got != 3 {
			t.Errorf("node %d knows of %d tokens, want 3", i, got)
		}
	}
}

func TestARestartedNodeCatchesUpBeforeItHasJoined(t *testing.T) {
	const keys = 5000
	p := newPool(t, 3, 3)
	p.Link = func(string, string) sim.Link { return sim.Link{Loss: .05, Max: 3 * limit.Millisecond} }
	p.join()
	for key := range uint64(keys) {
		p.nodes[int(key)%3].tally.take(key+1, limit.Amount(key+1))
	}
	p.Run(2 * limit.Second)
	p.kill(2)
	p.Run(500 * limit.Millisecond)
	p.nodes[0].tally.take(1, 100)
	p.boot(2, p.Now())
	took := p.until("the restarted node has joined", 3*limit.Second, func() bool { return p.nodes[2].Joined() })
	t.Logf("joined with %d counters in %v", keys, took.Duration())
	for key := range uint64(keys) {
		if got, want := p.nodes[2].tally.used(key+1), p.nodes[0].tally.used(key+1); got != want {
			t.Fatalf("key %d: the restarted node knows of %d tokens, the others of %d", key+1, got, want)
		}
	}

	p.nodes[0].tally.take(1, 1)
	p.nodes[2].tally.take(1, 10)
	p.Run(200 * limit.Millisecond)
	for i, n := range p.nodes {
		if got := n.tally.used(1); got != 112 {
			t.Errorf("node %d knows of %d tokens, want 112: 1 and 100 before the restart, 1 and 10 after", i, got)
		}
	}
}

func TestAPartitionHealsWithoutAJump(t *testing.T) {
	p := newPool(t, 1, 2)
	p.join()
	p.nodes[0].tally.take(1, 10)
	p.Run(100 * limit.Millisecond)
	p.Link = func(string, string) sim.Link { return sim.Link{Loss: 1} }
	for range 100 {
		p.nodes[0].tally.take(1, 10)
		p.nodes[1].tally.take(1, 9)
		p.Run(50 * limit.Millisecond)
	}
	p.Link = nil
	p.Run(limit.Second)
	for i, n := range p.nodes {
		// Each side took about a thousand; together they are not two thousand.
		if got := n.tally.used(1); got != 1010 {
			t.Errorf("node %d knows of %d tokens, want 1010, the larger side's view", i, got)
		}
	}
	p.nodes[1].tally.take(1, 1)
	p.Run(100 * limit.Millisecond)
	if got := p.nodes[0].tally.used(1); got != 1011 {
		t.Errorf("after the heal node 0 knows of %d tokens, want 1011", got)
	}
}

func TestJoining(t *testing.T) {
	alone := func(t *testing.T) *node {
		t.Helper()
		n := &node{tally: newTally(1)}
		var err error
		if n.Node, err = gossip.New(gossip.Options{Name: "a", Counters: n.tally, MaxKeys: 10}); err != nil {
			t.Fatal(err)
		}
		return n
	}
	nobody := sim.New(1, start).Outbox("a")

	t.Run("a node without peers joins at once", func(t *testing.T) {
		n := alone(t)
		n.Start(start)
		if n.Joined() {
			t.Error("joined before it knows whether there are peers")
		}
		n.SetPeers(start, nil)
		if !n.Joined() {
			t.Error("not joined")
		}
	})
	t.Run("a node waits three seconds for peers that do not answer", func(t *testing.T) {
		n := alone(t)
		n.SetPeers(start, []string{"b"})
		n.Tick(start.Add(limit.Minute), nobody)
		if n.Joined() {
			t.Error("joined before its limits are known")
		}
		began := start.Add(limit.Hour)
		n.Start(began)
		n.Tick(began.Add(3*limit.Second-1), nobody)
		if n.Joined() {
			t.Error("joined before three seconds are over")
		}
		n.Tick(began.Add(3*limit.Second), nobody)
		if !n.Joined() {
			t.Error("not joined after three seconds")
		}
	})
	t.Run("a node whose only peer is itself joins when it hears itself", func(t *testing.T) {
		p := newPool(t, 1, 1)
		p.join()
		if got := p.nodes[0].Peers(nil); len(got) != 1 || !got[0].Self {
			t.Errorf("Peers() = %+v, want one that is the node itself", got)
		}
	})
}

func TestCountsOfAnUnknownLimitAreTakenOnceItIsKnown(t *testing.T) {
	p := newPool(t, 1, 2)
	p.join()
	p.nodes[1].tally.limits = map[uint64]bool{}
	p.nodes[0].tally.take(1, 5)
	p.Run(100 * limit.Millisecond)
	p.nodes[1].tally.limits = nil
	p.nodes[0].tally.take(1, 1)
	p.Run(100 * limit.Millisecond)
	if got := p.nodes[1].tally.used(1); got != 6 {
		t.Errorf("node 1 knows of %d tokens, want 6", got)
	}
}

func TestTwoNodesOfOneNameAreTold(t *testing.T) {
	w := sim.New(1, start)
	tally := newTally(1)
	var nodes [2]*gossip.Node
	for i := range nodes {
		var err error
		nodes[i], err = gossip.New(gossip.Options{Name: "same", Counters: tally, MaxKeys: 1, Seed: gossip.Seed{Value: [16]byte{15: byte(i)}}})
		if err != nil {
			t.Fatal(err)
		}
		nodes[i].SetPeers(start, []string{"a", "b"})
	}
	var got error
	w.Attach("b", func(from string, frame []byte) { got = nodes[1].Receive(w.Now(), from, frame, w.Outbox("b")) })
	nodes[0].Tick(start, w.Outbox("a"))
	w.Run(limit.Second)
	if !errors.Is(got, gossip.ErrNameTaken) {
		t.Errorf("Receive() = %v, want ErrNameTaken", got)
	}
}

func TestANodeWithTwoAddressesIsCountedOnce(t *testing.T) {
	p := newPool(t, 1, 2)
	// What node 0 sends arrives from two addresses, and each works alone.
	const second = "[fd00::1]:7946"
	b := p.nodes[1]
	broken := map[string]bool{}
	p.Attach(p.addrs[1], func(from string, frame []byte) {
		as := []string{from}
		if from != p.addrs[1] {
			as = []string{p.addrs[0], second}
		}
		for _, from := range as {
			if !broken[from] {
				if err := b.Receive(p.Now(), from, frame, p.Outbox(p.addrs[1])); err != nil {
					t.Error(err)
				}
			}
		}
	})
	b.SetPeers(p.Now(), append([]string{second}, p.addrs...))
	p.Attach(second, func(from string, frame []byte) {
		if err := p.nodes[0].Receive(p.Now(), from, frame, p.Outbox(second)); err != nil {
			t.Error(err)
		}
	})
	p.join()
	for _, broke := range []string{"", p.addrs[0], second} {
		broken = map[string]bool{broke: true}
		p.Run(3 * limit.Second)
		before := b.tally.used(1)
		p.nodes[0].tally.take(1, 5)
		p.Run(100 * limit.Millisecond)
		if got := b.tally.used(1) - before; got != 5 {
			t.Errorf("with %q broken, 5 tokens count as %d", broke, got)
		}
	}
}

func TestFramesFromStrangersHaveNoEffect(t *testing.T) {
	p := newPool(t, 1, 3)
	p.join()
	p.nodes[1].SetPeers(p.Now(), p.addrs[1:])
	p.nodes[0].tally.take(1, 5)
	p.Run(100 * limit.Millisecond)
	if got := p.nodes[1].tally.used(1); got != 0 {
		t.Errorf("node 1 took %d tokens of a stranger, want 0", got)
	}
	if errs := p.nodes[1].errs; len(errs) == 0 || !errors.Is(errs[0], gossip.ErrStranger) {
		t.Errorf("errors %v, want ErrStranger", errs)
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	for _, c := range []struct {
		name    string
		options gossip.Options
	}{
		{"no name", gossip.Options{Counters: newTally(1), MaxKeys: 1}},
		{"a name that is too long", gossip.Options{Name: limit.NodeID(make([]byte, 254)), Counters: newTally(1), MaxKeys: 1}},
		{"no counters", gossip.Options{Name: "a", MaxKeys: 1}},
		{"no room", gossip.Options{Name: "a", Counters: newTally(1)}},
	} {
		if n, err := gossip.New(c.options); err == nil || n != nil {
			t.Errorf("%s: New() = %v, %v, want an error", c.name, n, err)
		}
	}
}
