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

// tag is what frames carry of a seed, to tell that it is the same.
func (s Seed) tag() uint32 { return binary.BigEndian.Uint32(s.Value[:]) ^ uint32(s.Born) }

// agree settles which seed the pool uses, and says whether the sender of a hello
// uses the same one as this node does now. A node that has joined is not
// overruled by one that has not, however early the clock of the newcomer claims
// it started; among equals the oldest seed wins. Every node joins in the end, so
// all of them end with one seed.
func (n *Node) agree(now limit.Instant, p *peer, f *frame, out Outbox) bool {
	if f.seed == n.seed {
		return true
	}
	wins := f.seed.before(n.seed)
	if f.settled != n.join.settled {
		wins = f.settled
	}
	if !wins {
		n.stats.Foreign++
		n.hello(now, p, out)
		return false
	}
	n.seed = f.seed
	n.stats.Reseeded++
	n.homes = newHomes(n.homes.max)
	for _, q := range n.peers {
		if q != nil {
			q.out.entries, q.boarding, q.flights = 0, nil, nil
			q.serving = serving{number: q.serving.number}
			q.pull = pull{number: q.pull.number}
			q.greetAt, q.settled = now, false
		}
	}
	n.counters.Reset(now)
	return true
}
