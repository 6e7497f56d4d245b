package gossip

import (
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/share"
)

const (
	// ackWait is how long a node waits for something to send before it acknowledges
	// frames with one of their own: longer than entries wait for each other.
	ackWait = share.CalmWait + 15*limit.Millisecond

	// lostAfter is how long a frame may go unacknowledged before it counts as lost. One
	// that is lateAfter old does when the peer speaks and does not know of it: after
	// overtakenBy later ones, or when it had twice the time in which it has answered.
	lostAfter   = 100 * limit.Millisecond
	overtakenBy = 3
	lateAfter   = 20 * limit.Millisecond

	// ackEvery is how many frames are acknowledged at the latest: a receipt holds 32.
	ackEvery = 16

	// window is how many frames to one peer are watched at a time.
	window = 64
)

// receipt says which numbered frames have arrived: the last one, and of the 32
// before it those whose bit is set, the nearest one first.
type receipt struct{ last, mask uint32 }

// note adds a frame.
func (r *receipt) note(seq uint32) {
	switch ahead := int32(seq - r.last); {
	case *r == receipt{}: // the first one
		r.last = seq
	case ahead > 32:
		r.last, r.mask = seq, 0
	case ahead > 0:
		r.mask = uint32(uint64(r.mask)<<ahead | 1<<(ahead-1))
		r.last = seq
	case ahead < 0 && ahead >= -32:
		r.mask |= 1 << (-ahead - 1)
	}
}

// has says whether a frame has arrived, as far as it is known.
func (r *receipt) has(seq uint32) bool {
	behind := int32(r.last - seq)
	return behind == 0 || behind > 0 && behind <= 32 && r.mask&(1<<(behind-1)) != 0
}

// flight is a frame that was sent and is not acknowledged.
type flight struct {
	seq     uint32
	at      limit.Instant
	entries []sent // none: acknowledged, or free
}

// sent is an entry of a frame.
type sent struct {
	share.ID
	isState bool
}

// depart notes a frame with entries that is sent now.
func (p *peer) depart(now limit.Instant) {
	if p.flights == nil {
		p.flights = new([window]flight)
	}
	f := &p.flights[p.seq%window]
	f.seq, f.at = p.seq, now
	f.entries, p.boarding = p.boarding, f.entries[:0]
}

// landed takes an acknowledgement, and hands over what was in frames that are
// lost.
func (p *peer) landed(now limit.Instant, r receipt, lost func(sent)) {
	if p.flights == nil {
		return
	}
	for i := range p.flights {
		f := &p.flights[i]
		switch age := now.Sub(f.at); {
		case len(f.entries) == 0:
		case r.has(f.seq):
			f.entries, p.way.lostAt = f.entries[:0], 0
			if p.trip == 0 || age < p.trip {
				p.trip = age
			}
		case age < lateAfter: // it may be a little late
		case age >= 2*p.trip, int32(r.last-f.seq) >= overtakenBy:
			f.lose(lost)
		}
	}
}

// overdue hands over what was in frames that have not been heard of for too long, and
// says whether there are others that have not.
func (p *peer) overdue(now limit.Instant, lost func(sent)) (flying bool) {
	if p.flights == nil {
		return false
	}
	for i := range p.flights {
		f := &p.flights[i]
		switch {
		case len(f.entries) == 0:
		case now.Sub(f.at) >= lostAfter:
			p.way.lost(now, f.at)
			f.lose(lost)
		default:
			flying = true
		}
	}
	return flying
}

func (f *flight) lose(lost func(sent)) {
	for _, e := range f.entries {
		lost(e)
	}
	f.entries = f.entries[:0]
}

// lost has an entry sent again, as it is by now.
func (n *Node) lost(now limit.Instant, p *peer, e sent) {
	n.stats.Lost++
	if !e.isState {
		n.counters.With(now, e.ID, false, func(c *share.Counter) { c.Local.Again() })
	} else if h := n.homes.byKey[e.Key]; h != nil {
		h.Doubt(p.number)
		n.homes.touch(h)
	}
}
