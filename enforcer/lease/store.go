package lease

import (
	"sync"
	"sync/atomic"

	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/ring"
	"github.com/sluice-dev/sluice/enforcer/share"
)

const (
	shards = 64

	// minKeys is the least that Options.MaxKeys may be: one a shard.
	minKeys = shards

	evictAmong = 8
)

// Charge asks one exact counter for tokens, and tells what it said.
type Charge struct {
	ID            share.ID
	Params        *decide.Params
	OnUnreachable OnUnreachable
	Cost          limit.Amount // as in decide.Params.Take

	// Outcome and Reading say, afterwards, whether there was room, and how much
	// there is.
	Outcome Outcome
	Reading decide.Reading

	from taken  // where what was admitted is counted
	life uint32 // of the lease, for onLease
}

// taken is where an admitted charge is counted.
type taken uint8

const (
	nowhere taken = iota
	inBook
	onLease
	onOwn
)

// shard is a part of the counters, with a lock of its own.
type shard struct {
	mu      sync.Mutex
	books   table[book]
	holders table[holder]
	lists
	busy    atomic.Bool // there is something in asking or telling
	decided Decided

	_ [64]byte
}

// lists are counters that something is to be done with.
type lists struct {
	urgent  []limit.Key // holders whose owner is to be asked by the next Flush
	asking  []limit.Key // holders whose owner is to be asked, or has not answered
	telling []limit.Key // books that somebody is to be told of
	holding []limit.Key // holders that have tokens, or do without their owner
}

// Take asks one counter for tokens. Where the owner has to be asked first the outcome
// is Pending, and w is woken once it is worth calling Take again; for a nil w the
// outcome is Denied instead: the caller has waited long enough. Take may be called
// from any number of goroutines.
func (n *Node) Take(now limit.Instant, c *Charge, w Waiter) {
	sh := n.shardOf(c.ID.Key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	v := n.view.Load() // under the lock: what is handed over is locked after the view changed
	c.from = nowhere
	p := ring.Partition(c.ID.Key)
	if v.mine.has(p) {
		n.takeHere(now, sh, c)
		return
	}
	h := n.holder(sh, c)
	if h == nil {
		c.noRoom(sh)
		return
	}
	owner, unreachable := v.owner(p)
	h.move(now, owner, &n.lives)
	if (unreachable || h.alone != nil) && !h.has(now, c.Cost) {
		sh.decided.Alone++
		n.apart.Store(true)
		c.takeAlone(now, sh, h, v.parts)
		sh.holds(h)
	} else {
		c.take(now, h, w, &sh.decided)
	}
	if h.due(now, v.parts) || h.owes(v.parts) {
		n.asks(sh, h)
	}
	if c.Outcome == Pending {
		n.asksAtOnce(sh, h)
	}
}

// take decides by the lease, or waits for the owner.
func (c *Charge) take(now limit.Instant, h *holder, w Waiter, d *Decided) {
	switch c.Outcome = h.take(now, c.Cost); {
	case c.Outcome == Admitted:
		d.Leased++
		c.from, c.life = onLease, h.life
	case c.Outcome == Denied:
		d.Leased++
	case w != nil:
		d.Asked++
		h.wait(w, c.Cost)
	default:
		d.Late++
		c.Outcome = Denied
	}
	c.Reading = h.reading(now, c.Outcome == Denied, c.Cost)
}

// takeAlone decides without the owner, once what it has lent is used up.
func (c *Charge) takeAlone(now limit.Instant, sh *shard, h *holder, parts limit.Amount) {
	h.usedAt = now
	if c.OnUnreachable == Deny {
		c.Outcome, c.Reading = Denied, decide.Reading{RetryAfter: silentAfter}
		return
	}
	if h.alone == nil {
		h.alone = newAlone(now, c.Params, parts, sh.lastLeft(now, h))
		h.life = 0 // the owner may have forgotten this one by the time that it hears of it
	}
	a := h.alone
	_, ok := a.params.Take(a.state, now, c.Cost)
	c.Outcome = Denied
	if ok || c.OnUnreachable == Admit {
		a.take(now, c.Cost)
		c.Outcome, c.from, ok = Admitted, onOwn, true
	}
	if c.Reading = a.params.Describe(a.state, now); !ok {
		c.Reading.RetryAfter = a.params.RetryAfter(a.state, now, c.Cost)
	}
}

// lastLeft is what a counter's owner had left when this node last knew: all, where it never
// did, or in a window that has ended since.
func (sh *shard) lastLeft(now limit.Instant, h *holder) limit.Amount {
	if b := sh.books.find(h.id.Key); b != nil && !b.copied { // it was the owner
		return max(0, b.left(now))
	}
	if h.heardAt == 0 || h.params.WindowEnd(h.heardAt) <= now {
		return h.params.Burst()
	}
	return h.left
}

// takeHere decides by the book of a counter that this node owns.
func (n *Node) takeHere(now limit.Instant, sh *shard, c *Charge) {
	b := n.book(now, sh, c.ID, c.Params)
	if b == nil {
		c.noRoom(sh)
		return
	}
	sh.decided.Here++
	b.own(now)
	c.Outcome = Denied
	if b.take(now, c.Cost) {
		c.Outcome, c.from = Admitted, inBook
	}
	if c.Reading = c.Params.Describe(b.told(now), now); c.Outcome == Denied {
		c.Reading.RetryAfter = b.retryAfter(now, c.Cost)
	}
	n.changed(sh, b)
}

// Look says what Take would say, as far as this node knows, and takes nothing and asks
// nobody. Of a counter that somebody else owns it may know nothing, or what it was told
// last.
func (n *Node) Look(now limit.Instant, c *Charge) {
	sh := n.shardOf(c.ID.Key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	free, told := c.Params.Burst(), decide.State{}
	b := sh.books.find(c.ID.Key)
	if b != nil {
		b.rescale(now, c.Params)
		free, told = b.left(now), b.told(now)
	} else if h := sh.holders.find(c.ID.Key); h != nil && now < h.resetAt {
		h.lapse(now)
		free = h.left.Add(h.held())
		told = c.Params.Debit(told, now, c.Params.Burst()-free)
	}
	if max(1, c.Cost) > free && c.Cost >= 0 {
		c.Outcome, c.Reading = Denied, c.Params.Describe(told, now)
		if b != nil {
			c.Reading.RetryAfter = b.retryAfter(now, c.Cost)
		} else {
			c.Reading.RetryAfter = c.Params.RetryAfter(told, now, c.Cost)
		}
		return
	}
	c.Outcome, c.Reading = Admitted, c.Params.Describe(c.Params.Move(told, now, c.Cost), now)
}

// noRoom denies what cannot be counted.
func (c *Charge) noRoom(sh *shard) {
	sh.decided.Full++
	c.Outcome, c.Reading = Denied, decide.Reading{RetryAfter: Patience}
}

// Undo takes an admitted charge back: another limit of the request has denied it.
func (n *Node) Undo(now limit.Instant, c *Charge) {
	sh := n.shardOf(c.ID.Key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	b, h := sh.books.find(c.ID.Key), sh.holders.find(c.ID.Key)
	switch {
	case c.from == inBook && b != nil:
		b.move(now, -c.Cost)
		n.changed(sh, b)
	case c.from == onLease && h != nil:
		h.undo(now, c.life, c.Cost)
	case c.from == onOwn && h != nil && h.alone != nil:
		h.alone.take(now, -c.Cost)
	}
	c.from = nowhere
}

// shardOf returns the number of a counter's shard.
func shardOf(k limit.Key) int { return int(k.Hi >> (64 - 6)) }

func (n *Node) shardOf(k limit.Key) *shard { return &n.shards[shardOf(k)] }

// book returns the book of a counter, and makes it if need be; nil when there is no
// room.
func (n *Node) book(now limit.Instant, sh *shard, id share.ID, p *decide.Params) *book {
	b := sh.books.find(id.Key)
	if b != nil {
		b.rescale(now, p)
		return b
	}
	if sh.books.len() >= n.perShard && !sh.evict(now, id.Key) {
		return nil
	}
	b = sh.books.add(id.Key)
	b.id, b.params, b.usedAt, b.cameAt = id, p, now, now
	return b
}

// evict makes room for a book: of some it gives the one up of which least is used.
// One that others hold leases of stays.
func (sh *shard) evict(now limit.Instant, k limit.Key) bool {
	victim, least := limit.Key{}, limit.MaxAmount
	look := func(b *book) {
		if s := b.sum(now); s.outstanding == 0 && s.used < least {
			victim, least = b.id.Key, s.used
		}
	}
	from := int(k.Lo % uint64(sh.books.slots))
	if next := sh.books.each(from, evictAmong, look); next == 0 {
		sh.books.each(0, evictAmong, look)
	}
	sh.books.remove(victim)
	return !victim.IsZero()
}

// holder returns the lease of a counter, and makes it if need be; nil when there is
// no room.
func (n *Node) holder(sh *shard, c *Charge) *holder {
	h := sh.holders.find(c.ID.Key)
	if h == nil {
		if sh.holders.len() >= n.perShard {
			return nil
		}
		h = sh.holders.add(c.ID.Key)
		h.id = c.ID
	}
	h.params = c.Params
	return h
}

// asksAtOnce has the owner of a counter asked by the next Flush, unless it is asked
// already.
func (n *Node) asksAtOnce(sh *shard, h *holder) {
	if h.urgent || h.tries > 0 {
		return
	}
	h.urgent = true
	sh.urgent = append(sh.urgent, h.id.Key)
	n.urgent.Or(1 << shardOf(h.id.Key))
	if n.hurry != nil {
		n.hurry()
	}
}

// asks has the owner of a counter asked in the next round, and again until it answers.
func (n *Node) asks(sh *shard, h *holder) {
	if !h.queued {
		h.queued = true
		sh.asking = append(sh.asking, h.id.Key)
		n.work(sh)
	}
}

// changed has the successor of a counter told in the next round.
func (n *Node) changed(sh *shard, b *book) {
	if b.changed && !b.queued {
		b.queued = true
		sh.telling = append(sh.telling, b.id.Key)
		n.work(sh)
	}
}

// work notes that there is something to do for a shard.
func (n *Node) work(sh *shard) {
	sh.busy.Store(true)
	n.soon()
}

// soon has the driver call Tick, unless it does within Interval.
func (n *Node) soon() {
	if n.wake != nil && !n.woken.Load() && !n.woken.Swap(true) {
		n.wake()
	}
}
