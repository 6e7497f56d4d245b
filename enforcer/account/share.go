package account

import (
	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/share"
)

// SetPool says how many nodes share the counters, this one included; below 2
// nothing is shared. Delay is as in share.NewRule.
func (s *Store) SetPool(nodes int, delay limit.Span) {
	s.base.mu.Lock()
	defer s.base.mu.Unlock()
	s.base.nodes, s.base.delay = nodes, delay
	s.renewRules()
}

// Leave says that this node is going to stop: what it takes from now on is handed
// over at once, however little it is.
func (s *Store) Leave() {
	s.base.mu.Lock()
	defer s.base.mu.Unlock()
	s.base.leaving = true
	s.renewRules()
}

// renewRules makes the rules of all meters anew; base.mu is held.
func (s *Store) renewRules() {
	old := s.meters.Load()
	next := &meterTable{rows: append([]meterRow(nil), old.rows...), refs: old.refs}
	for i := range next.rows {
		if row := &next.rows[i]; row.params != nil {
			row.rule = s.base.rule(row)
		}
	}
	s.meters.Store(next)
}

// Rule returns how a meter counts, and how it is shared.
func (s *Store) Rule(ref Ref) (*decide.Params, *share.Rule) {
	row := &s.meters.Load().rows[ref]
	return row.params, &row.rule
}

// Local says that the counters of a meter are this node's own.
func (s *Store) Local(ref Ref) bool { return s.meters.Load().rows[ref].local }

// Shared is how many counters are shared.
func (s *Store) Shared() int { return int(s.shared.Load()) }

// Changed hands over at most max shared counters on which requests were decided
// since they were last handed over. Where f returns false the counter is shared
// no more. f is called under a lock and must be short.
func (s *Store) Changed(now limit.Instant, max int, f func(*share.Counter) bool) {
	rows := s.meters.Load().rows
	s.awake.Store(false)
	for i := s.changed.next(0); i >= 0 && max > 0; i = s.changed.next(i + 1) {
		sh := &s.shards[i]
		sh.mu.Lock()
		n := min(max, len(sh.changed))
		for _, slot := range sh.changed[:n] {
			e := sh.at(slot)
			e.meter &^= dirtyBit
			if !e.key.IsZero() && e.shared() {
				s.hand(sh, rows, now, e, f)
			}
		}
		max -= n
		sh.changed = append(sh.changed[:0], sh.changed[n:]...)
		if len(sh.changed) == 0 {
			s.changed.unset(i)
		}
		sh.mu.Unlock()
	}
}

// Sweep goes through at most max shared counters, others at each call, until it
// begins anew, and hands over those that it is time to look at, or all. Where f
// returns false the counter is shared no more. It must not be called concurrently.
func (s *Store) Sweep(now limit.Instant, max int, all bool, f func(*share.Counter) bool) {
	rows, ms := s.meters.Load().rows, millis(now)
	max = min(max, s.Shared())
	for range 2 {
		for i := s.sharing.next(s.sweep.shard); i >= 0; i = s.sharing.next(i + 1) {
			if i != s.sweep.shard {
				s.sweep.shard, s.sweep.place = i, 0
			}
			sh := &s.shards[i]
			sh.mu.Lock()
			for ; s.sweep.place < sh.locals.places && max > 0; s.sweep.place++ {
				max--
				if !all && int32(sh.locals.looks[s.sweep.place]-ms) > 0 {
					continue
				}
				if slot := sh.locals.at(s.sweep.place + 1).slot; slot != none {
					s.hand(sh, rows, now, sh.at(slot), f)
				}
			}
			sh.mu.Unlock()
			if max <= 0 {
				return
			}
		}
		s.sweep.shard, s.sweep.place = 0, 0
	}
}

// With hands over the counter of a key as one of a meter, and makes it shared; it
// makes the counter if there is none and create is true, and returns false where
// there is none. f is called under a lock and must be short.
func (s *Store) With(now limit.Instant, key limit.Key, ref Ref, create bool, f func(*share.Counter)) bool {
	rows := s.meters.Load().rows
	if paramsOf(rows, ref) == nil {
		return false
	}
	sh := &s.shards[s.shardOf(key)]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	slot, e := sh.lookup(key)
	switch {
	case e != nil:
		e.rescale(sh, rows, now, ref)
	case create:
		slot, e = s.create(sh, now, key, ref, decide.State{})
	default:
		return false
	}
	if !e.shared() {
		e.reckon(rows[ref].params, now)
		s.share(sh, now, slot, e, &rows[ref].rule)
	}
	s.hand(sh, rows, now, e, func(c *share.Counter) bool { f(c); return true })
	return true
}

// hand hands one shared counter over.
func (s *Store) hand(sh *shard, rows []meterRow, now limit.Instant, e *entry, f func(*share.Counter) bool) {
	ref := e.ref()
	if paramsOf(rows, ref) == nil {
		s.unshare(sh, nil, now, e)
		return
	}
	row := &rows[ref]
	place := e.local &^ sharedBit
	c := &s.handed[sh.number] // and not one of its own, which would be garbage each time
	*c = share.Counter{
		ID:     share.ID{Key: e.key, Limit: row.id.limit, Variant: row.id.variant},
		Params: row.params, Rule: &row.rule, State: &e.state, Local: &sh.locals.at(place).Local,
	}
	if !f(c) || row.rule.Alone() {
		s.unshare(sh, c, now, e)
		return
	}
	sh.locals.looks[place-1] = millis(max(c.Look, now))
}

// Flush makes at most max counters shared of which tokens were taken without a
// word, from a place where it stopped last, and returns whether those were all.
// It must not be called concurrently.
func (s *Store) Flush(now limit.Instant, max int) bool {
	rows := s.meters.Load().rows
	for ; s.flush.shard < len(s.shards); s.flush.shard, s.flush.place = s.flush.shard+1, 0 {
		sh := &s.shards[s.flush.shard]
		sh.mu.Lock()
		for ; s.flush.place < sh.slots && max > 0; s.flush.place++ {
			max--
			e := sh.at(s.flush.place)
			p, r := rulesOf(rows, e.ref())
			if e.key.IsZero() || e.shared() || p == nil || r.Alone() {
				continue
			}
			if e.reckon(p, now); e.untold >= 1 {
				s.share(sh, now, s.flush.place, e, r)
				s.markChanged(sh, s.flush.place, e)
			}
		}
		more := s.flush.place < sh.slots
		sh.mu.Unlock()
		if more {
			return false
		}
	}
	s.flush.shard = 0
	return true
}
