package gossip

import "github.com/sluice-dev/sluice/enforcer/limit"

// Stats count what a Node did since its start.
type Stats struct {
	Frames    uint64 // frames received
	Malformed uint64 // of those: not of this protocol
	Strange   uint64 // of those: from an address that is no peer's
	Clashing  uint64 // of those: from another node of this node's name
	Foreign   uint64 // of those: ignored because of another hash seed
	Entries   uint64 // entries received
	Stale     uint64 // of those: overtaken by a newer one
	Sent      uint64 // frames sent
	SentBytes uint64 // their size, without what the network adds
	Reseeded  uint64 // times that another node's seed was adopted, and all counters forgotten
	Known     int    // peers' counts that are remembered now
}

// Stats returns the counts so far.
func (n *Node) Stats() Stats {
	s := n.stats
	for _, p := range n.peers {
		s.Known += p.ledger.len
	}
	return s
}

// Peer is what a node knows of one of its peers.
type Peer struct {
	Address string

	// Self says that the address is the node's own, and Alias that it is another
	// address of a node that is heard already.
	Self, Alias bool

	// Name is what the peer calls itself, and LastHeard when it last spoke; both
	// are meaningless while Heard is false.
	Heard     bool
	Name      limit.NodeID
	LastHeard limit.Instant

	// Synced says that the peer's counters have been taken over and that it has
	// not been away since.
	Synced bool
}

// Peers appends what is known of each peer to list, ordered by address.
func (n *Node) Peers(list []Peer) []Peer {
	for _, p := range n.peers {
		list = append(list, Peer{Address: p.address, Self: p.self, Alias: p.alias, Heard: p.heard, Name: p.node, LastHeard: p.lastHeard, Synced: p.synced})
	}
	return list
}
