package gossip

import (
	"math"

	"github.com/sluice-dev/sluice/enforcer/limit"
)

// peer is what a node knows of another one.
type peer struct {
	address string
	self    bool // it is this node itself, under an address of its own
	alias   bool // it is a node that is heard at another address too

	// node and life are those of the last frame; former is the life before.
	// Lives are random numbers and cannot be ordered: a late frame of the former
	// life is told by its number.
	node         limit.NodeID
	life, former uint64
	heard        bool
	lastHeard    limit.Instant

	// synced says that every counter of the peer has been asked for since the
	// last time it was away, so that what it says now continues what is known.
	// Until then cursor is the next page to ask for, askAt when to repeat that,
	// and ahead holds the places of pages that came before those at cursor.
	synced bool
	cursor uint64
	askAt  limit.Instant
	ahead  []link // at most burst

	served int // pages sent to it since the last Tick
	ledger ledger
}

// hear notes the sender of a frame. It returns false for a frame that was
// overtaken by a restart of the peer.
func (p *peer) hear(now limit.Instant, f *frame) bool {
	switch {
	case !p.heard:
	case f.life == p.life:
		p.lastHeard = now
		return true
	case f.life == p.former:
		return false
	default:
		p.ledger.clear()
		p.former = p.life
	}
	p.heard, p.self, p.lastHeard = true, false, now
	p.life, p.node = f.life, limit.NodeID(f.node)
	return true
}

// skip says that there is nothing to exchange at this address.
func (p *peer) skip() bool { return p.self || p.alias }

// aliased says whether the sender of f is heard at another address as well, as
// with a name that has an IPv4 and an IPv6 address: then only one of them
// counts, or everything would be debited twice.
func (n *Node) aliased(now limit.Instant, p *peer, f *frame) bool {
	for _, q := range n.peers {
		if q != p && q.heard && !q.alias && q.life == f.life && now.Sub(q.lastHeard) <= silence {
			return true
		}
	}
	return false
}

// restart makes the node ask p for all of its counters again.
func (p *peer) restart() { p.synced, p.cursor, p.askAt, p.ahead = false, 0, math.MinInt64, p.ahead[:0] }

// take applies one entry of a peer's frame. What it does with it depends on
// what is known of the peer's count:
//
//   - The peer is not in step (this node has just started, or has not heard it
//     for a while): its view of the whole counter is taken over where it is
//     higher. It already holds what others and this node's former life took.
//   - Its count is known: the difference is debited.
//   - It is new, and all that the peer ever took may still be gone (own <=
//     used): its count is debited.
//   - It is new here but old there, so most of it was refilled long ago: the
//     peer's view is taken over where it is higher.
//
// Rounds order the frames of one life, so an entry that was overtaken by a newer
// one is dropped, and applying an entry twice is the same as once.
func (n *Node) take(now limit.Instant, p *peer, f *frame, e *Entry) {
	n.stats.Entries++
	last, known := p.ledger.get(e.Key)
	if known && int32(f.round-last.round) < 0 {
		n.stats.Stale++
		return
	}
	known = known && last.era == fold(e.Era)
	var applied bool
	switch {
	case !p.synced || f.kind == kindPage:
		applied = n.counters.Raise(now, e.Counter, e.Used)
	case known && last.own == e.Own:
		return
	case known:
		applied = n.counters.Debit(now, e.Counter, e.Own.Sub(last.own))
	case e.Own > 0 && e.Own <= e.Used && p.ledger.room():
		applied = n.counters.Debit(now, e.Counter, e.Own)
	default:
		applied = n.counters.Raise(now, e.Counter, e.Used)
	}
	if applied && (known || e.Own != 0) {
		p.ledger.set(e.Key, record{own: e.Own, era: fold(e.Era), round: f.round})
	}
}
