package lease

import (
	"slices"

	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/ring"
)

const (
	// tellEvery is how long a book may have changed before its successor is told.
	tellEvery = 5 * limit.Millisecond

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
	done   []uint16
	overs  bool // some of books are for their new owner
}

func (f *flight) empty() bool { return len(f.books)+len(f.done) == 0 }

// landed notes that a frame has arrived.
func (n *Node) landed(p *peer, seq uint32) {
	at := slices.IndexFunc(p.flights, func(f flight) bool { return f.seq == seq })
	if at < 0 {
		return
	}
	for _, partition := range p.flights[at].done {
		n.leaving[partition] = false
	}
	p.flights = slices.Delete(p.flights, at, at+1)
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
	if n.leaving[partition] {
		k, to = kindOver, v.peers[owner]
	}
	switch {
	case to == nil, k == kindCopy && v.roles[partition] != mine:
		b.changed = false
		return true
	case k == kindCopy && now.Sub(b.toldAt) < tellEvery, len(to.flights) >= maxFlights:
		return false
	}
	n.room(to, out).book(k, b.id, b.sum(now))
	to.cargo.sentAt = now
	to.cargo.books = append(to.cargo.books, b.id.Key)
	to.cargo.overs = to.cargo.overs || k == kindOver
	b.changed, b.toldAt = false, now
	return true
}

// rescan looks for books of which somebody has to be told because the view changed.
func (n *Node) rescan() {
	for range shards {
		if n.scanned {
			return
		}
		sh := &n.shards[n.scanShard]
		sh.mu.Lock()
		n.scanPlace = sh.books.each(n.scanPlace, scanBooks, func(b *book) {
			if n.scan[ring.Partition(b.id.Key)] {
				n.retell(sh, b)
			}
		})
		sh.mu.Unlock()
		if n.scanPlace == 0 {
			n.scanShard++
			n.scanned = n.scanShard == shards
		}
	}
	if n.scanned {
		clear(n.scan[:])
	}
}

// hand tells new owners that they have all books of the partitions that left.
func (n *Node) hand(now limit.Instant, v *view, out Outbox) {
	if !n.handing || !n.scanned || now < n.handAt || n.oversUnderWay(v) {
		return
	}
	n.handAt, n.handing = now.Add(2*flightTime), false
	var b batch
	for i := range ring.Partitions {
		partition := uint16(i)
		owner, _ := v.table.At(partition)
		switch {
		case !n.leaving[partition]:
		case v.peers[owner] == nil:
			n.leaving[partition] = false
		default:
			n.handing = true
			b.add(owner, partition)
		}
	}
	n.say(now, v, kindDone, &b, out)
}

// want asks for books that should have come by now. Nobody else knows that this node
// waits for them, where views came in another order.
func (n *Node) want(now limit.Instant, v *view, out Outbox) {
	if n.awaitedUntil == limit.Never || now < n.wantAt {
		return
	}
	n.wantAt = now.Add(2 * flightTime)
	var b batch
	for i, r := range v.roles {
		if r != awaited {
			continue
		}
		if v.peers[n.source[i]] == nil {
			n.handed[i], n.arrived = true, true
			continue
		}
		b.add(n.source[i], uint16(i))
	}
	n.say(now, v, kindWant, &b, out)
}

// wanted answers that no books of some partitions are here for others. Of those that
// are the answer comes when all have been sent, and of those that this node still
// owns, as far as it knows, when it knows better.
func (n *Node) wanted(now limit.Instant, v *view, p *peer, partitions []uint16, out Outbox) {
	var b batch
	for _, partition := range partitions {
		if v.roles[partition] == foreign && !n.leaving[partition] {
			b.add(p.Number, partition)
		}
	}
	n.say(now, v, kindDone, &b, out)
}

// batch is partitions, by the number of the node that is told of them.
type batch map[int32][]uint16

func (b *batch) add(node int32, partition uint16) {
	if *b == nil {
		*b = batch{}
	}
	(*b)[node] = append((*b)[node], partition)
}

// say sends what is in a batch. That something is wanted need not arrive: it is said
// again.
func (n *Node) say(now limit.Instant, v *view, k kind, b *batch, out Outbox) {
	for _, p := range v.sorted {
		for part := range slices.Chunk((*b)[p.Number], maxDone) {
			n.room(p, out).partitions(k, part)
			if k == kindDone {
				p.cargo.sentAt = now
				p.cargo.done = append(p.cargo.done, part...)
			}
		}
	}
}

// oversUnderWay says whether some new owner may not have all books yet.
func (n *Node) oversUnderWay(v *view) bool {
	for _, p := range v.sorted {
		if p.cargo.overs || slices.ContainsFunc(p.flights, func(f flight) bool { return f.overs }) {
			return true
		}
	}
	for i := range n.shards {
		sh := &n.shards[i]
		sh.mu.Lock()
		waits := slices.ContainsFunc(sh.telling, func(k limit.Key) bool { return n.leaving[ring.Partition(k)] })
		sh.mu.Unlock()
		if waits {
			return true
		}
	}
	return false
}

// copied takes what the owner of a counter, or the one that was, says of its book.
func (n *Node) copied(now limit.Instant, v *view, from *peer, seq uint32, e *entry) {
	params := n.params(now, e.id.Limit, e.id.Variant)
	if params == nil {
		return
	}
	role := v.roles[ring.Partition(e.id.Key)]
	if e.kind == kindCopy && role == mine {
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
	if role == mine { // it came too late, or again
		b.catchUp(now, e.sum)
		n.changed(sh, b)
		return
	}
	b.copy(now, e.sum)
}

// arrive makes partitions this node's whose books have come, or have not for too long:
// then it begins with what it has. Whoever waits for it asks again.
func (n *Node) arrive(now limit.Instant, v *view) *view {
	late := now >= n.awaitedUntil
	if !n.arrived && !late {
		return v
	}
	n.arrived = false
	if late {
		n.awaitedUntil = limit.Never
	}
	next := *v
	next.roles = new(roles)
	*next.roles = *v.roles
	came := false
	for i, r := range next.roles {
		if r == awaited && (late || n.handed[i]) {
			next.roles[i], came = mine, true
		}
	}
	if !came {
		return v
	}
	n.view.Store(&next)
	for i := range n.shards {
		sh := &n.shards[i]
		sh.mu.Lock()
		sh.holders.each(0, len(sh.holders.keys), func(h *holder) { n.cleanHolder(now, &next, sh, h) })
		sh.mu.Unlock()
	}
	return &next
}
