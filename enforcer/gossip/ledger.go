package gossip

import (
	"math/bits"

	"github.com/sluice-dev/sluice/enforcer/limit"
)

const (
	segments = 256

	// sweepBudget is how many slots of a ledger one Tick looks at.
	sweepBudget = 256
)

// record is the last that a peer said of one counter.
type record struct {
	own   limit.Amount
	era   uint32 // folded: two eras of one counter are told apart, not ordered
	round uint32
}

// fold shortens an era.
func fold(era uint64) uint32 { return uint32(era) ^ uint32(era>>32) }

type slot struct {
	key limit.Key // zero: free
	record
}

// ledger remembers a record by key: open addressing with linear probing in
// segments, 32 bytes a slot without pointers. Each segment grows for itself by a
// half, so no growth copies more than a small part. Keys are a keyed hash
// already, so their own bits place them. The zero ledger holds nothing; max must
// be set.
type ledger struct {
	slots [segments][]slot
	used  [segments]int
	len   int // sum of used
	max   int // len <= max

	at, within int // where the next sweep starts: segment and slot
}

// room says whether another key can be remembered.
func (l *ledger) room() bool { return l.len < l.max }

func (l *ledger) clear() { *l = ledger{max: l.max} }

func segmentOf(k limit.Key) int { return int(k.Hi >> 56) }

// home is the slot at which the search for k starts in a segment of n slots.
func home(k limit.Key, n int) int {
	h, _ := bits.Mul64(k.Lo, uint64(n))
	return int(h)
}

// find returns the slot that holds k, or else the free slot where it belongs.
// The segment has at least one free slot.
func find(s []slot, k limit.Key) (int, bool) {
	for i := home(k, len(s)); ; i++ {
		if i == len(s) {
			i = 0
		}
		switch {
		case s[i].key == k:
			return i, true
		case s[i].key.IsZero():
			return i, false
		}
	}
}

func (l *ledger) get(k limit.Key) (record, bool) {
	s := l.slots[segmentOf(k)]
	if len(s) == 0 {
		return record{}, false
	}
	i, ok := find(s, k)
	return s[i].record, ok
}

// set remembers r for k. A key that is new to a full ledger is not remembered.
// The zero key is no counter's and never is.
func (l *ledger) set(k limit.Key, r record) {
	if k.IsZero() {
		return
	}
	seg := segmentOf(k)
	if s := l.slots[seg]; len(s) > 0 {
		if i, ok := find(s, k); ok {
			s[i].record = r
			return
		}
	}
	if !l.room() {
		return
	}
	if n := len(l.slots[seg]); (l.used[seg]+1)*5 > n*4 {
		l.resize(seg, n+n/2+8)
	}
	s := l.slots[seg]
	i, _ := find(s, k)
	s[i] = slot{k, r}
	l.used[seg]++
	l.len++
}

func (l *ledger) resize(seg, n int) {
	old := l.slots[seg]
	s := make([]slot, n)
	for i := range old {
		if !old[i].key.IsZero() {
			j, _ := find(s, old[i].key)
			s[j] = old[i]
		}
	}
	l.slots[seg] = s
}

// remove frees slot i of a segment and closes the gap: every key stays
// reachable from its home without crossing a free slot.
func (l *ledger) remove(seg, i int) {
	s := l.slots[seg]
	l.used[seg]--
	l.len--
	for j := i; ; {
		j++
		if j == len(s) {
			j = 0
		}
		if s[j].key.IsZero() {
			break
		}
		if !between(i, home(s[j].key, len(s)), j) {
			s[i], i = s[j], j
		}
	}
	s[i] = slot{}
}

// between says whether h lies in (i, j] on the circle of slots: then the key at j,
// whose home is h, would not be found in slot i.
func between(i, h, j int) bool {
	if i < j {
		return i < h && h <= j
	}
	return i < h || h <= j
}

// sweep looks at the next budget slots and forgets the keys that keep refuses.
func (l *ledger) sweep(budget int, keep func(limit.Key) bool) {
	for range segments + 1 {
		s := l.slots[l.at]
		for l.within < len(s) {
			if budget--; budget < 0 {
				return
			}
			if k := s[l.within].key; !k.IsZero() && !keep(k) {
				l.remove(l.at, l.within)
			} else {
				l.within++
			}
		}
		if n := l.used[l.at]; n*4 < len(s) {
			l.resize(l.at, n+n/2+n/8+1)
		}
		l.at, l.within = (l.at+1)%segments, 0
	}
}
