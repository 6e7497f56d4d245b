package gossip

import (
	"bytes"
	"encoding/binary"

	"github.com/sluice-dev/sluice/enforcer/limit"
)

// Seed is a proposal for the secret that keys the pool's hash: nodes that hash
// with different seeds have no key in common. The zero Seed is predictable, and
// meant for tests.
type Seed struct {
	Value [16]byte
	Born  limit.Instant // when the node that proposed it started, by its own clock
}

// life tells one start of a node from another of the same name.
func (s Seed) life() uint64 { return binary.BigEndian.Uint64(s.Value[8:]) }

// before orders seeds: the oldest wins, so that a pool keeps its counters
// through the coming and going of nodes; a tie goes to the smaller value.
func (s Seed) before(o Seed) bool {
	if s.Born != o.Born {
		return s.Born < o.Born
	}
	return bytes.Compare(s.Value[:], o.Value[:]) < 0
}

// agree settles which seed the pool uses, and says whether the sender of f uses
// the same one as this node does now. A node that has joined is not overruled by
// one that has not, however early the clock of the newcomer claims it started;
// among equals the oldest seed wins. Every node joins in the end, so all of them
// end with one seed.
func (n *Node) agree(now limit.Instant, f *frame) bool {
	if f.seed == n.seed {
		return true
	}
	wins := f.seed.before(n.seed)
	if f.settled != n.settled {
		wins = f.settled
	}
	if !wins {
		n.stats.Foreign++
		return false
	}
	n.seed = f.seed
	n.stats.Reseeded++
	n.queue = newWaves()
	for _, p := range n.peers {
		p.restart()
		p.ledger.clear()
	}
	n.counters.Reset(now)
	return true
}
