package account

import (
	"slices"

	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/share"
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

	asks  bool // of its home, for more than it may grant by itself
	shard int
	slot  uint32 // of the counter, or none
	state decide.State
	// params are those of Meter, nil when it is no meter of this store.
	params *decide.Params
	rule   *share.Rule
}

// Charge charges all counters of one request, or none if one that is not Shadow
// has no room, and says which. Charges on one counter add up.
func (s *Store) Charge(now limit.Instant, charges []Charge) bool {
	rows := s.meters.Load().rows
	if len(charges) == 1 {
		return s.chargeOne(rows, now, &charges[0])
	}
	return s.together(rows, now, charges, true)
}

// Ask says what Charge would say, and takes and counts nothing.
func (s *Store) Ask(now limit.Instant, charges []Charge) bool {
	return s.together(s.meters.Load().rows, now, charges, false)
}

// together asks the counters of one request, locked together, and takes from them
// if that is wanted.
func (s *Store) together(rows []meterRow, now limit.Instant, charges []Charge, take bool) bool {
	for i := range charges {
		c := &charges[i]
		c.shard = s.shardOf(c.Key)
		c.params, c.rule = rulesOf(rows, c.Meter)
	}
	var room [few]int
	locked := s.lock(charges, room[:0])
	admitted := s.askLocked(rows, now, charges)
	if take {
		s.takeLocked(now, charges, admitted)
	}
	for i, shard := range locked {
		if i == 0 || shard != locked[i-1] {
			s.shards[shard].mu.Unlock()
		}
	}
	for i := range charges {
		charges[i].describe(now)
	}
	return admitted
}

// chargeOne charges the only counter of a request.
func (s *Store) chargeOne(rows []meterRow, now limit.Instant, c *Charge) bool {
	c.shard = s.shardOf(c.Key)
	c.params, c.rule = rulesOf(rows, c.Meter)
	sh := &s.shards[c.shard]
	sh.mu.Lock()
	sh.find(rows, now, c)
	sh.ask(now, c)
	s.settleLocked(sh, now, c)
	sh.mu.Unlock()
	c.describe(now)
	return c.Admitted || c.Shadow
}

// few is a number of charges that most requests do not exceed.
const few = 8

// lock locks the shards of the charges, each once and in ascending order, so that
// two requests never wait for each other. It returns them in that order; a shard
// of several charges is there as often.
func (s *Store) lock(charges []Charge, room []int) []int {
	for i := range charges {
		room = append(room, charges[i].shard)
		for j := i; j > 0 && len(charges) <= few && room[j] < room[j-1]; j-- {
			room[j], room[j-1] = room[j-1], room[j]
		}
	}
	if len(charges) > few {
		slices.Sort(room)
	}
	for i, shard := range room {
		if i == 0 || shard != room[i-1] {
			s.shards[shard].mu.Lock()
		}
	}
	return room
}

// askLocked asks every counter, and says whether all agree.
func (s *Store) askLocked(rows []meterRow, now limit.Instant, charges []Charge) bool {
	admitted := true
	for i := range charges {
		c := &charges[i]
		sh := &s.shards[c.shard]
		sh.find(rows, now, c)
		for j := range i {
			if charges[j].Key == c.Key && charges[j].Admitted {
				c.state = charges[j].state
			}
		}
		sh.ask(now, c)
		admitted = admitted && (c.Admitted || c.Shadow)
	}
	return admitted
}

// takeLocked takes from every counter, if all agreed.
func (s *Store) takeLocked(now limit.Instant, charges []Charge, admitted bool) {
	for i := range charges {
		if c := &charges[i]; admitted || c.Shadow || !c.Admitted {
			s.settleLocked(&s.shards[c.shard], now, c)
		}
	}
}

// find looks the counter of a charge up.
func (sh *shard) find(rows []meterRow, now limit.Instant, c *Charge) {
	slot, e := sh.lookup(c.Key)
	if e == nil {
		c.slot, c.state = none, decide.State{}
		return
	}
	if e.ref() != c.Meter {
		e.rescale(sh, rows, now, c.Meter)
	}
	if l := sh.localOf(e); l != nil && c.params != nil {
		e.state = l.Settle(c.params, c.rule, e.state, now)
	}
	c.slot, c.state = slot, e.state
}

// ask finds out whether there is room, and what is left then.
func (sh *shard) ask(now limit.Instant, c *Charge) {
	c.Admitted, c.asks = true, false
	if c.params == nil {
		return
	}
	if c.slot != none {
		if l := sh.localOf(sh.at(c.slot)); l != nil {
			if c.Admitted = l.Admits(c.params, c.rule, c.state, now, c.Cost); c.Admitted {
				c.state = c.params.Move(c.state, now, c.Cost)
			}
			return
		}
	}
	next, ok := c.params.Take(c.state, now, c.Cost)
	c.asks = ok && !c.rule.Flash(c.params, c.state, now, c.Cost)
	if c.Admitted = ok && !c.asks; c.Admitted {
		c.state = next
	}
}

// settleLocked writes what ask found out, and counts it.
func (s *Store) settleLocked(sh *shard, now limit.Instant, c *Charge) {
	if c.params == nil {
		return
	}
	sh.usage.of(c.Meter).count(c.Admitted, c.Cost)
	if c.Cost == 0 {
		return
	}
	e := (*entry)(nil)
	if c.slot != none {
		e = sh.at(c.slot)
	}
	if e == nil || e.key != c.Key { // absent, made by a charge before this one, or given up for it
		c.slot, e = sh.lookup(c.Key)
	}
	if (c.Admitted || c.asks) && e == nil {
		if c.Cost < 0 {
			return // a full counter stays full
		}
		c.slot, e = s.create(sh, now, c.Key, c.Meter, c.state)
	}
	if e == nil {
		return
	}
	alone := c.rule.Alone() && !e.shared()
	if !alone {
		e.reckon(c.params, now)
	}
	if c.Admitted {
		e.state = c.state
		e.meter &^= deniedBit
	} else {
		e.meter |= deniedBit
	}
	switch {
	case !alone:
		s.note(sh, now, c, e)
	case c.Admitted:
		e.takeAlone(c.Cost)
	}
}

// create makes a counter, in place of another one when there is no room.
func (s *Store) create(sh *shard, now limit.Instant, k limit.Key, ref Ref, state decide.State) (uint32, *entry) {
	rows := s.meters.Load().rows
	if sh.keys >= s.perShard {
		s.evict(sh, rows, now, k)
	}
	slot, e := sh.insert(k, ref)
	e.state = state
	sh.wheel.file(sh, slot, idleAt(rows, e, now))
	return slot, e
}

// describe fills in the reading. It needs no lock: states are values.
func (c *Charge) describe(now limit.Instant) {
	if c.params == nil {
		c.Reading = decide.Reading{}
		return
	}
	c.Reading = c.params.Describe(c.state, now)
	if !c.Admitted {
		c.Reading.RetryAfter = c.params.RetryAfter(c.state, now, c.Cost)
		if c.Reading.RetryAfter == 0 { // what is left is for the clients of other nodes
			c.Reading.Remaining, c.Reading.RetryAfter = 0, max(1, c.params.Per()/limit.Span(c.params.Requests()))
		}
	}
}

// rescale makes the entry count by another meter.
func (e *entry) rescale(sh *shard, rows []meterRow, now limit.Instant, ref Ref) {
	from := e.ref()
	if from == ref {
		return
	}
	if old, new := paramsOf(rows, from), paramsOf(rows, ref); old != nil && new != nil {
		e.state = decide.Rescale(e.state, now, old, new)
		if l := sh.localOf(e); l != nil {
			l.Rescale(now, old, new)
		}
	}
	sh.usage.of(from).Active--
	sh.usage.of(ref).Active++
	e.meter = e.meter&flagBits | uint32(ref)
}

// idleAt returns when an entry says nothing any more; one whose meter is unknown
// says nothing already.
func idleAt(rows []meterRow, e *entry, now limit.Instant) limit.Instant {
	p, r := rulesOf(rows, e.ref())
	if p == nil {
		return 0
	}
	due := p.IdleAt(e.state)
	switch {
	case e.shared(): // others expect something of it
		due = max(due, now.Add(limit.Second))
	case e.untold > 0:
		due = max(due, now.Add(r.LeakTime(e.untold)-e.sinceTold(now)))
	}
	return due
}

// rulesOf returns how a meter counts and is shared, or nil when it is no meter.
func rulesOf(rows []meterRow, ref Ref) (*decide.Params, *share.Rule) {
	if int(ref) < len(rows) {
		return rows[ref].params, &rows[ref].rule
	}
	return nil, nil
}

// paramsOf returns how a meter counts, or nil when it is no meter.
func paramsOf(rows []meterRow, ref Ref) *decide.Params {
	if int(ref) < len(rows) {
		return rows[ref].params
	}
	return nil
}
