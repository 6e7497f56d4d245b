package lease

import (
	"cmp"
	"slices"
	"sync/atomic"

	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/ring"
)

// self is the number of this node.
const self = 0

// Peer is another node of the pool.
type Peer struct {
	Name      limit.NodeID
	Number    int32  // above 0; a node that has been restarted gets another one
	Address   string // names it in Outbox.Send and Receive
	Zone      string // empty where it is not known
	Life      uint64 // of the node, as its frames carry it
	Owns      bool   // it has joined, and does not leave: it can own counters
	Reachable bool
}

// Pool is who belongs to the pool.
type Pool struct {
	Peers []Peer
	Zone  string // of this node
	Owns  bool   // as Peer.Owns, of this node
	Tag   uint32 // tells the seed that keys are hashed with from others

	// Away says that most of the pool cannot be reached: it may go on without this
	// node, which then owns nothing and asks nobody.
	Away bool

	// Parts is how many nodes the pool should have, at least 1.
	Parts int
}

// role is what this node is to the keys of a partition.
type role uint8

const (
	foreign role = iota
	awaited      // it is to own them, once nobody else does
	mine
)

// partitions is a set of them.
type partitions [ring.Partitions / 64]uint64

func (s *partitions) has(p uint16) bool { return s[p/64]>>(p%64)&1 != 0 }
func (s *partitions) add(p uint16)      { s[p/64] |= 1 << (p % 64) }
func (s *partitions) remove(p uint16)   { s[p/64] &^= 1 << (p % 64) }

// view is what a decision needs to know of the pool: immutable.
type view struct {
	table *ring.Table
	mine  *partitions

	names  map[int32]limit.NodeID // which the driver does not change, unlike peers
	peers  map[int32]*peer
	sorted []*peer // by number, so that a run is repeatable
	away   bool
	parts  limit.Amount
}

func (v *view) role(partition uint16) role {
	if v.mine.has(partition) {
		return mine
	}
	if owner, _ := v.table.At(partition); owner == self && !v.away {
		return awaited
	}
	return foreign
}

// owner returns who is to be asked for the keys of a partition that is not mine, and
// whether there is no use in it.
func (v *view) owner(partition uint16) (owner int32, unreachable bool) {
	owner, _ = v.table.At(partition)
	if owner == self {
		return self, v.away
	}
	p := v.peers[owner]
	return owner, v.away || p == nil || p.silent.Load()
}

func (v *view) reaches(node int32) bool {
	p := v.peers[node]
	return node == self || p != nil && p.Reachable
}

// peer is another node, as the protocol sees it.
type peer struct {
	Peer
	out   writer
	cargo flight // of the frame that is being filled

	seq     uint32
	flights []flight
	acks    []uint32

	// Of the partitions that are awaited: who says that it does not decide on them.
	said   []bool // by chunk
	unsaid int    // chunks
	wantAt limit.Instant

	// Of the partitions that it awaits.
	wants    uint32        // the serial that it was heard of
	answerAt limit.Instant // when it is told about them at the earliest

	silent  atomic.Bool   // it has left questions without an answer
	waiting limit.Instant // since when it does, or 0
	probeAt limit.Instant // when a silent one is asked again
}

// SetPool replaces the view of the pool.
func (n *Node) SetPool(now limit.Instant, pool Pool) {
	old := n.view.Load()
	next := &view{
		mine: new(partitions), names: map[int32]limit.NodeID{self: n.name}, peers: map[int32]*peer{},
		away: pool.Away, parts: limit.Amount(max(1, pool.Parts)),
	}
	clear(n.byAddr)
	for _, p := range pool.Peers {
		known := old.peers[p.Number]
		if known == nil {
			known = &peer{}
		}
		known.Peer = p
		next.names[p.Number] = p.Name
		next.peers[p.Number] = known
		next.sorted = append(next.sorted, known)
		n.byAddr[p.Address] = known
	}
	slices.SortFunc(next.sorted, func(a, b *peer) int { return cmp.Compare(a.Number, b.Number) })
	next.table = ring.NewTable(n.members(&pool))
	anew := pool.Tag != n.tag && len(old.sorted) > 0 // it begins at zero, with all others
	if pool.Tag != n.tag {
		n.tag = pool.Tag
		n.reset()
	}
	n.assign(old, next, anew)
	n.await(now, next)
	n.view.Store(next)
	n.rescanned, n.sweeper.anew = rescanned{}, shards
	n.arrive(now)
	if len(next.sorted) > 0 { // there may be somebody to tell
		n.soon()
	}
}

// members returns who may own counters. One that is not reached keeps its place, and
// its successors own its keys.
func (n *Node) members(pool *Pool) []ring.Member {
	var all []ring.Member
	for _, p := range pool.Peers {
		if p.Owns {
			all = append(all, ring.Member{Name: p.Name, Number: p.Number, Zone: p.Zone, Down: !p.Reachable})
		}
	}
	if pool.Owns {
		all = append(all, ring.Member{Name: n.name, Number: self, Zone: pool.Zone})
	}
	return all
}

// assign finds out what this node is to each partition, and whose books somebody has to
// be told of anew: a new owner, or a new successor.
func (n *Node) assign(old, next *view, anew bool) {
	n.awaiting.partitions, n.handing = n.awaiting.partitions[:0], n.handing[:0]
	if next.away {
		n.leaving = partitions{}
		return
	}
	for i := range ring.Partitions {
		p := uint16(i)
		owner, successor := next.table.At(p)
		was, heir := old.table.At(p)
		// Of an owner that is gone the copies are at its heir.
		inherited := was != self && heir == self && !old.away && !next.reaches(was)
		switch {
		case owner == self:
			if anew || old.mine.has(p) {
				next.mine.add(p)
			} else {
				n.awaiting.partitions = append(n.awaiting.partitions, p)
			}
			n.leaving.remove(p)
			if was != self || heir != successor {
				n.scan.add(p)
			}
		case inherited || old.role(p) != foreign || n.leaving.has(p): // what was awaited may have come
			n.leaving.add(p)
			n.scan.add(p)
			n.handing = append(n.handing, p)
		}
	}
}
