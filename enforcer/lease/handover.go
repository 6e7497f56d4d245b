package lease

import (
	"slices"

	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/ring"
)

const (
	// flightTime is when a frame is lost that has not been acknowledged, and
	// maxFlights how many to one peer may be under way.
	flightTime = 25 * limit.Millisecond
	maxFlights = 64

	// scanBooks bounds the books of one shard that are looked at in one Tick because
	// the view changed.
	scanBooks = 1024
)

// flight is what a frame carried that has to arrive.
type flight struct {
	seq    uint32
	sentAt limit.Instant
	books  []limit.Key
	overs  bool // some of them are for their new owner
}

// landed notes that a frame has arrived.
func (n *Node) landed(p *peer, seq uint32) {
	p.flights = slices.DeleteFunc(p.flights, func(f flight) bool { return f.seq == seq })
}

// overdue has said again what was in frames that are lost.
func (n *Node) overdue(now limit.Instant, p *peer) {
	for len(p.flights) > 0 && now.Sub(p.flights[0].sentAt) > flightTime {
		for _, k := range p.flights[0].books {
			sh := n.shardOf(k)
			sh.mu.Lock()
			if b := sh.books.find(k); b != nil {
				n.retell(sh, b)
			}
			sh.mu.Unlock()
		}
		p.flights = slices.Delete(p.flights, 0, 1)
	}
}

// retell has somebody told of a book, changed or not.
func (n *Node) retell(sh *shard, b *book) {
	b.changed, b.toldAt = true, 0
	n.changed(sh, b)
}

// tell tells successors, and new owners, of books that changed.
func (n *Node) tell(now limit.Instant, v *view, out Outbox) {
	for i := range n.shards {
		sh := &n.shards[i]
		if !sh.busy.Load() {
			continue
		}
		sh.mu.Lock()
		rest := sh.telling[:0]
		for _, k := range sh.telling {
			b := sh.books.find(k)
			if b == nil {
				continue
			}
			if b.queued = !n.tellOne(now, v, b, out); b.queued {
				rest = append(rest, k)
			}
		}
		sh.telling = rest
		sh.busy.Store(len(rest)+len(sh.asking) > 0)
		sh.mu.Unlock()
	}
}

// tellOne returns false for a book that has to wait.
func (n *Node) tellOne(now limit.Instant, v *view, b *book, out Outbox) bool {
	partition := ring.Partition(b.id.Key)
	owner, successor := v.table.At(partition)
	k, to := kindCopy, v.peers[successor]
	if n.leaving.has(partition) {
		k, to = kindOver, v.peers[owner]
	}
	switch {
	case to == nil, k == kindCopy && v.role(partition) != mine:
		b.changed = false
		return true
	case k == kindOver && now.Sub(b.toldAt) < flightTime, len(to.flights) >= maxFlights:
		return false
	}
	n.room(to, out).book(k, b.id, b.sum(now))
	to.cargo.sentAt = now
	to.cargo.books = append(to.cargo.books, b.id.Key)
	to.cargo.overs = to.cargo.overs || k == kindOver
	b.changed, b.toldAt = false, now
	return true
}

// rescanned is how far the books were looked at because the view changed.
type rescanned struct {
	shard, place int
	done         bool
}

// rescan looks for books of which somebody has to be told because the view changed.
func (n *Node) rescan() {
	r := &n.rescanned
	for range shards {
		if r.done {
			return
		}
		sh := &n.shards[r.shard]
		sh.mu.Lock()
		r.place = sh.books.each(r.place, scanBooks, func(b *book) {
			if n.scan.has(ring.Partition(b.id.Key)) {
				n.retell(sh, b)
			}
		})
		sh.mu.Unlock()
		if r.place == 0 {
			r.shard++
			r.done = r.shard == shards
		}
	}
	if r.done {
		n.scan = partitions{}
	}
}

// hand notes which partitions have left: their new owner has all books of them.
func (n *Node) hand(now limit.Instant, v *view) {
	if len(n.handing) == 0 || !n.rescanned.done || now < n.handAt {
		return
	}
	n.handAt = now.Add(Interval)
	waits := n.oversUnderWay(v)
	n.handing = slices.DeleteFunc(n.handing, func(partition uint16) bool {
		if owner, _ := v.table.At(partition); waits[owner] {
			return false
		}
		n.leaving.remove(partition)
		n.left.add(partition)
		return true
	})
}

// oversUnderWay returns which new owners may not have all books yet.
func (n *Node) oversUnderWay(v *view) map[int32]bool {
	waits := map[int32]bool{}
	for _, p := range v.sorted {
		if p.cargo.overs || slices.ContainsFunc(p.flights, func(f flight) bool { return f.overs }) {
			waits[p.Number] = true
		}
	}
	for i := range n.shards {
		sh := &n.shards[i]
		sh.mu.Lock()
		for _, k := range sh.telling {
			if p := ring.Partition(k); n.leaving.has(p) {
				owner, _ := v.table.At(p)
				waits[owner] = true
			}
		}
		sh.mu.Unlock()
	}
	return waits
}

// copied takes what the owner of a counter, or the one that was, says of its book.
func (n *Node) copied(now limit.Instant, v *view, from *peer, seq uint32, e *entry) {
	params := n.params(now, e.id.Limit, e.id.Variant)
	partition := ring.Partition(e.id.Key)
	role := v.role(partition)
	if params == nil || e.kind == kindCopy && role == mine {
		return
	}
	sh := n.shardOf(e.id.Key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	b := n.book(now, sh, e.id, params)
	if b == nil || b.from == from.Number && int32(seq-b.version) < 0 {
		return // there is no room, or it is older than what is known
	}
	b.from, b.version, b.usedAt = from.Number, seq, now
	switch {
	case role == mine: // it came too late, or again
		b.catchUp(now, e.sum)
		n.changed(sh, b)
	case e.kind == kindCopy && role == foreign && !n.leaving.has(partition):
		b.copy(now, e.sum)
	default: // of several that tell what they had of it, the one who knows of more is right
		more, here := e.sum, b.sum(now)
		if here.used > more.used {
			more.used, more.past = here.used, here.past
		}
		more.outstanding = max(more.outstanding, here.outstanding)
		b.copy(now, more)
	}
	if e.kind == kindOver && role == foreign { // the sender has another view: it goes on to the owner
		n.leave(partition)
		b.changed, b.toldAt = true, now
		n.changed(sh, b)
	}
}

// leave has the books of a partition handed over.
func (n *Node) leave(partition uint16) {
	if !n.leaving.has(partition) {
		n.leaving.add(partition)
		n.handing = append(n.handing, partition)
	}
}
