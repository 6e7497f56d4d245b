package account

import (
	"slices"

	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

// Charge asks one counter for tokens, and tells what it said.
type Charge struct {
	Key   limit.Key
	Meter Ref
	Cost  limit.Amount

	// Shadow: decided and counted on its own, without a say in the outcome.
	Shadow bool

	// Admitted says, afterwards, whether this counter had room. Where the request
	// as a whole is denied, nothing was taken all the same, but by shadow charges.
	Admitted bool

	// Reading is the counter afterwards.
	Reading decide.Reading

	shard int
	slot  uint32 // of the counter, or none
	state decide.State
	// params are those of Meter, nil when it is no meter of this store.
	params *decide.Params
}

// Charge charges all counters of one request, or none if one that is not Shadow
// has no room, and says which. Charges on one counter add up.
func (s *Store) Charge(now limit.Instant, charges []Charge) bool {
	rows := s.meters.Load().rows
	for i := range charges {
		c := &charges[i]
		c.shard, c.params = s.shardOf(c.Key), nil
		if int(c.Meter) < len(rows) {
			c.params = rows[c.Meter].params
		}
	}
	if len(charges) == 1 {
		sh := &s.shards[charges[0].shard]
		sh.mu.Lock()
		admitted := s.chargeLocked(rows, now, charges)
		sh.mu.Unlock()
		describe(now, charges)
		return admitted
	}
	var room [8]int
	locks := s.lock(charges, room[:0])
	admitted := s.chargeLocked(rows, now, charges)
	for _, i := range locks {
		s.shards[i].mu.Unlock()
	}
	describe(now, charges)
	return admitted
}

// lock locks the shards of the charges, each once and in ascending order, so that
// two requests never wait for each other.
func (s *Store) lock(charges []Charge, room []int) []int {
	for i := range charges {
		room = append(room, charges[i].shard)
	}
	slices.Sort(room)
	room = slices.Compact(room)
	for _, i := range room {
		s.shards[i].mu.Lock()
	}
	return room
}

// chargeLocked first asks every counter and then, if all agree, takes.
func (s *Store) chargeLocked(rows []meterRow, now limit.Instant, charges []Charge) bool {
	admitted := true
	for i := range charges {
		c := &charges[i]
		s.ask(rows, now, charges, i)
		admitted = admitted && (c.Admitted || c.Shadow)
	}
	for i := range charges {
		c := &charges[i]
		if c.params == nil {
			continue
		}
		u := s.shards[c.shard].use(c.Meter)
		switch {
		case !c.Admitted:
			u.count(false, c.Cost)
		case admitted || c.Shadow:
			s.take(now, c)
			u.count(true, c.Cost)
		}
	}
	return admitted
}

// ask finds out whether the counter of a charge has room, after the charges
// before it.
func (s *Store) ask(rows []meterRow, now limit.Instant, charges []Charge, i int) {
	c := &charges[i]
	c.slot, c.state, c.Admitted = none, decide.State{}, true
	if c.params == nil {
		return
	}
	sh := &s.shards[c.shard]
	if slot, e := sh.lookup(c.Key); e != nil {
		e.rescale(sh, rows, now, c.Meter)
		c.slot, c.state = slot, e.state
	}
	for j := range i {
		if charges[j].Key == c.Key && charges[j].Admitted {
			c.state = charges[j].state
		}
	}
	c.state, c.Admitted = c.params.Take(c.state, now, c.Cost)
}

// take writes what ask found out.
func (s *Store) take(now limit.Instant, c *Charge) {
	if c.Cost == 0 {
		return
	}
	sh := &s.shards[c.shard]
	e := (*entry)(nil)
	if c.slot != none {
		e = sh.at(c.slot)
	}
	if e == nil || e.key != c.Key { // absent, made by a charge before this one, or given up for it
		c.slot, e = sh.lookup(c.Key)
	}
	if e == nil {
		if c.Cost < 0 {
			return // a full counter stays full
		}
		c.slot, e = s.create(sh, now, c.Key, c.Meter, c.state)
	}
	e.state = c.state
	e.own = e.own.Add(c.Cost)
	sh.markChanged(c.slot, e)
}

// create makes a counter, in place of another one when there is no room.
func (s *Store) create(sh *shard, now limit.Instant, k limit.Key, ref Ref, state decide.State) (uint32, *entry) {
	rows := s.meters.Load().rows
	if sh.keys >= s.perShard {
		sh.evict(rows, now, k)
	}
	slot, e := sh.insert(k, ref)
	e.state = state
	sh.wheel.file(sh, slot, idleAt(rows, e))
	return slot, e
}

// describe fills in the readings. It needs no lock: states are values.
func describe(now limit.Instant, charges []Charge) {
	for i := range charges {
		c := &charges[i]
		if c.params == nil {
			continue
		}
		c.Reading = c.params.Describe(c.state, now)
		if !c.Admitted {
			c.Reading.RetryAfter = c.params.RetryAfter(c.state, now, c.Cost)
		}
	}
}

// rescale makes the entry count by another meter.
func (e *entry) rescale(sh *shard, rows []meterRow, now limit.Instant, ref Ref) {
	from := e.ref()
	if from == ref {
		return
	}
	if int(from) < len(rows) && rows[from].params != nil && int(ref) < len(rows) && rows[ref].params != nil {
		e.state = decide.Rescale(e.state, now, rows[from].params, rows[ref].params)
	}
	sh.use(from).Active--
	sh.use(ref).Active++
	e.meter = e.meter&dirtyBit | uint32(ref)
}

// idleAt returns when an entry says nothing any more; one whose meter is unknown
// says nothing already.
func idleAt(rows []meterRow, e *entry) limit.Instant {
	if ref := e.ref(); int(ref) < len(rows) && rows[ref].params != nil {
		return rows[ref].params.IdleAt(e.state)
	}
	return 0
}
