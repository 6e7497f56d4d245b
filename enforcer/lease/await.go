package lease

import (
	"slices"

	"github.com/sluice-dev/sluice/enforcer/limit"
)

const (
	// awaitMost is how long a new owner waits for what others have to say.
	awaitMost = limit.Second

	// wantEvery is how often it asks those who have not said it.
	wantEvery = 20 * limit.Millisecond
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
// went to another who is the owner to its knowledge.
func (n *Node) wanted(v *view, p *peer, e *entry, out Outbox) {
	other := func(partition uint16) bool {
		owner, _ := v.table.At(partition)
		return v.role(partition) != foreign || n.leaving.has(partition) || n.left.has(partition) && owner != p.Number
	}
	if !slices.ContainsFunc(e.parts, other) {
		n.room(p, out).done(e.serial, e.chunk)
	}
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
		sh.holders.each(0, len(sh.holders.keys), func(h *holder) { n.cleanHolder(now, &next, sh, h) })
		sh.mu.Unlock()
	}
}
