package account

import (
	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

// Entry is what the store knows of one counter, for sharing it.
type Entry struct {
	Key     limit.Key
	Limit   uint64
	Variant uint16

	// Own is the number of tokens admitted here since the counter was made; Era
	// tells that life of the counter from earlier ones.
	Own limit.Amount
	Era uint64

	// Used is the number of tokens that are gone, whoever took them.
	Used limit.Amount
}

// Debit takes n tokens that a peer admitted, whether or not there is room, or
// gives them back when n is negative.
func (s *Store) Debit(now limit.Instant, key limit.Key, ref Ref, n limit.Amount) {
	s.change(now, key, ref, func(p *decide.Params, state decide.State) decide.State {
		if n < 0 {
			state, _ = p.Take(state, now, n)
			return state
		}
		return p.Debit(state, now, n)
	})
}

// Raise makes sure that at least used tokens are gone.
func (s *Store) Raise(now limit.Instant, key limit.Key, ref Ref, used limit.Amount) {
	s.change(now, key, ref, func(p *decide.Params, state decide.State) decide.State {
		return p.Debit(state, now, used.Sub(p.Used(state, now)))
	})
}

// change replaces the state of a counter, and makes it if there is none.
func (s *Store) change(now limit.Instant, key limit.Key, ref Ref, f func(*decide.Params, decide.State) decide.State) {
	rows := s.meters.Load().rows
	if int(ref) >= len(rows) || rows[ref].params == nil {
		return
	}
	sh := &s.shards[s.shardOf(key)]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if _, e := sh.lookup(key); e != nil {
		e.rescale(sh, rows, now, ref)
		e.state = f(rows[ref].params, e.state)
		return
	}
	if state := f(rows[ref].params, decide.State{}); state != (decide.State{}) {
		s.create(sh, now, key, ref, state)
	}
}

// Changed hands over at most max counters on which tokens were admitted here
// since they were last handed over. A counter that has been forgotten meanwhile
// is not: its tokens have come back. f is called under a lock and must be short.
func (s *Store) Changed(now limit.Instant, max int, f func(Entry)) {
	rows := s.meters.Load().rows
	for i := range s.shards {
		if max <= 0 {
			return
		}
		sh := &s.shards[i]
		sh.mu.Lock()
		n := min(max, len(sh.changed))
		for _, slot := range sh.changed[:n] {
			e := sh.at(slot)
			e.meter &^= dirtyBit
			if e.key.IsZero() {
				continue
			}
			if shared, ok := entryOf(rows, e, now); ok {
				f(shared)
			}
		}
		max -= n
		sh.changed = append(sh.changed[:0], sh.changed[n:]...)
		sh.mu.Unlock()
	}
}

// Scan hands over counters from a cursor on, 0 at first, and returns the next
// cursor, and whether that was the end. It looks at no more than max of them at
// a time. A counter that exists during a whole scan is handed over once. f is
// called under a lock and must be short.
func (s *Store) Scan(now limit.Instant, cursor uint64, max int, f func(Entry)) (next uint64, done bool) {
	rows := s.meters.Load().rows
	for i, slot := int(cursor>>32), uint32(cursor); i < len(s.shards); i, slot = i+1, 0 {
		sh := &s.shards[i]
		sh.mu.Lock()
		for ; slot < sh.slots && max > 0; slot++ {
			max--
			if e := sh.at(slot); !e.key.IsZero() {
				if shared, ok := entryOf(rows, e, now); ok {
					f(shared)
				}
			}
		}
		end := slot >= sh.slots
		sh.mu.Unlock()
		if !end {
			return uint64(i)<<32 | uint64(slot), false
		}
	}
	return 0, true
}

func entryOf(rows []meterRow, e *entry, now limit.Instant) (Entry, bool) {
	ref := e.ref()
	if int(ref) >= len(rows) || rows[ref].params == nil {
		return Entry{}, false
	}
	return Entry{
		Key: e.key, Limit: rows[ref].id.limit, Variant: rows[ref].id.variant,
		Own: e.own, Era: uint64(e.era), Used: rows[ref].params.Used(e.state, now),
	}, true
}
