package gossip

import (
	"fmt"

	"github.com/sluice-dev/sluice/enforcer/limit"
)

// Two nodes may not reach each other while others reach both. Membership then takes
// both for alive, since it asks by way of others. So the ring stays as it is, and what
// the two have to tell each other goes by way of a third node, which passes it on as
// it is. Nobody decides that: a node takes the detour for what it sends itself, and
// nothing is said or sent of it while every link is whole.

const (
	// patience is for how long all frames to a peer may be lost before others go by
	// way of a third node: longer than a pause that membership lets pass.
	patience = 400 * limit.Millisecond

	// deafAfter is how long after the last frame that came directly from a peer its
	// link counts as broken: three hellos may be lost.
	deafAfter = 3*greetEvery + greetEvery/2

	// detourTime is for how long frames go by way of a third node, after they were lost
	// or the peer has said that it hears nothing directly: until it would have said so.
	detourTime = deafAfter + greetEvery/2
)

// route says from which node a frame is that goes by way of another, and for which.
type route struct{ from, to uint64 }

// way is how the frames to a peer go.
type way struct {
	heardAt limit.Instant // when the last frame came from it directly
	lostAt  limit.Instant // when the first one was sent of those that were lost since one arrived; 0: none
	until   limit.Instant // they go by way of a third node
	by      int           // which of those that pass frames on
}

// heard notes that a frame came from the peer, which may say that it hears nothing from
// this node directly.
func (w *way) heard(now limit.Instant, f *frame) {
	if !f.routed {
		w.heardAt = now
	}
	if f.deaf {
		w.until = now.Add(detourTime)
	}
}

// deaf says that nothing comes from the peer directly.
func (w *way) deaf(now limit.Instant) bool { return now.Sub(w.heardAt) > deafAfter }

// broken says that frames get lost on the link, one way or the other.
func (w *way) broken(now limit.Instant) bool { return w.deaf(now) || now < w.until }

// lost notes that a frame was lost. When all were for too long, another way is tried.
func (w *way) lost(now, sent limit.Instant) {
	switch {
	case w.lostAt == 0 || sent.Sub(w.lostAt) > 2*patience: // what is lost is sent again before that
		w.lostAt = sent
	case sent >= w.lostAt && now.Sub(w.lostAt) >= patience: // and it did not go another way
		if w.broken(now) {
			w.by++
		}
		w.until, w.lostAt = now.Add(detourTime), now
	}
}

// via returns the node that passes on what is for a peer, and nil when it goes by the
// link: also when there is none.
func (n *Node) via(now limit.Instant, p *peer) *peer {
	if p.State == Unreachable || !p.way.broken(now) {
		return nil
	}
	for range n.peers {
		q := n.peers[(int(p.number)+p.way.by)%len(n.peers)]
		if q != nil && q != p && q.State == Alive && q.heard && !q.way.broken(now) {
			return q
		}
		p.way.by++
	}
	return nil
}

// sender returns the node that a frame is from, which came from a peer. It is nil when
// the frame was for another node and is passed on: once, to where it is for.
func (n *Node) sender(p *peer, f *frame, data []byte, out Outbox) (*peer, error) {
	if !f.routed {
		return p, nil
	}
	from, to := n.byHash(f.route.from), n.byHash(f.route.to)
	switch mine := f.route.to == n.hash; {
	case mine && from != nil:
		return from, nil
	case mine || from != p:
		n.stats.Strange++
		return nil, fmt.Errorf("%w: it came by way of %s", ErrStranger, p.Address)
	case to != nil && to.State != Unreachable:
		n.stats.Passed++
		n.put(to, data, out)
	}
	return nil, nil
}

// byHash returns the peer with the hash of a name, or nil; of two that had the name one
// after the other, the one that can be reached.
func (n *Node) byHash(hash uint64) (found *peer) {
	for _, p := range n.peers {
		if p != nil && p.hash == hash && (found == nil || found.State == Unreachable) {
			found = p
		}
	}
	return found
}
