package lease

import (
	"errors"
	"fmt"
	"math/bits"
	"sync/atomic"

	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/ring"
)

const (
	// Interval is how often a driver calls Tick while something is under way.
	Interval = 5 * limit.Millisecond

	// Idle is how often it does while nothing is.
	Idle = 100 * limit.Millisecond

	// promptFor is how long after a question more of them are expected. Meanwhile each frame
	// wakes the driver; later on, one that comes within a millisecond of another is read when
	// that is over. So nobody waits who asks, or is asked, at least once in this time.
	promptFor = limit.Second
)

// ErrStranger says that the sender is not in the pool, or it is another life of it than the one
// that the pool knows. A frame that caused it has had no effect.
var ErrStranger = errors.New("lease frame from a node that is not in the pool")

// Outbox takes the frames that a node wants to send.
type Outbox interface {
	// Send hands one frame to the network, which may lose it. It must not block, and
	// frame is valid during the call only.
	Send(to string, frame []byte)
}

// Options configure a Node.
type Options struct {
	// Name is this node's name in the pool, and Life tells this start of it from
	// others; both required.
	Name limit.NodeID
	Life uint64

	// Params returns how a limit's variant counts, or nil where it is not known here;
	// required. It is called within Receive.
	Params func(now limit.Instant, id uint64, variant uint16) *decide.Params

	// MaxKeys bounds the books, and the leases, that are remembered: at least 64 of
	// each.
	MaxKeys int

	// Wake is called when Take or SetPool gave the node something to do, and Tick has said
	// that it need not be called for longer than Interval: it should be now. Wake may run
	// under a lock: it must not block, and must not call the Node. Nil calls nobody.
	Wake func()

	// Hurry is called when a request waits for a question that Flush sends; otherwise it
	// is as Wake.
	Hurry func()
}

// Node is one node's end. Take and Undo may be called from any number of goroutines;
// of the other methods a driver calls one at a time. Make one with New.
type Node struct {
	name     limit.NodeID
	life     uint64
	params   func(limit.Instant, uint64, uint16) *decide.Params
	wake     func()
	hurry    func()
	perShard int
	shards   [shards]shard
	lives    atomic.Uint32 // of leases, so far
	woken    atomic.Bool   // Tick is called within Interval
	urgent   atomic.Uint64 // shards, by bit, in which a request waits for a question
	view     atomic.Pointer[view]

	byAddr map[string]*peer
	tag    uint32

	// What is to be done since the view changed: books of which somebody is to be told
	// anew, partitions that another node is to own, and those that this one awaits.
	scan      partitions
	rescanned rescanned
	leaving   partitions
	handing   []uint16 // those in leaving
	handAt    limit.Instant
	left      partitions // that this node has had
	awaiting  awaiting

	apart atomic.Bool // counters are decided without their owners

	askedAt limit.Instant // when requests last waited for an answer of this node, or for one to it
	roundAt limit.Instant // when the next round is
	filling []*peer       // those for whom there is a frame, or an acknowledgement, since the last Flush
	sweeper sweeper
	in      frame
	stats   Stats
}

// Stats describe a Node: what there is now, and what has been since it was made.
type Stats struct {
	Books, Leases int // remembered now; books with the copies of others'
	Silent        int // owners that leave questions without an answer
	Decided

	Frames, Malformed, Strange uint64 // received; Malformed and Strange had no effect
	Sent, Bytes                uint64
}

// Decided counts charges by how they were decided.
type Decided struct {
	Here     uint64 // by the book of a counter that this node owns
	Leased   uint64 // by a lease, or by what the owner said last
	Asked    uint64 // times that a charge waited for the owner
	Late     uint64 // denied because the owner did not answer in time
	Alone    uint64 // as OnUnreachable says
	Full     uint64 // denied for want of room to count
	Answered uint64 // questions of others
}

func (d *Decided) add(o *Decided) {
	d.Here, d.Leased, d.Asked = d.Here+o.Here, d.Leased+o.Leased, d.Asked+o.Asked
	d.Late, d.Alone, d.Full, d.Answered = d.Late+o.Late, d.Alone+o.Alone, d.Full+o.Full, d.Answered+o.Answered
}

// New returns a Node that knows no pool yet: until SetPool it decides by itself what
// OnUnreachable says.
func New(o Options) (*Node, error) {
	if o.Name == "" || o.Params == nil || o.MaxKeys < minKeys {
		return nil, fmt.Errorf("lease needs a Name, Params, and MaxKeys of at least %d", minKeys)
	}
	n := &Node{name: o.Name, life: o.Life, params: o.Params, wake: o.Wake, hurry: o.Hurry, perShard: o.MaxKeys / shards, byAddr: map[string]*peer{}}
	n.view.Store(&view{table: &ring.Table{}, mine: new(partitions), parts: 1})
	return n, nil
}

// reset forgets every counter: keys mean something else now.
func (n *Node) reset() {
	for i := range n.shards {
		sh := &n.shards[i]
		sh.mu.Lock()
		sh.holders.each(0, sh.holders.slots, func(h *holder) { h.wake() })
		sh.books, sh.holders, sh.lists = table[book]{}, table[holder]{}, lists{}
		sh.mu.Unlock()
	}
}

// Tick does what time asks for: it asks owners, tells successors and new owners, and
// forgets what says nothing. It returns when to call it again at the latest; sooner
// does no harm.
func (n *Node) Tick(now limit.Instant, out Outbox) (next limit.Span) {
	n.woken.Store(false)
	n.arrive(now)
	n.reply(now, out)
	if next = n.roundAt.Sub(now); next < Interval/8 { // or else it would be called for that
		next = n.round(now, n.view.Load(), out)
	}
	n.Flush(now, out)
	if next <= Interval {
		n.woken.Store(true)
	}
	return next
}

// round does what nobody waits for. It comes once an Interval at most, so that there
// is more than one thing to say in a frame.
func (n *Node) round(now limit.Instant, v *view, out Outbox) (next limit.Span) {
	n.roundAt = now.Add(Interval)
	n.look(now, v)
	for _, p := range v.sorted {
		n.overdue(now, p)
	}
	n.rescan()
	n.ask(now, v, out)
	n.tell(now, v, out)
	n.hand(now, v)
	n.want(now, v, out)
	n.sweep(now, v)
	next = Idle
	for _, p := range v.sorted {
		n.send(p, out)
		if len(p.flights) > 0 {
			next = Interval
		}
	}
	for i := range n.shards {
		if n.shards[i].busy.Load() {
			next = Interval
		}
	}
	if n.sweeper.anew > 0 || !n.rescanned.done || len(n.handing)+len(n.awaiting.partitions) > 0 {
		next = Interval
	}
	return next
}

// Flush sends what somebody waits for: questions of requests, and answers to those of
// others. A driver calls it after Hurry, and when it has given the node all the frames
// that there were; so what came together leaves together, and nothing waits.
func (n *Node) Flush(now limit.Instant, out Outbox) {
	v := n.view.Load()
	for set := n.urgent.Swap(0); set != 0; set &= set - 1 {
		n.askUrgent(now, v, &n.shards[bits.TrailingZeros64(set)], out)
	}
	rests := !n.woken.Load() // or else a round comes soon, which acknowledges
	for _, p := range n.filling {
		if p.out.entries > 0 || rests {
			n.send(p, out)
		}
	}
	n.filling = n.filling[:0]
}

// Receive takes a frame from a peer. What there is to answer leaves with Flush.
func (n *Node) Receive(now limit.Instant, from string, data []byte, out Outbox) error {
	n.stats.Frames++
	p := n.byAddr[from]
	if p == nil {
		n.stats.Strange++
		return fmt.Errorf("%w: %s", ErrStranger, from)
	}
	f := &n.in
	if err := f.decode(data); err != nil {
		n.stats.Malformed++
		return fmt.Errorf("from %s: %w", from, err)
	}
	if f.life != p.Life || f.tag != n.tag {
		n.stats.Strange++
		return fmt.Errorf("%w: %s", ErrStranger, from)
	}
	p.waiting = 0
	p.silent.Store(false)
	for _, seq := range f.acks {
		n.landed(p, seq)
	}
	v := n.view.Load()
	keep := false
	for i := range f.entries {
		e := &f.entries[i]
		switch e.kind {
		case kindAsk:
			n.asked(now, v, p, e, out)
		case kindGrant:
			n.granted(now, e)
		case kindCopy, kindOver:
			keep = true
			n.copied(now, v, p, f.seq, e)
		case kindDone:
			n.done(p, e)
		case kindWant:
			n.wanted(now, v, p, e, out)
		}
	}
	n.arrive(now)
	n.reply(now, out)
	if keep && len(p.acks) < maxAcks {
		p.acks = append(p.acks, f.seq)
		n.filling = append(n.filling, p)
	}
	return nil
}

// Prompt says whether requests may be waiting, here or elsewhere, for the answers to
// frames that are under way. It may be called by the driver at any time.
func (n *Node) Prompt(now limit.Instant) bool { return now.Sub(n.askedAt) < promptFor }

// Left says whether a node that owned counters has handed all of them over, as far as
// there is anybody to take them.
func (n *Node) Left() bool { return n.rescanned.done && len(n.handing) == 0 }

// room makes sure that one more entry fits into the frame for a peer.
func (n *Node) room(p *peer, out Outbox) *writer {
	if p.out.entries > 0 && p.out.full() {
		n.send(p, out)
	}
	if p.out.entries == 0 {
		n.filling = append(n.filling, p)
		p.out.begin(n.life, n.tag, p.acks)
		p.acks = p.acks[:0]
	}
	return &p.out
}

// send sends the frame that is being filled, and what was received if there is
// nothing else to say.
func (n *Node) send(p *peer, out Outbox) {
	if p.out.entries == 0 {
		if len(p.acks) == 0 {
			return
		}
		n.room(p, out)
	}
	p.seq++
	if len(p.cargo.books) > 0 {
		p.cargo.seq = p.seq
		p.flights = append(p.flights, p.cargo)
		p.cargo = flight{}
	}
	frame := p.out.number(p.seq)
	p.out.entries = 0
	n.stats.Sent++
	n.stats.Bytes += uint64(len(frame))
	out.Send(p.Address, frame)
}
