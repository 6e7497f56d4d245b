package account

import (
	"math"
	"math/bits"
	"sync/atomic"

	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/share"
)

// local is the share.Local of a counter, in a slab of its shard: few counters
// have one.
type local struct {
	share.Local
	slot uint32 // of the counter; none in a free one
}

const localChunk = 16

// locals is the slab. A place is a number from 1 on.
type locals struct {
	chunks [][]local
	looks  []uint32 // by place - 1, in milliseconds: when to look at it again
	places uint32   // that were ever used
	free   []uint32
	used   int
}

func (ls *locals) at(place uint32) *local {
	return &ls.chunks[(place-1)/localChunk][(place-1)%localChunk]
}

func (ls *locals) add(slot uint32) (place uint32, l *local) {
	if n := len(ls.free); n > 0 {
		place, ls.free = ls.free[n-1], ls.free[:n-1]
	} else {
		ls.places++
		place = ls.places
		if int(place) > len(ls.chunks)*localChunk {
			ls.chunks = append(ls.chunks, make([]local, localChunk))
			ls.looks = append(ls.looks, make([]uint32, localChunk)...)
		}
	}
	ls.used++
	l = ls.at(place)
	*l = local{slot: slot}
	return place, l
}

func (ls *locals) remove(place uint32) {
	*ls.at(place) = local{slot: none}
	ls.free = append(ls.free, place)
	ls.used--
}

// bitmap is a set of shards.
type bitmap []atomic.Uint64

func newBitmap(n int) bitmap { return make(bitmap, (n+63)/64) }

func (b bitmap) set(i int)   { b[i/64].Or(1 << (i % 64)) }
func (b bitmap) unset(i int) { b[i/64].And(^(1 << (i % 64))) }

// next returns the first member from i on, or -1.
func (b bitmap) next(i int) int {
	for word := i / 64; word < len(b); word++ {
		set := b[word].Load()
		if word == i/64 {
			set &= ^uint64(0) << (i % 64)
		}
		if set != 0 {
			return word*64 + bits.TrailingZeros64(set)
		}
	}
	return -1
}

// localOf returns the Local of an entry; nil when there is none.
func (sh *shard) localOf(e *entry) *local {
	if !e.shared() {
		return nil
	}
	return sh.locals.at(e.local &^ sharedBit)
}

// share gives an entry a Local that begins with the tokens that were taken
// without a word.
func (s *Store) share(sh *shard, now limit.Instant, slot uint32, e *entry, r *share.Rule) *local {
	taken := int64(e.local)
	place, l := sh.locals.add(slot)
	sh.era++
	untold := float64(r.Leak(e.untold, e.sinceTold(now)))
	l.Start(r, now, e.state, taken, min(untold, float64(taken)), uint16(sh.era))
	e.local, e.untold = place|sharedBit, 0
	if sh.locals.used == 1 {
		s.sharing.set(sh.number)
	}
	s.shared.Add(1)
	return l
}

// unshare takes an entry's Local away. C is nil when its meter is gone.
func (s *Store) unshare(sh *shard, c *share.Counter, now limit.Instant, e *entry) {
	l := sh.localOf(e)
	if c != nil { // a part of a token is much where few come in
		c.Settle(now)
		e.state = c.Params.MovePart(e.state, now, l.Rest())
	}
	taken, untold := l.Untold()
	sh.locals.remove(e.local &^ sharedBit)
	e.local, e.untold, e.toldAt = uint32(min(taken, math.MaxInt32)), float32(untold), millis(now)
	if sh.locals.used == 0 {
		s.sharing.unset(sh.number)
	}
	s.shared.Add(-1)
}

// note counts for the others what a request took, or asked for.
func (s *Store) note(sh *shard, now limit.Instant, c *Charge, e *entry) {
	l := sh.localOf(e)
	switch {
	case l != nil:
		l.Count(c.params, c.rule, now, c.Cost, c.Admitted)
	case c.asks:
		l = s.share(sh, now, c.slot, e, c.rule)
		l.Again()
	case c.Admitted && int64(e.local)+int64(c.Cost) < 0: // back comes what others know of
		back := c.Cost + limit.Amount(e.local)
		e.local, e.untold = 0, 0
		l = s.share(sh, now, c.slot, e, c.rule)
		l.Count(c.params, c.rule, now, back, true)
		l.Again()
	case !c.Admitted || !e.mustTell(c.rule, now, c.Cost) || s.shared.Load() >= s.maxShared:
		return
	default:
		l = s.share(sh, now, c.slot, e, c.rule)
		l.First(now, c.Cost)
	}
	s.markChanged(sh, c.slot, e)
}

// takeAlone counts tokens that were taken while there was nobody to tell, as
// cheaply as can be: when they came in again is looked up once there is somebody.
func (e *entry) takeAlone(cost limit.Amount) {
	e.local = uint32(min(max(0, int64(e.local)+int64(cost)), math.MaxInt32))
	e.untold = -1
}

// reckon finds out how many of the tokens that were taken alone are still gone.
func (e *entry) reckon(p *decide.Params, now limit.Instant) {
	if e.untold >= 0 {
		return
	}
	gone := min(limit.Amount(e.local), p.Used(e.state, now))
	e.local, e.untold, e.toldAt = uint32(gone), float32(gone), millis(now)
}

// mustTell counts tokens that were taken without a word, and says whether they
// have become too many.
func (e *entry) mustTell(r *share.Rule, now limit.Instant, cost limit.Amount) bool {
	left := r.Leak(e.untold, e.sinceTold(now))
	if left <= 0 {
		e.local = 0 // all that was taken before has come in again
	}
	e.untold, e.toldAt = left+float32(cost), millis(now)
	e.local = uint32(min(max(0, int64(e.local)+int64(cost)), math.MaxInt32))
	return r.MustTell(e.untold)
}

// sinceTold is how long ago untold was written, up to 49 days. A clock that has
// stepped back a little finds it written just now.
func (e *entry) sinceTold(now limit.Instant) limit.Span {
	const back = 10_000 // milliseconds
	passed := millis(now) - e.toldAt
	if passed > math.MaxUint32-back {
		return 0
	}
	return limit.Span(passed) * limit.Millisecond
}

// markChanged notes that requests were decided on a shared counter.
func (s *Store) markChanged(sh *shard, slot uint32, e *entry) {
	if e.dirty() {
		return
	}
	e.meter |= dirtyBit
	if len(sh.changed) == cap(sh.changed) { // room for every slot there is, and no more
		sh.changed = append(make([]uint32, 0, len(sh.chunks)*chunkSlots), sh.changed...)
	}
	sh.changed = append(sh.changed, slot)
	if len(sh.changed) == 1 {
		s.changed.set(sh.number)
		if s.wake != nil && !s.awake.Load() && !s.awake.Swap(true) {
			s.wake()
		}
	}
}

// millis is an instant as entries remember it: it wraps around after 49 days.
func millis(t limit.Instant) uint32 { return uint32(t / limit.Instant(limit.Millisecond)) }
