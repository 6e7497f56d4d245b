package gossip

import (
	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/ring"
	"github.com/sluice-dev/sluice/enforcer/share"
)

// MemberState is what membership knows of a member. The zero value is no state.
type MemberState uint8

// The states of a member.
const (
	// Alive: it answers.
	Alive MemberState = iota + 1
	// Leaving: it answers, and has said that it is going to stop.
	Leaving
	// Unreachable: it should be there, and does not answer.
	Unreachable
)

// Member is another node of the pool, as membership sees it.
type Member struct {
	Name    limit.NodeID // unique in the pool
	Address string       // names it in Outbox.Send and Receive
	State   MemberState
	Zone    string // where it is; empty where that is not known
}

// View is who belongs to the pool, as membership sees it. A member that is
// missing from a View is known to be gone.
type View struct {
	// Members are the other nodes. A node that is not known by name yet is not
	// among them.
	Members []Member

	// Expected is how many nodes the pool should have, this one included; at least
	// the members and this one are expected.
	Expected int

	// Leaving says that this node is going to stop.
	Leaving bool
	Zone    string // as Member.Zone, of this node
}

// SetView replaces the view of the pool. What is known of members that stay is
// kept.
func (n *Node) SetView(now limit.Instant, v View) {
	stays := map[string]bool{}
	for _, m := range v.Members {
		if m.Name == n.name {
			continue
		}
		stays[m.Address] = true
		p := n.byAddr[m.Address]
		switch {
		case p == nil:
			p = &peer{Member: m, greetAt: now, way: way{heardAt: now}}
			n.byAddr[m.Address] = p
			n.number(p)
		case p.Name != m.Name: // another node took the address over
			n.renumber(now, p)
			p.life, p.former = 0, p.life
		case p.State == Unreachable && m.State != Unreachable:
			p.way = way{heardAt: now}
		}
		p.Member, p.hash = m, ring.Hash(m.Name)
	}
	for addr, p := range n.byAddr {
		if !stays[addr] {
			delete(n.byAddr, addr)
			n.peers[p.number-1] = nil
			n.gone(now, p)
		}
	}
	n.zone = v.Zone
	n.expected = max(v.Expected, len(n.byAddr)+1)
	if v.Leaving && !n.leaving {
		n.leaving = true
		n.counters.Leave()
	}
	n.rebuild(now)
	if !n.join.listed {
		n.join.listed, n.join.since = true, now
	}
	n.endUnreachable(now)
	n.settle(now)
}

// number gives a peer a number that no other node has or had.
func (n *Node) number(p *peer) {
	n.peers = append(n.peers, p)
	p.number = int32(len(n.peers))
	n.filling.add(p.number) // what a restarted node had not been told yet
	n.watched.add(p.number)
}

// renumber makes a peer another node: it has been restarted, so what it counts
// begins anew, and it has forgotten whose home it was.
func (n *Node) renumber(now limit.Instant, p *peer) {
	n.peers[p.number-1] = nil
	n.gone(now, p)
	n.number(p)
	p.received, p.ackAt, p.settled, p.fate = receipt{}, 0, false, 0
}

// rebuild makes the ring of those who can be the home of a counter: those who have
// joined, lest a hand-over come to one that does not know the pool's keys yet, and
// do not leave. Every node makes the same ring of the same view.
func (n *Node) rebuild(now limit.Instant) {
	alive, reached := 1, 1
	nodes := make([]ring.Node, 0, len(n.byAddr)+1)
	for _, p := range n.peers {
		if p == nil {
			continue
		}
		if p.State != Unreachable {
			reached++
		}
		if p.State == Alive && p.settled {
			alive++
			nodes = append(nodes, ring.Node{Name: p.Name, Number: p.number})
		}
	}
	if n.join.settled && !n.leaving || alive == 1 {
		nodes = append(nodes, ring.Node{Name: n.name, Number: self})
	}
	n.others = alive - 1
	if alone := len(n.byAddr) == 0; alone != n.alone {
		n.alone = alone
		n.join.flushing = !alone // what it took while it was alone nobody knows
		n.homes = newHomes(n.homes.max)
	}
	n.ring = ring.New(nodes)
	n.view++
	n.disturbed = 2 * sweepTicks // counters that come meanwhile make a round longer
	n.homes.moving = len(n.homes.list)
	clear(n.homes.looks)
	n.counters.SetPool(max(reached, len(n.byAddr)+1))
	// Those who reach most of the pool may suppose that the rest is down. Any
	// others may be on the small side of a split network, or on one of two equal
	// ones: they leave the rest its part of every limit.
	n.reached = reached
	holds := 2*reached <= n.expected && reached < n.expected
	if holds && !n.holding {
		n.heldSince = now
	}
	n.holding = holds
}

// fate is what is supposed of a node that cannot be reached. The zero value is that of
// one that can.
type fate uint8

const (
	isDown fate = iota + 1
	isAway      // it may be taking tokens all the same
)

// endUnreachable ends the lines of those who are down, or has them go on by
// themselves, once for each time that they are lost.
func (n *Node) endUnreachable(now limit.Instant) {
	var away []int32
	for _, p := range n.peers {
		switch {
		case p == nil:
		case p.State != Unreachable:
			p.fate = 0
		case !n.holding && p.fate != isDown:
			n.gone(now, p)
		case n.holding && p.fate != isAway:
			p.fate = isAway
			away = append(away, p.number)
			n.homes.end(now, p.number, n.counters, (*share.Home).NotGone)
		}
	}
	for _, node := range away { // the part of each depends on what all are asked for
		n.homes.end(now, node, n.counters, (*share.Home).Away)
	}
}

// fall is when a node was found to be down, and since when it is silent; 0: that is not
// known.
type fall struct{ noticed, silent limit.Instant }

// gone ends the lines of a node that is down.
func (n *Node) gone(now limit.Instant, p *peer) {
	silent := p.silent(now)
	if p.fate != isDown {
		n.fall = fall{now, silent}
	}
	p.fate = isDown
	n.homes.end(now, p.number, n.counters, func(h *share.Home, params *decide.Params, r *share.Rule, node int32, now limit.Instant) {
		h.Gone(params, r, node, silent, now)
	})
}

// self is the number of this node.
const self = 0

// byNumber returns a peer, or nil when it is gone or this node itself.
func (n *Node) byNumber(number int32) *peer {
	if number < 1 || int(number) > len(n.peers) {
		return nil
	}
	return n.peers[number-1]
}
