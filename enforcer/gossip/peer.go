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
	number int32  // in share.HomeRef and share.Sender; a restarted node gets another one
	hash   uint64 // of its name

	// life is that of the last frame, and former the one before. Lives are random
	// numbers and cannot be ordered: a late frame of a former life is told by its
	// number.
	life, former uint64
	heard        bool
	lastHeard    limit.Instant
	askedAt      limit.Instant // when the first frame was sent that it has not answered; 0: none
	settled      bool          // it has joined: before that it is nobody's home
	fate         fate
	way          way

	greetAt limit.Instant // when to tell it our name and seed
	pull    pull          // what we ask of it
	serving serving       // what it asked of us
	out     writer        // the frame of counts that is being filled, if it has entries
	sendAt  limit.Instant // when to send it at the latest

	seq      uint32          // of the last frame with entries
	boarding []sent          // entries of the frame that is being filled
	flights  *[window]flight // by seq; nil before the first one
	trip     limit.Span      // shortest in which it acknowledged one; 0: none yet
	received receipt         // of its frames
	ackAt    limit.Instant   // when to say so at the latest; 0: nothing new to say
	unacked  int             // frames since it was said
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
	if p.way.deaf(now) && now.Sub(p.lastHeard) > deafAfter { // not by way of others either
		p.way.by++
	}
	w := &n.scratch
	n.begin(w, kindHello)
	w.buf = append(w.buf, n.seed.Value[:]...)
	w.buf = binary.BigEndian.AppendUint64(w.buf, uint64(n.seed.Born))
	w.buf = append(w.buf, n.name...)
	n.send(now, p, w, out)
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
		p.greetAt, p.serving = now, serving{}
		n.renumber(now, p)
		n.rebuild(now)
	}
	p.heard, p.lastHeard, p.askedAt = true, now, 0
	p.way.heard(now, f)
	agrees := f.tag == n.seed.tag()
	switch {
	case f.kind == kindHello:
		agrees = n.agree(now, p, f, out)
	case !agrees:
		n.stats.Foreign++
		p.greetAt = min(p.greetAt, now.Add(greetAgain))
	}
	if joined := f.settled && agrees; joined != p.settled {
		p.settled, p.greetAt = joined, now // it may have to know the same of us
		n.rebuild(now)
	}
	return agrees
}

// silent returns since when the peer has taken nothing, supposed that it has ended: it
// would have answered what was sent to it before. 0: nothing was.
func (p *peer) silent(now limit.Instant) limit.Instant {
	if p.askedAt == 0 {
		return 0
	}
	return min(now, p.askedAt.Add(ackWait+lateAfter))
}

// watch sends what was lost again, and acknowledges what came.
func (n *Node) watch(now limit.Instant, out Outbox) {
	n.watched.each(func(number int32) (stays bool) {
		p := n.byNumber(number)
		if p == nil {
			return false
		}
		flying := p.overdue(now, func(e sent) { n.lost(now, p, e) })
		if p.ackAt != 0 && now >= p.ackAt {
			n.acknowledge(now, p, out)
		}
		return flying || p.ackAt != 0
	})
}

// arrived notes a frame of counts, and says whether it is new.
func (n *Node) arrived(now limit.Instant, p *peer, f *frame, out Outbox) bool {
	if f.acks {
		p.landed(now, f.ack, func(e sent) { n.lost(now, p, e) })
	}
	if len(f.entries) == 0 {
		return false
	}
	again := p.received != (receipt{}) && p.received.has(f.seq)
	p.received.note(f.seq)
	if p.ackAt == 0 {
		p.ackAt = now.Add(ackWait)
		n.watched.add(p.number)
	}
	if p.unacked++; p.unacked >= ackEvery {
		n.acknowledge(now, p, out)
	}
	return !again
}

// acknowledge says what has arrived, with the frame that is being filled or with one
// of its own.
func (n *Node) acknowledge(now limit.Instant, p *peer, out Outbox) {
	if p.out.entries > 0 {
		n.sendCounts(now, p, out)
		return
	}
	n.begin(&n.scratch, kindCounts)
	n.scratch.acknowledge(p.received)
	p.ackAt, p.unacked = 0, 0
	n.send(now, p, &n.scratch, out)
}

func (n *Node) begin(w *writer, k kind) { w.begin(k, n.join.settled, n.life, n.seed.tag()) }

// room makes sure that one more entry fits into the frame for a peer, and notes
// which one it is, and how long it may wait for others.
func (n *Node) room(now limit.Instant, p *peer, out Outbox, e sent, wait limit.Span) {
	if p.out.entries > 0 && p.out.full() {
		n.sendCounts(now, p, out)
	}
	if p.out.entries == 0 {
		n.begin(&p.out, kindCounts)
		p.sendAt = limit.Never
		p.out.acknowledge(p.received)
		n.filling.add(p.number)
	}
	p.sendAt = min(p.sendAt, now.Add(wait))
	p.boarding = append(p.boarding, e)
}

// flush sends every frame that has entries, unless they can wait for others.
func (n *Node) flush(now limit.Instant, out Outbox) {
	n.filling.each(func(number int32) (stays bool) {
		p := n.byNumber(number)
		if p != nil && p.out.entries > 0 && (now >= p.sendAt || n.leaving) {
			n.sendCounts(now, p, out)
		}
		return p != nil && p.out.entries > 0
	})
}

func (n *Node) sendCounts(now limit.Instant, p *peer, out Outbox) {
	if p.askedAt == 0 {
		p.askedAt = now
	}
	p.seq++
	p.out.renew(p.received)
	p.out.depart(now)
	p.ackAt, p.unacked = 0, 0
	p.depart(now)
	n.watched.add(p.number)
	n.send(now, p, &p.out, out)
}

// send sends a frame, with the number of the last one that had entries. It goes by way
// of a third node where the link is broken; what tells that it is whole again goes by
// the link as well.
func (n *Node) send(now limit.Instant, p *peer, w *writer, out Outbox) {
	frame := w.number(p.seq)
	w.entries = 0
	if p.way.deaf(now) {
		w.deaf()
	}
	via := n.via(now, p)
	if via == nil || kind(frame[1]) == kindHello {
		n.put(p, frame, out)
	}
	if via != nil {
		n.put(via, w.routed(route{from: n.hash, to: p.hash}), out)
	}
}

// put hands a frame to the network, and counts it.
func (n *Node) put(p *peer, frame []byte, out Outbox) {
	n.stats.Sent++
	n.stats.SentBytes += uint64(len(frame))
	out.Send(p.Address, frame)
}
