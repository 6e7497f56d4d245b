package gossip

import (
	"encoding/binary"

	"github.com/sluice-dev/sluice/enforcer/limit"
)

const (
	// greetEvery is how often a node tells each peer its name and seed.
	greetEvery = limit.Second

	// greetAgain is how soon it does so again to one that does not know them.
	greetAgain = 50 * limit.Millisecond
)

// peer is another node.
type peer struct {
	Member
	number int32 // in share.HomeRef and share.Sender; a restarted node gets another one

	// life is that of the last frame, and former the one before. Lives are random
	// numbers and cannot be ordered: a late frame of a former life is told by its
	// number.
	life, former uint64
	heard        bool
	lastHeard    limit.Instant

	greetAt limit.Instant // when to tell it our name and seed
	pull    pull          // what we ask of it
	serving serving       // what it asked of us
	out     writer        // the frame of counts that is being filled, if it has entries
}

// greet tells peers the name and the seed of this node.
func (n *Node) greet(now limit.Instant, out Outbox) {
	for _, p := range n.peers {
		if p != nil && now >= p.greetAt {
			n.hello(now, p, out)
		}
	}
}

func (n *Node) hello(now limit.Instant, p *peer, out Outbox) {
	p.greetAt = now.Add(greetEvery)
	w := &n.scratch
	n.begin(w, kindHello)
	w.buf = append(w.buf, n.seed.Value[:]...)
	w.buf = binary.BigEndian.AppendUint64(w.buf, uint64(n.seed.Born))
	w.buf = append(w.buf, n.name...)
	n.send(p, w, out)
}

// hear notes the sender of a frame, and says whether to use what is in it.
func (n *Node) hear(now limit.Instant, p *peer, f *frame, out Outbox) bool {
	switch {
	case f.life == p.life:
	case f.life == p.former:
		return false
	case p.life == 0:
		p.life = f.life
	default: // it has been restarted, and has forgotten whose home it was
		p.former, p.life = p.life, f.life
		p.greetAt = now
		n.renumber(now, p)
		n.rebuild()
	}
	p.heard, p.lastHeard = true, now
	if f.kind == kindHello {
		return n.agree(now, p, f, out)
	}
	if f.tag != n.seed.tag() {
		n.stats.Foreign++
		p.greetAt = min(p.greetAt, now.Add(greetAgain))
		return false
	}
	return true
}

func (n *Node) begin(w *writer, k kind) { w.begin(k, n.join.settled, n.life, n.seed.tag()) }

// room makes sure that one more entry fits into the frame for a peer.
func (n *Node) room(p *peer, out Outbox) {
	if p.out.entries > 0 && p.out.full() {
		n.send(p, &p.out, out)
	}
	if p.out.entries == 0 {
		n.begin(&p.out, kindCounts)
	}
}

// flush sends every frame that has entries.
func (n *Node) flush(out Outbox) {
	for _, p := range n.peers {
		if p != nil && p.out.entries > 0 {
			n.send(p, &p.out, out)
		}
	}
}

// send numbers a frame and sends it.
func (n *Node) send(p *peer, w *writer, out Outbox) {
	n.seq++
	frame := w.number(n.seq)
	w.entries = 0
	n.stats.Sent++
	n.stats.SentBytes += uint64(len(frame))
	out.Send(p.Address, frame)
}
