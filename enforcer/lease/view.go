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
	awaited      // it owns them, once their books have come
	mine
)

// roles are this node's, by partition.
type roles [ring.Partitions]role

// view is what a decision needs to know of the pool: immutable.
type view struct {
	table   *ring.Table
	roles   *roles
	peers   map[int32]*peer
	sorted  []*peer // by number, so that a run is repeatable
	away    bool
	parts   limit.Amount
	awaited limit.Instant // since when roles may be awaited
}

// owner returns who is to be asked for the keys of a partition that is not mine, and
// whether there is no use in it.
func (v *view) owner(now limit.Instant, partition uint16) (owner int32, unreachable bool) {
	owner, _ = v.table.At(partition)
	if owner == self {
		return self, v.away || now.Sub(v.awaited) > Patience
	}
	p := v.peers[owner]
	return owner, v.away || p == nil || p.silent.Load()
}

// peer is another node, as the protocol sees it.
type peer struct {
	Peer
	out   writer
	cargo flight // of the frame that is being filled

	seq     uint32
	flights []flight
	acks    []uint32

	silent  atomic.Bool   // it has left questions without an answer
	waiting limit.Instant // since when it does, or 0
	probeAt limit.Instant // when a silent one is asked again
}

// SetPool replaces the view of the pool.
func (n *Node) SetPool(now limit.Instant, pool Pool) {
	old := n.view.Load()
	next := &view{roles: new(roles), peers: map[int32]*peer{}, away: pool.Away, parts: limit.Amount(max(1, pool.Parts)), awaited: now}
	var members []ring.Member
	for _, p := range pool.Peers {
		known := old.peers[p.Number]
		if known == nil {
			known = &peer{}
		}
		known.Peer = p
		next.peers[p.Number] = known
		next.sorted = append(next.sorted, known)
		if p.Owns && p.Reachable {
			members = append(members, ring.Member{Name: p.Name, Number: p.Number, Zone: p.Zone})
		}
	}
	slices.SortFunc(next.sorted, func(a, b *peer) int { return cmp.Compare(a.Number, b.Number) })
	clear(n.byAddr)
	for _, p := range next.peers {
		n.byAddr[p.Address] = p
	}
	before := old.table
	if !n.owned || old.away {
		before = ring.NewTable(members)
	}
	n.owned = pool.Owns && !pool.Away
	if pool.Owns {
		members = append(members, ring.Member{Name: n.name, Number: self, Zone: pool.Zone})
	}
	next.table = ring.NewTable(members)
	if pool.Tag != n.tag {
		n.tag = pool.Tag
		n.reset()
		before = next.table // what is counted begins anew, with all others
	}
	n.assign(old, next, before)
	n.view.Store(next)
	n.scanShard, n.scanPlace, n.scanned = 0, 0, false
	n.handing, n.handAt = true, now
	n.arrived, n.wantAt, n.awaitedUntil = true, now.Add(flightTime), now.Add(awaitMost)
}

// assign finds out what this node is to each partition, and whose books somebody has to
// be told of anew: a new owner, or a new successor.
func (n *Node) assign(old, next *view, before *ring.Table) {
	reaches := func(node int32) bool {
		p := next.peers[node]
		return node == self || p != nil && p.Reachable
	}
	for i := range ring.Partitions {
		p := uint16(i)
		was, heir := before.At(p)
		if !reaches(was) {
			was = heir // the copies are there, if they are anywhere
		}
		owner, successor := next.table.At(p)
		switch {
		case next.away:
			n.leaving[p], n.handed[p] = false, false
		case owner == self:
			n.leaving[p] = false
			elsewhere := was != self && reaches(was)
			if next.roles[p] = mine; !n.handed[p] && (old.roles[p] == awaited || old.roles[p] == foreign && elsewhere) {
				next.roles[p] = awaited
			}
			if old.roles[p] == foreign {
				n.source[p] = was
			}
			_, former := old.table.At(p)
			n.scan[p] = n.scan[p] || former != successor
		case old.roles[p] == mine || was == self:
			n.leaving[p], n.handed[p], n.scan[p] = true, false, true
		}
	}
}
