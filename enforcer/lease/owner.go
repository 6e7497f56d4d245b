package lease

import (
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/ring"
)

// Owner returns who owns a key to the node's knowledge; empty while nobody does. It may
// be called from any number of goroutines.
func (n *Node) Owner(k limit.Key) limit.NodeID {
	v := n.view.Load()
	owner, _ := v.table.Owner(k)
	return v.names[owner]
}

// Lent returns how many tokens of a counter that this node owns others hold and may use.
// It may be called from any number of goroutines.
func (n *Node) Lent(now limit.Instant, k limit.Key) limit.Amount {
	sh := n.shardOf(k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	b := sh.books.find(k)
	if b == nil || b.copied {
		return 0
	}
	b.lapse(now)
	return b.outstanding
}

// askUrgent asks owners what requests of a shard wait for.
func (n *Node) askUrgent(now limit.Instant, v *view, sh *shard, out Outbox) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for _, k := range sh.urgent {
		if h := sh.holders.find(k); h != nil {
			h.urgent = false
			n.askOne(now, v, h, out)
		}
	}
	sh.urgent = sh.urgent[:0]
}

// ask asks owners what they are to be asked, or asked again.
func (n *Node) ask(now limit.Instant, v *view, out Outbox) {
	for i := range n.shards {
		sh := &n.shards[i]
		if !sh.busy.Load() {
			continue
		}
		sh.mu.Lock()
		sh.busy.Store(false)
		rest := sh.asking[:0]
		for _, k := range sh.asking {
			h := sh.holders.find(k)
			if h == nil {
				continue
			}
			n.askOne(now, v, h, out)
			if h.queued = h.dirty || h.tries > 0 || h.owes(v.parts); h.queued {
				rest = append(rest, k)
			}
		}
		sh.asking = rest
		if len(rest)+len(sh.telling) > 0 {
			sh.busy.Store(true)
		}
		sh.mu.Unlock()
	}
}

func (n *Node) askOne(now limit.Instant, v *view, h *holder, out Outbox) {
	owner, _ := v.table.At(ring.Partition(h.id.Key))
	p := v.peers[owner]
	if p == nil || v.away {
		h.dirty, h.tries, h.told = false, 0, h.settled // clean looks after it
		return
	}
	h.move(now, owner, &n.lives)
	if !h.due(now, v.parts) || p.silent.Load() && now < p.probeAt {
		return
	}
	if p.probeAt = now.Add(maxAsk); p.waiting == 0 {
		p.waiting = now
	}
	if !p.silent.Load() {
		h.owe(now)
	}
	k := h.ask(now)
	if k.Want > 0 {
		n.askedAt = now
	}
	n.room(p, out).ask(h.id, &k)
}

// look finds out which owners leave questions without an answer.
func (n *Node) look(now limit.Instant, v *view) {
	n.stats.Silent = 0
	for _, p := range v.sorted {
		if p.waiting != 0 && now.Sub(p.waiting) > silentAfter {
			p.silent.Store(true)
		}
		if p.silent.Load() {
			n.stats.Silent++
		}
	}
}

// asked answers a question. One for a counter that this node does not own is asked again,
// and one for a counter that it is to own is answered when it does.
func (n *Node) asked(now limit.Instant, v *view, p *peer, e *entry, out Outbox) {
	switch v.role(ring.Partition(e.id.Key)) {
	case awaited:
		n.awaiting.keep(p.Number, e)
	case mine:
		if g, ok := n.hear(now, v, &question{p.Number, e.id, e.ask}); ok {
			n.room(p, out).grant(e.id.Key, &g)
		}
	}
}

// hear has the book of a counter that this node owns answer a question, if it can.
func (n *Node) hear(now limit.Instant, v *view, q *question) (g Grant, ok bool) {
	params := n.params(now, q.id.Limit, q.id.Variant)
	if params == nil || v.role(ring.Partition(q.id.Key)) != mine {
		return Grant{}, false
	}
	sh := n.shardOf(q.id.Key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	b := n.book(now, sh, q.id, params)
	if b == nil {
		return Grant{}, false
	}
	if q.ask.Want > 0 {
		n.askedAt = now
	}
	b.own(now)
	g, ok = b.hear(now, q.from, &q.ask)
	sh.decided.Answered++
	n.changed(sh, b)
	return g, ok
}

// granted takes an owner's answer.
func (n *Node) granted(now limit.Instant, e *entry) {
	sh := n.shardOf(e.id.Key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if h := sh.holders.find(e.id.Key); h != nil {
		h.hear(now, &e.grant)
		sh.holds(h)
	}
}

// Active calls f for each counter that this node owns, with the id of its limit.
func (n *Node) Active(f func(limit uint64)) {
	v := n.view.Load()
	for i := range n.shards {
		sh := &n.shards[i]
		sh.mu.Lock()
		sh.books.each(0, sh.books.slots, func(b *book) {
			if v.mine.has(ring.Partition(b.id.Key)) {
				f(b.id.Limit)
			}
		})
		sh.mu.Unlock()
	}
}

// Stats returns what there is.
func (n *Node) Stats() Stats {
	s := n.stats
	for i := range n.shards {
		sh := &n.shards[i]
		sh.mu.Lock()
		s.Books, s.Leases = s.Books+sh.books.len(), s.Leases+sh.holders.len()
		s.add(&sh.decided)
		sh.mu.Unlock()
	}
	return s
}
