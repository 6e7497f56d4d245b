package gossip

import "github.com/sluice-dev/sluice/enforcer/limit"

// Standing is what this node knows of the pool beside the counters: for those who
// share them otherwise.
type Standing struct {
	Nodes []NodeStanding // the others, by number

	// Keeps says that this node is one of those who keep the pool's books: it has
	// joined, and does not leave unless there is nobody else.
	Keeps bool

	// Holding says that so much of the pool cannot be reached that the rest of it may
	// go on without this node.
	Holding  bool
	Zone     string // as NodeStanding.Zone, of this node
	Expected int    // nodes that the pool should have
	SeedTag  uint32 // tells the seed that keys are hashed with from others
}

// NodeStanding is what this node knows of another.
type NodeStanding struct {
	Name      limit.NodeID
	Number    int32 // another one for each start of the node
	Address   string
	Zone      string // empty where it is not known
	Life      uint64 // of this start, as its frames carry it; 0 before the first
	Keeps     bool   // as in Standing
	Reachable bool
}

// Standing returns how the pool stands, and false if that has not changed since
// version, which it brings up to date. The zero version is older than any.
func (n *Node) Standing(version *uint32) (s Standing, changed bool) {
	if *version == n.view {
		return s, false
	}
	*version = n.view
	s = Standing{Keeps: n.join.settled && (!n.leaving || n.others == 0), Holding: n.holding, Zone: n.zone, Expected: n.expected, SeedTag: n.seed.tag()}
	for _, p := range n.peers {
		if p != nil {
			s.Nodes = append(s.Nodes, NodeStanding{
				Name: p.Name, Number: p.number, Address: p.Address, Zone: p.Zone, Life: p.life,
				Keeps: p.State != Leaving && p.settled, Reachable: p.State != Unreachable,
			})
		}
	}
	return s, true
}

// Life is what the frames of this start of the node carry.
func (n *Node) Life() uint64 { return n.life }
