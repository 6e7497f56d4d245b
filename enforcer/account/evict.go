package account

import (
	"github.com/sluice-dev/sluice/enforcer/limit"
)

// sample is how many counters an eviction looks at. Where one in a hundred is at
// its limit, the odds that all eight are, and so one of them is forgotten, are
// 1 in 10^16.
const sample = 8

// evict forgets one counter to make room for key: of a sample, the one that has
// the least to say. The sample is drawn by the key, which is a keyed hash, and so
// as good as dice that nobody can load.
func (s *Store) evict(sh *shard, rows []meterRow, now limit.Instant, key limit.Key) {
	victim, least := none, 0.0
	dice := key.Hi ^ key.Lo
	for range sample {
		dice = dice*6364136223846793005 + 1442695040888963407
		slot := uint32((dice >> 32) * uint64(sh.slots) >> 32)
		e := sh.at(slot)
		if e.key.IsZero() {
			continue
		}
		if w := weight(rows, e, now); victim == none || w < least {
			victim, least = slot, w
		}
	}
	if victim == none { // the sample met free slots only: nearly all are
		return
	}
	sh.wheel.remove(sh, victim)
	if e := sh.at(victim); e.shared() {
		s.unshare(sh, nil, now, e)
	}
	sh.remove(victim)
	sh.evicted++
}

// weight returns how much a counter has to say: how far it is from full (0 is
// full, 1 at its limit, more in debt), and 1 more where it holds somebody. Counters
// that were used up by clients which then went away so make room before those of
// clients that go on.
func weight(rows []meterRow, e *entry, now limit.Instant) float64 {
	p := paramsOf(rows, e.ref())
	if p == nil {
		return -1
	}
	w := float64(p.Used(e.state, now)) / float64(p.Burst())
	if e.denied() && w > 0 {
		w++
	}
	return w
}
