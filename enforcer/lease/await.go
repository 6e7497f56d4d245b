package lease

import (
	"slices"

	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/ring"
	"github.com/sluice-dev/sluice/enforcer/share"
)

const (
	// awaitMost is how long a new owner waits for what others have to say.
	awaitMost = limit.Second

	// wantEvery is how often it asks those who have not said it.
	wantEvery = 20 * limit.Millisecond

	// tellsFor is how long a node tells a new owner what it has admitted by itself before
	// it says that it does not decide on its keys: the former is on its way by then, and
	// has been said again if it was lost.
	tellsFor = 2 * Interval

	// maxQuestions bounds the questions that are kept for a new owner's first answers.
	maxQuestions = 1 << 16
)

// awaiting is what a new owner waits for: that all others say of its partitions that
// they do not decide on them, and that they have told all that they knew of them. As
// long as one awaits a partition, or owns it, it says that to nobody else, so of nodes
// that reach each other two do not own a key at once, whatever order their views come
// in.
type awaiting struct {
	serial     uint32 // of the view, so that no answer is taken for one to a later question
	partitions []uint16
	until      limit.Instant // then it begins with what it has

	questions []question // that came meanwhile
	places    map[asker]int
}

// asker is a node with a lease of a counter.
type asker struct {
	key  limit.Key
	node int32
}

// question is the newest that a node asked of a counter.
type question struct {
	from int32
	id   share.ID
	ask  Ask
}

// keep keeps a question until there is an answer. What there is no room for is asked again.
func (a *awaiting) keep(from int32, e *entry) {
	who := asker{e.id.Key, from}
	at, known := a.places[who]
	switch {
	case known:
		if was := &a.questions[at].ask; was.Life != e.ask.Life || int32(e.ask.Stamp-was.Stamp) > 0 {
			*was = e.ask
		}
	case len(a.questions) < maxQuestions:
		if a.places == nil {
			a.places = map[asker]int{}
		}
		a.places[who] = len(a.questions)
		a.questions = append(a.questions, question{from, e.id, e.ask})
	}
}

// chunk is a part of the partitions, as they are asked for at a time.
func (a *awaiting) chunk(i int) []uint16 {
	return a.partitions[i*maxChunk : min((i+1)*maxChunk, len(a.partitions))]
}

func (a *awaiting) chunks() int { return (len(a.partitions) + maxChunk - 1) / maxChunk }

// await has the others asked for the partitions that are awaited in a view.
func (n *Node) await(now limit.Instant, v *view) {
	a := &n.awaiting
	a.serial++
	a.until = now.Add(awaitMost)
	for _, p := range v.sorted {
		p.said, p.unsaid, p.wantAt = nil, 0, now
		if p.Reachable && len(a.partitions) > 0 {
			p.said, p.unsaid = make([]bool, a.chunks()), a.chunks()
		}
	}
}

// want asks those who have not said yet what is waited for.
func (n *Node) want(now limit.Instant, v *view, out Outbox) {
	if len(n.awaiting.partitions) == 0 {
		return
	}
	for _, p := range v.sorted {
		if p.unsaid == 0 || now < p.wantAt {
			continue
		}
		p.wantAt = now.Add(wantEvery)
		for i, said := range p.said {
			if !said {
				n.room(p, out).want(n.awaiting.serial, uint16(i), n.awaiting.chunk(i))
			}
		}
	}
}

// wanted answers a new owner, if none of the partitions is this node's, or is to be, or
// went to another who is the owner to its knowledge; and if it decides on nothing by itself
// that the asker has not been told of, or will not be: as long as it takes another for the
// owner, who does not answer.
func (n *Node) wanted(now limit.Instant, v *view, p *peer, e *entry, out Outbox) {
	if v.away {
		return
	}
	if p.wants != e.serial {
		p.wants = e.serial
		if n.confess(v, p.Number) {
			p.answerAt = now.Add(tellsFor)
		}
	}
	if now < p.answerAt {
		return
	}
	other := func(partition uint16) bool {
		owner, silent := v.owner(partition)
		return v.role(partition) != foreign || n.leaving.has(partition) || (n.left.has(partition) || silent) && owner != p.Number
	}
	if !slices.ContainsFunc(e.parts, other) {
		n.room(p, out).done(e.serial, e.chunk)
	}
}

// confess has an owner told what this node has admitted by itself, and says whether that is
// anything.
func (n *Node) confess(v *view, to int32) (any bool) {
	if !n.apart.Swap(false) {
		return false
	}
	apart := false
	for i := range n.shards {
		sh := &n.shards[i]
		sh.mu.Lock()
		sh.holders.each(0, sh.holders.slots, func(h *holder) {
			owner, _ := v.table.At(ring.Partition(h.id.Key))
			apart = apart || h.alone != nil
			if h.alone != nil && owner == to {
				any, h.dirty, h.tries = true, true, 0
				n.asks(sh, h)
				n.asksAtOnce(sh, h)
			}
		})
		sh.mu.Unlock()
	}
	if apart {
		n.apart.Store(true)
	}
	return any
}

// done takes such an answer.
func (n *Node) done(p *peer, e *entry) {
	if e.serial == n.awaiting.serial && int(e.chunk) < len(p.said) && !p.said[e.chunk] {
		p.said[e.chunk] = true
		p.unsaid--
	}
}

// arrive makes the awaited partitions this node's, once all have said that they are
// not theirs, or some have not for too long. Who waited for it asks again.
func (n *Node) arrive(now limit.Instant) {
	v, a := n.view.Load(), &n.awaiting
	if len(a.partitions) == 0 || now < a.until && slices.ContainsFunc(v.sorted, func(p *peer) bool { return p.unsaid > 0 }) {
		return
	}
	next := *v
	next.mine = new(partitions)
	*next.mine = *v.mine
	for _, p := range a.partitions {
		next.mine.add(p)
	}
	a.partitions = a.partitions[:0]
	n.view.Store(&next)
	for i := range n.shards {
		sh := &n.shards[i]
		sh.mu.Lock()
		sh.holders.each(0, sh.holders.slots, func(h *holder) { n.cleanHolder(now, &next, sh, h) })
		sh.mu.Unlock()
	}
}

// reply answers the questions that were kept. What all of them have used comes first, then
// what one gets.
func (n *Node) reply(now limit.Instant, out Outbox) {
	a := &n.awaiting
	if len(a.partitions) > 0 || len(a.questions) == 0 {
		return
	}
	v := n.view.Load()
	for _, q := range a.questions {
		q.ask.Want, q.ask.Demand = 0, 0
		n.hear(now, v, &q)
	}
	for i := range a.questions {
		q := &a.questions[i]
		p := v.peers[q.from]
		if g, ok := n.hear(now, v, q); ok && p != nil {
			n.room(p, out).grant(q.id.Key, &g)
		}
	}
	a.questions, a.places = nil, nil
}
