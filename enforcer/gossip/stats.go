package gossip

import (
	"slices"
	"strings"

	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/share"
)

// Stats count what a Node did since its start.
type Stats struct {
	Frames    uint64 // frames received
	Malformed uint64 // of those: not of this protocol
	Strange   uint64 // of those: from an address that is no peer's
	Clashing  uint64 // of those: from another node of this node's name
	Foreign   uint64 // of those: ignored because of another hash seed
	Entries   uint64 // entries received
	Stale     uint64 // of those: overtaken by a newer one
	Misplaced uint64 // of those: for a home that is elsewhere
	Reports   uint64 // entries sent to homes
	States    uint64 // entries sent as a home
	Lost      uint64 // of those: lost on the way, and sent again
	Sent      uint64 // frames sent
	SentBytes uint64 // their size, without what the network adds
	Passed    uint64 // of those: for one peer, from another that does not reach it
	Reseeded  uint64 // times that another node's seed was adopted, and all counters forgotten
	Homes     int    // counters whose home this node is
	Shared    int    // counters that are shared now

	// Over is, by limit, how many tokens the pool admitted that were not there,
	// of counters whose home is this node.
	Over map[uint64]float64
}

func (s *Stats) over(id share.ID, tokens float64) {
	if tokens > 0 {
		if s.Over == nil {
			s.Over = map[uint64]float64{}
		}
		s.Over[id.Limit] += tokens
	}
}

// Stats returns the counts so far.
func (n *Node) Stats() Stats {
	s := n.stats
	s.Homes, s.Shared = len(n.homes.list), n.counters.Shared()
	s.Over = make(map[uint64]float64, len(n.stats.Over))
	for id, tokens := range n.stats.Over {
		s.Over[id] = tokens
	}
	return s
}

// Peer is what a node knows of one of its peers.
type Peer struct {
	Member

	// LastHeard is when it last spoke, valid if Heard.
	Heard     bool
	LastHeard limit.Instant
}

// Peers appends what is known of each peer to list, ordered by address.
func (n *Node) Peers(list []Peer) []Peer {
	from := len(list)
	for _, p := range n.byAddr {
		list = append(list, Peer{Member: p.Member, Heard: p.heard, LastHeard: p.lastHeard})
	}
	slices.SortFunc(list[from:], func(a, b Peer) int { return strings.Compare(a.Address, b.Address) })
	return list
}
