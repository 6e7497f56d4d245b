package lease

import (
	"slices"

	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/ring"
)

const (
	// sweepTime is how long a sweep of all shards takes. It finds every lease that has
	// tokens, so that those come back which nobody uses, and every counter that is decided
	// without its owner.
	sweepTime = 100 * limit.Millisecond

	// sweepSlots is how many other books, and leases, of a shard a sweep looks at, whether
	// they may be forgotten, and sweepMade how many more for each that was made since the
	// one before. So it costs as much as is done and not as much as is remembered, and a
	// flood of counters that are asked for once is forgotten as fast as it comes.
	sweepSlots, sweepMade = 8, 2

	// accountRest is how long an owner remembers a node that has nothing of a book.
	accountRest = 10 * Term
)

// sweeper is where the sweep is.
type sweeper struct {
	at   limit.Instant // when the last shard was swept
	next int           // shard
	anew int           // shards that have not been swept as a whole since the view changed
}

// sweep goes on through the shards: it forgets counters that say nothing, and has given
// back what nobody uses.
func (n *Node) sweep(now limit.Instant, v *view) {
	s := &n.sweeper
	s.at = max(s.at, now.Add(-sweepTime))
	for ; s.at.Add(sweepTime/shards) <= now; s.at = s.at.Add(sweepTime / shards) {
		n.sweepShard(now, v, &n.shards[s.next], s.anew > 0)
		s.next, s.anew = (s.next+1)%shards, max(0, s.anew-1)
	}
}

func (n *Node) sweepShard(now limit.Instant, v *view, sh *shard, whole bool) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.holding = slices.DeleteFunc(sh.holding, func(k limit.Key) bool {
		h := sh.holders.find(k)
		if h != nil {
			n.cleanHolder(now, v, sh, h)
			h.holding = h.held() > 0 || h.alone != nil
		}
		return h == nil || !h.holding
	})
	sh.holders.sweep(whole, func(h *holder) { n.cleanHolder(now, v, sh, h) })
	sh.books.sweep(whole, func(b *book) { n.cleanBook(now, v, sh, b) })
}

// sweep calls f for the values of which it is the turn, or for the whole table.
func (t *table[T]) sweep(whole bool, f func(*T)) {
	most := sweepSlots + sweepMade*t.made
	if t.made = 0; whole {
		t.swept, most = 0, t.slots
	}
	t.swept = t.each(t.swept, most, f)
}

// holds notes that a lease has tokens, or is done without.
func (sh *shard) holds(h *holder) {
	if !h.holding && (h.held() > 0 || h.alone != nil) {
		h.holding = true
		sh.holding = append(sh.holding, h.id.Key)
	}
}

func (n *Node) cleanHolder(now limit.Instant, v *view, sh *shard, h *holder) {
	p := ring.Partition(h.id.Key)
	owner, _ := v.table.At(p)
	switch {
	case v.role(p) == mine: // what it holds was counted as used when the book came
		h.lapse(now)
		if b := n.book(now, sh, h.id, h.params); b != nil && h.held()+h.alone.owed(now) > 0 {
			b.release(former, uint64(h.held()))
			b.debit(now, uint64(h.alone.owed(now)))
			n.changed(sh, b)
		}
		h.wake()
		sh.holders.remove(h.id.Key)
	case h.idle(now):
		sh.holders.remove(h.id.Key)
	case v.away || v.peers[owner] == nil:
	case h.owner != owner, h.held() > 0 && h.deserted(now), h.alone != nil:
		h.move(now, owner, &n.lives)
		h.dirty = true
		n.asks(sh, h)
	}
}

func (n *Node) cleanBook(now limit.Instant, v *view, sh *shard, b *book) {
	p := ring.Partition(b.id.Key)
	_, successor := v.table.At(p)
	kept := v.role(p) != foreign || n.leaving.has(p) || successor == self || v.away
	if v.role(p) == mine {
		b.own(now)
	}
	if b.idle(now) || !kept {
		sh.books.remove(b.id.Key)
		return
	}
	b.accounts = slices.DeleteFunc(b.accounts, func(a account) bool {
		return a.outstanding() == 0 && now.Sub(a.heardAt) > accountRest
	})
}
