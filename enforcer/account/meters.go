package account

import (
	"sync"

	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/share"
)

// Meter is one way to count, under a name that is the same on every enforcer.
type Meter struct {
	Limit   uint64 // identity of the limit
	Variant uint16 // which of its rates
	Params  decide.Params

	// Local: the counters of this meter are this node's own, and never shared.
	Local bool

	// Cautious is as in share.NewRule.
	Cautious bool
}

// Ref is a Meter that a Store knows. It stays valid for a minute after a
// SetMeters that leaves its Meter out, so that a request which began before may
// end.
type Ref uint32

const refGrace = limit.Minute

// meterTable is what the store knows of meters; it is replaced as a whole.
type meterTable struct {
	rows []meterRow // by Ref
	refs map[meterID]Ref
}

type meterID struct {
	limit   uint64
	variant uint16
}

// meterRow is a meter in use, one that was left out and whose counters run out,
// or (params nil) one that is free.
type meterRow struct {
	id      meterID
	params  *decide.Params
	local   bool
	careful bool
	rule    share.Rule
	retired limit.Instant // 0: in use
}

// is says that the row counts and is shared as a meter wants it.
func (row *meterRow) is(m *Meter) bool {
	return *row.params == m.Params && row.local == m.Local && row.careful == m.Cautious
}

// usageBase keeps what meters that are gone have counted for limits that are
// not, and makes changes of the meter table one after another.
type usageBase struct {
	mu    sync.Mutex
	total map[uint64]Usage // by limit; Active is 0

	nodes   int // that share the counters
	delay   limit.Span
	leaving bool
}

// rule returns how to share the counters of a row: those that are the node's own as
// one does that is alone. mu is held.
func (b *usageBase) rule(row *meterRow) share.Rule {
	if row.local {
		return share.Rule{}
	}
	r := share.NewRule(row.params, b.nodes, b.delay, row.careful)
	if b.leaving && !r.Alone() {
		r = r.Leaving()
	}
	return r
}

// SetMeters replaces the meters and returns a Ref for each. A counter whose
// meter has another rate now is rescaled when it is next touched: what its
// client has used stays used. Counters of meters that are left out run out.
func (s *Store) SetMeters(now limit.Instant, meters []Meter) []Ref {
	s.base.mu.Lock()
	defer s.base.mu.Unlock()
	old := s.meters.Load()
	next := &meterTable{rows: append([]meterRow(nil), old.rows...), refs: make(map[meterID]Ref, len(meters))}
	stays := make([]bool, len(next.rows))
	refs := make([]Ref, len(meters))
	var fresh []int
	for i := range meters {
		id := meterID{meters[i].Limit, meters[i].Variant}
		if ref, ok := old.refs[id]; ok && old.rows[ref].is(&meters[i]) {
			refs[i], next.refs[id], stays[ref] = ref, ref, true
		} else {
			fresh = append(fresh, i)
		}
	}
	for ref := range next.rows {
		if row := &next.rows[ref]; !stays[ref] && row.params != nil && row.retired == 0 {
			row.retired = max(1, now)
		}
	}
	s.freeRows(now, next)
	free := 0
	for _, i := range fresh {
		for free < len(next.rows) && next.rows[free].params != nil {
			free++
		}
		if free == len(next.rows) {
			next.rows = append(next.rows, meterRow{})
		}
		id := meterID{meters[i].Limit, meters[i].Variant}
		params := meters[i].Params
		row := &next.rows[free]
		*row = meterRow{id: id, params: &params, local: meters[i].Local, careful: meters[i].Cautious}
		row.rule = s.base.rule(row)
		refs[i], next.refs[id] = Ref(free), Ref(free)
	}
	s.meters.Store(next)
	return refs
}

// freeRows frees the rows that nothing can refer to any more, and keeps what
// they counted while their limit lives on in another row.
func (s *Store) freeRows(now limit.Instant, t *meterTable) {
	usage := s.usageByRef()
	lives := map[uint64]bool{}
	for ref := range t.rows {
		row := &t.rows[ref]
		if row.params == nil {
			continue
		}
		idle := ref >= len(usage) || usage[ref].Active == 0
		if row.retired == 0 || !idle || now.Sub(row.retired) < refGrace {
			lives[row.id.limit] = true
			continue
		}
		if s.base.total == nil {
			s.base.total = map[uint64]Usage{}
		}
		total := s.base.total[row.id.limit]
		total.add(s.takeUsage(Ref(ref)))
		s.base.total[row.id.limit] = total
		*row = meterRow{}
	}
	for id := range s.base.total {
		if !lives[id] {
			delete(s.base.total, id)
		}
	}
}

// Ref returns the meter of a limit's variant, if it is in use.
func (s *Store) Ref(id uint64, variant uint16) (Ref, bool) {
	ref, ok := s.meters.Load().refs[meterID{id, variant}]
	return ref, ok
}

// Usage calls f for every limit with what it did.
func (s *Store) Usage(f func(limit uint64, u Usage)) {
	s.base.mu.Lock()
	defer s.base.mu.Unlock()
	totals := make(map[uint64]Usage, len(s.base.total))
	for id, u := range s.base.total {
		totals[id] = u
	}
	rows := s.meters.Load().rows
	for ref, u := range s.usageByRef() {
		if ref < len(rows) && rows[ref].params != nil {
			total := totals[rows[ref].id.limit]
			total.add(u)
			totals[rows[ref].id.limit] = total
		}
	}
	for id, u := range totals {
		f(id, u)
	}
}

// Tally counts cost tokens that were decided without a counter.
func (s *Store) Tally(ref Ref, admitted bool, cost limit.Amount) {
	sh := &s.shards[int(ref)%len(s.shards)]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.usage.of(ref).count(admitted, cost)
}

// usageByRef sums the shards up.
func (s *Store) usageByRef() []Usage {
	var total []Usage
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		if more := len(sh.usage)*len(usageGroup{}) - len(total); more > 0 {
			total = append(total, make([]Usage, more)...)
		}
		sh.usage.each(func(ref Ref, u *Usage) { total[ref].add(*u) })
		sh.mu.Unlock()
	}
	return total
}

// takeUsage sums one meter up over the shards, and forgets it.
func (s *Store) takeUsage(ref Ref) Usage {
	var total Usage
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		if u := sh.usage.peek(ref); u != nil {
			total.add(*u)
			*u = Usage{}
		}
		sh.mu.Unlock()
	}
	return total
}
