package gossip

import (
	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/share"
)

const (
	// registerWait is how long a node that has become the home of a counter waits
	// for those who take from it to say so.
	registerWait = 5 * Interval

	// urgentTokens is by how many tokens a level must have fallen for the others to
	// be told at once.
	urgentTokens = 2

	// handOvers is how often a former home hands a counter over at least, and
	// handOverEvery how soon again: it goes on while it is told of what others take,
	// or was within lateWait, but no longer than newsTime.
	handOvers     = 3
	handOverEvery = 50 * limit.Millisecond
	lateWait      = 150 * limit.Millisecond

	// newsTime is how long it may take until all nodes know that the pool has changed.
	newsTime = limit.Second

	// lateTime is for how long after that those who have not are supposed to go on:
	// nodes do not all notice at once that a home is gone.
	lateTime = 300 * limit.Millisecond

	// movesAtOnce bounds the homes that are looked at in one Tick after the ring has
	// changed.
	movesAtOnce = 5000

	// homeSweepTicks is in how many Ticks every home is looked at.
	homeSweepTicks = 20
)

// home is a counter whose home this node is.
type home struct {
	share.Home
	share.ID
	dirty bool
	place int     // in homes.list
	left  float64 // part of the burst, when it was looked at last

	// While the home is elsewhere, as far as this node knows:
	handed   int           // how often it was handed over
	handAt   limit.Instant // when to do so again
	moved    limit.Instant // since when
	reported limit.Instant // when somebody reported here all the same
	early    limit.Instant // until then it may be that others know more, and it is here

	view        uint32
	first, heir int32 // of the ring, as of view
}

// homes are the counters whose home this node is.
type homes struct {
	max    int // of list
	byKey  map[limit.Key]*home
	list   []*home
	looks  []limit.Instant // at which the sweep looks at those of list again
	dirty  []*home
	urgent []*home
	next   int // of list, in the sweep
	moving int // of list, how many are still to be looked at since the ring changed
}

func newHomes(max int) homes { return homes{max: max, byKey: map[limit.Key]*home{}} }

func (hs *homes) has(k limit.Key) bool { return hs.byKey[k] != nil }

// exact says whether this node is the home of a counter of which all is told.
func (hs *homes) exact(k limit.Key) bool {
	h := hs.byKey[k]
	return h != nil && h.Exact()
}

// open returns the home of a counter, and makes it for a report of one that is not
// known. A counter that somebody knew before this node did is not told of before
// all have registered.
func (hs *homes) open(now limit.Instant, id share.ID, rep *share.Report, rule *share.Rule) (h *home, isNew bool) {
	if h := hs.byKey[id.Key]; h != nil {
		return h, false
	}
	ready := now
	if rep.Register || !rep.Fresh {
		ready = now.Add(registerWait)
	}
	if len(hs.list) >= hs.max {
		hs.evict(id.Key)
	}
	h = &home{Home: *share.NewHome(rule, now, ready), ID: id, place: len(hs.list), left: 1}
	hs.byKey[id.Key] = h
	hs.list, hs.looks = append(hs.list, h), append(hs.looks, 0)
	return h, true
}

// evict gives up the home of one counter to make room for another: of a few, drawn
// by the key, the one nearest to full. Its nodes go on by what they know.
func (hs *homes) evict(key limit.Key) {
	const sample = 8
	var victim *home
	dice := key.Hi ^ key.Lo
	for range sample {
		dice = dice*6364136223846793005 + 1442695040888963407
		h := hs.list[(dice>>32)*uint64(len(hs.list))>>32]
		if !h.dirty && (victim == nil || h.left > victim.left) {
			victim = h
		}
	}
	if victim != nil {
		hs.close(victim)
	}
}

func (hs *homes) close(h *home) {
	delete(hs.byKey, h.Key)
	end := len(hs.list) - 1
	last := hs.list[end]
	hs.list[h.place], hs.looks[h.place], last.place = last, hs.looks[end], h.place
	hs.list, hs.looks = hs.list[:end], hs.looks[:end]
}

// end ends the lines of a node, or has them go on, by f.
func (hs *homes) end(now limit.Instant, node int32, counters Counters, f func(*share.Home, *decide.Params, *share.Rule, int32, limit.Instant)) {
	for _, h := range hs.list {
		if p, r, ok := counters.Rule(now, h.Limit, h.Variant); ok {
			f(&h.Home, p, r, node, now)
		}
		hs.touch(h)
	}
}

// touch has a home looked at in the next Tick.
func (hs *homes) touch(h *home) {
	if !h.dirty {
		h.dirty = true
		hs.dirty = append(hs.dirty, h)
	}
}

// hearReport takes what a node reports to this one as a counter's home. A report
// for a home that is elsewhere, as far as this node knows, is not used: its sender
// will come to know it, and register there.
func (n *Node) hearReport(now limit.Instant, p *peer, seq uint32, e *entry) {
	first, _ := n.ring.Owner(e.Key)
	if first != self && !n.homes.has(e.Key) && !e.report.Register { // who registers may know more
		n.stats.Misplaced++
		return
	}
	params, rule, ok := n.counters.Rule(now, e.Limit, e.Variant)
	if !ok {
		return
	}
	h, isNew := n.homes.open(now, e.ID, &e.report, rule)
	if h.reported = now; isNew && first != self {
		h.early = now.Add(newsTime)
	}
	if isNew && !e.report.HandOver {
		n.counters.With(now, e.ID, false, func(c *share.Counter) {
			c.Settle(now)
			untold, _ := c.Local.Untold()
			h.SeedBut(c.Params, c.Rule, c.Local, *c.State, now, untold)
		})
	}
	n.apply(now, h, params, rule, share.Sender{Node: p.number, Life: uint32(p.life), Seq: seq}, &e.report)
}

func (n *Node) apply(now limit.Instant, h *home, p *decide.Params, r *share.Rule, from share.Sender, rep *share.Report) {
	fell, ok := h.Apply(p, r, from, rep, now)
	if !ok {
		n.stats.Stale++
		return
	}
	n.homes.touch(h)
	if fell >= urgentTokens {
		n.homes.urgent = append(n.homes.urgent, h)
	}
}

// tickUrgent tells at once of counters that fell by more than a little.
func (n *Node) tickUrgent(now limit.Instant, out Outbox) {
	for _, h := range n.homes.urgent {
		n.checkHome(now, h, true, out)
	}
	n.homes.urgent = n.homes.urgent[:0]
}

// tickHomes looks at the homes that heard something.
func (n *Node) tickHomes(now limit.Instant, out Outbox) {
	hs := &n.homes
	n.moveHomes(now, out)
	n.tickUrgent(now, out)
	for _, h := range hs.dirty {
		h.dirty = false
		n.checkHome(now, h, false, out)
	}
	hs.dirty = hs.dirty[:0]
}

// sweepHomes looks at some of the others.
func (n *Node) sweepHomes(now limit.Instant, out Outbox) {
	n.sweep(now, len(n.homes.list)/homeSweepTicks+1, out)
}

// moveHomes hands over, soon after the ring has changed, what has another home now.
func (n *Node) moveHomes(now limit.Instant, out Outbox) {
	if some := min(n.homes.moving, movesAtOnce); some > 0 {
		n.homes.moving -= some
		n.sweep(now, some, out)
	}
}

// sweep looks at the next homes of the list.
func (n *Node) sweep(now limit.Instant, some int, out Outbox) {
	hs := &n.homes
	for range some {
		if hs.next >= len(hs.list) {
			hs.next = 0
		}
		if len(hs.list) == 0 {
			return
		}
		if hs.looks[hs.next] > now {
			hs.next++
		} else if h := hs.list[hs.next]; n.keepHome(now, h, out) {
			hs.next++
		} else {
			hs.close(h)
		}
	}
}

// keepHome looks at a home, and says whether to keep it.
func (n *Node) keepHome(now limit.Instant, h *home, out Outbox) bool {
	p, r, ok := n.counters.Rule(now, h.Limit, h.Variant)
	if !ok || h.Idle(p, r, now) {
		return h.dirty // it is in the list of those
	}
	if first, _ := n.owner(h); first != self && now >= h.early {
		return n.handOver(now, h, first, out)
	}
	if h.handed > 0 {
		h.handed = 0
		h.TakeBack()
	}
	n.checkHome(now, h, false, out)
	return true
}

// handOver tells the books of a counter to its home, which is elsewhere now, and
// says whether to keep them. Others may not know it yet, or the home itself may
// not: what is reported here meanwhile is passed on.
func (n *Node) handOver(now limit.Instant, h *home, first int32, out Outbox) bool {
	if h.handed == 0 {
		h.moved, h.handAt = now, now
	}
	if to := n.byNumber(first); now >= h.handAt {
		p, r, _ := n.counters.Rule(now, h.Limit, h.Variant)
		if h.handAt = now.Add(handOverEvery); to != nil {
			rep := h.HandOver(p, r, now)
			n.room(now, to, out, sent{ID: h.ID}, 0)
			to.out.report(&h.ID, &rep, now)
		}
		h.handed++
	}
	late := now.Sub(h.reported) < lateWait && now.Sub(h.moved) < newsTime
	return h.dirty || h.handed < handOvers || late
}

// checkHome tells those who should know; fell says that the level just fell by more
// than a little.
func (n *Node) checkHome(now limit.Instant, h *home, fell bool, out Outbox) {
	p, r, ok := n.counters.Rule(now, h.Limit, h.Variant)
	if !ok {
		return
	}
	first, heir := n.owner(h)
	n.audience = audience{n, h, r, now, fell, out}
	h.Check(p, r, now, n.pool(now, h), self, heir, &n.audience)
	if rest := h.Rest(now); first == self && !n.holding {
		n.homes.looks[h.place] = now.Add(rest)
	}
	h.left = h.Left(p, r, now)
	n.stats.over(h.ID, h.Over())
}

// owner returns the home of a counter and the node that is to be it next, as the
// ring says now.
func (n *Node) owner(h *home) (first, heir int32) {
	if h.view != n.view {
		h.view = n.view
		h.first, h.heir = n.ring.Owner(h.Key)
	}
	return h.first, h.heir
}

// pool returns what a home has to know of nodes that cannot be reached.
func (n *Node) pool(now limit.Instant, h *home) share.Pool {
	switch {
	case n.holding && now.Sub(n.heldSince) < share.Hold:
		return share.Pool{Missing: share.Hold}
	case n.holding:
		return share.Pool{Missing: share.Hold, Away: 1 - float64(n.reached)/float64(n.expected)}
	case h.Handed() && now >= h.early:
		return share.Pool{} // the former home passes on what the late ones say
	}
	p := share.Pool{Missing: lateTime, Reached: n.reached}
	if now < h.early {
		p.Missing = newsTime
	}
	if now.Sub(n.fall.noticed) < 2*newsTime {
		p.Silent = n.fall.silent
	}
	return p
}

// audience sends what a home tells.
type audience struct {
	*Node
	h    *home
	rule *share.Rule
	now  limit.Instant
	fell bool
	out  Outbox
}

// Tell implements share.Audience.
func (a *audience) Tell(node int32, s *share.State) {
	if node == self {
		a.counters.With(a.now, a.h.ID, true, func(c *share.Counter) {
			c.Settle(a.now)
			mine := *s
			mine.Line = s.Line && s.Era == c.Local.Era // else it has forgotten what it told
			c.Hear(a.now, &mine)
		})
		return
	}
	switch p := a.byNumber(node); {
	case p == nil: // it is gone
	case p.State == Unreachable:
		a.h.Doubt(node) // when it is back it has to know
	default:
		wait := a.h.Patience(a.rule)
		if a.fell && wait < share.CalmWait {
			wait = 0
		}
		a.room(a.now, p, a.out, sent{ID: a.h.ID, isState: true}, wait)
		p.out.state(&a.h.ID, s)
		a.stats.States++
	}
}

// TellRest implements share.Audience.
func (a *audience) TellRest(s *share.State, heard func(int32) bool) {
	if !heard(self) {
		a.Tell(self, s)
	}
	for _, p := range a.peers {
		if p != nil && !heard(p.number) {
			a.Tell(p.number, s)
		}
	}
}
