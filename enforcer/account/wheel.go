package account

import "github.com/sluice-dev/sluice/enforcer/limit"

// wheel is a hierarchical timer wheel over the entries of one shard (Varghese and
// Lauck, 1987). An entry is filed by the instant at which it was to be idle when
// it was filed; charges move that instant later without touching the wheel, and
// the entry is filed again when its bucket comes up. So the wheel costs a request
// nothing but the filing of a new entry.
type wheel struct {
	tick    uint64 // the last one that has come up, from the highest level down
	level   int    // above which it has; 0 when it has altogether
	skipped uint32 // buckets from 0 on that come up at once, because time jumped
	buckets [levels*spokes + 1]uint32
}

const (
	levels, spokeBits = 4, 6
	spokes            = 1 << spokeBits

	// tickLength is how late an entry may be forgotten. Four levels span 12 days;
	// what is due later is filed again on the way.
	tickLength = 64 * limit.Millisecond

	// overdue is the bucket of entries that came up when the budget was spent.
	overdue = levels * spokes

	headBit = uint32(1) << 31 // of entry.prev: the rest is a bucket
)

func (w *wheel) clear() {
	w.tick, w.level, w.skipped = 0, 0, 0
	for i := range w.buckets {
		w.buckets[i] = none
	}
}

// tickOf returns the first tick at which an instant is over.
func tickOf(t limit.Instant) uint64 {
	return uint64(max(0, t))/uint64(tickLength) + 1
}

// file puts an entry that is in no bucket into the one of its instant.
func (w *wheel) file(sh *shard, slot uint32, due limit.Instant) {
	at := max(tickOf(due), w.tick+1)
	level, ahead := 0, at-w.tick
	for ahead >= spokes && level < levels-1 {
		level, ahead = level+1, (at>>(spokeBits*(level+1)))-(w.tick>>(spokeBits*(level+1)))
	}
	if ahead >= spokes { // beyond the last level
		at = w.tick + (spokes-1)<<(spokeBits*level)
	}
	w.push(sh, slot, uint32(level*spokes)+uint32(at>>(spokeBits*level))%spokes)
}

func (w *wheel) push(sh *shard, slot, bucket uint32) {
	e, head := sh.at(slot), w.buckets[bucket]
	e.prev, e.next = bucket|headBit, head
	if head != none {
		sh.at(head).prev = slot
	}
	w.buckets[bucket] = slot
}

// remove takes an entry out of its bucket.
func (w *wheel) remove(sh *shard, slot uint32) {
	e := sh.at(slot)
	if e.prev&headBit != 0 {
		w.buckets[e.prev&^headBit] = e.next
	} else {
		sh.at(e.prev).next = e.next
	}
	if e.next != none {
		sh.at(e.next).prev = e.prev
	}
	e.next, e.prev = none, none
}

// advance lets the ticks up to now come up, hands at most budget entries to f,
// which is to file or remove each, and returns how many it handed over. What is
// left comes up next time.
func (w *wheel) advance(sh *shard, now limit.Instant, budget int, f func(slot uint32)) int {
	target := uint64(max(0, now)) / uint64(tickLength)
	if sh.keys == 0 { // so nothing comes up
		w.tick, w.level, w.skipped = max(w.tick, target), 0, 0
		return 0
	}
	done := w.drain(sh, budget, f)
	if target > w.tick+spokes*spokes { // a clock that jumps, as at the start
		w.tick, w.level, w.skipped = target, 0, overdue
	}
	for w.skipped > 0 && done < budget {
		w.skipped--
		done += w.comeUp(sh, w.skipped, budget-done, f)
	}
	for done < budget {
		if w.level == 0 {
			if w.tick >= target {
				break
			}
			w.tick, w.level = w.tick+1, levels
		}
		w.level--
		shift := spokeBits * w.level
		if w.tick&(1<<shift-1) == 0 {
			done += w.comeUp(sh, uint32(w.level*spokes)+uint32(w.tick>>shift)%spokes, budget-done, f)
		}
	}
	return done
}

// comeUp makes a bucket the overdue one and hands its entries over. That one is
// empty: else the budget would be spent.
func (w *wheel) comeUp(sh *shard, bucket uint32, budget int, f func(slot uint32)) int {
	head := w.buckets[bucket]
	if head == none {
		return 0
	}
	w.buckets[bucket], w.buckets[overdue] = none, head
	sh.at(head).prev = overdue | headBit
	return w.drain(sh, budget, f)
}

// drain hands overdue entries over, at most budget.
func (w *wheel) drain(sh *shard, budget int, f func(slot uint32)) int {
	done := 0
	for ; done < budget && w.buckets[overdue] != none; done++ {
		slot := w.buckets[overdue]
		w.remove(sh, slot)
		f(slot)
	}
	return done
}

// Expire forgets counters that say nothing any more. It looks at no more than
// budget of them, a few dozen under each lock, and returns how many it forgot.
// Call it every few milliseconds: an idle counter then goes within 100 ms.
func (s *Store) Expire(now limit.Instant, budget int) int {
	rows := s.meters.Load().rows
	forgotten := 0
	for range s.shards {
		if budget <= 0 {
			break
		}
		sh := &s.shards[int(s.expire.Add(1))%len(s.shards)]
		sh.mu.Lock()
		budget -= sh.wheel.advance(sh, now, min(budget, expireBatch), func(slot uint32) {
			e := sh.at(slot)
			if due := idleAt(rows, e, now); due > now {
				sh.wheel.file(sh, slot, due)
				return
			}
			if e.shared() {
				s.unshare(sh, nil, now, e)
			}
			sh.remove(slot)
			sh.expired++
			forgotten++
		})
		sh.mu.Unlock()
	}
	return forgotten
}

// expireBatch bounds the work under one lock: some microseconds.
const expireBatch = 64
