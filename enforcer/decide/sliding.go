package decide

import (
	"math"
	"math/bits"

	"github.com/sluice-dev/sluice/enforcer/limit"
)

// A sliding window is cut into three sub-windows. The first word of its state is
// the number of the current sub-window, the others are four counts of 32 bits: of
// the current sub-window and of the three before it. The stretch that ends now
// covers the first three whole, and of the oldest the part that has not slid out
// yet, which is taken as evenly used and rounded up:
//
//	used(now) = c0 + c1 + c2 + ⌈c3 · (1 - passed part of the current sub-window)⌉
const subWindows = 3

// slide is a decoded state. Counts are of the current sub-window and of those
// before it, and saturate at 2^32-1, which is above any quota.
type slide struct {
	number int64
	counts [subWindows + 1]uint64
}

// slideAt returns the state as it is at now, and how far the current sub-window
// has come: passed/per of it. A clock that steps back stays at the beginning of
// the sub-window that was counted last.
func (p *Params) slideAt(s State, now limit.Instant) (w slide, passed uint64) {
	number, passed := p.subWindowAt(now)
	w = slide{int64(s.first), [4]uint64{
		s.second >> 32, s.second & math.MaxUint32, s.third >> 32, s.third & math.MaxUint32,
	}}
	if w.counts == [4]uint64{} {
		return slide{number: number}, passed
	}
	if number < w.number {
		return w, 0
	}
	return w.forward(number), passed
}

// forward returns w as it is in a later sub-window.
func (w slide) forward(number int64) slide {
	moved := slide{number: number}
	if by := number - w.number; by <= subWindows {
		copy(moved.counts[by:], w.counts[:])
	}
	return moved
}

func (w slide) state() State {
	if w.counts == [4]uint64{} {
		return State{}
	}
	return State{first: uint64(w.number), second: w.counts[0]<<32 | w.counts[1], third: w.counts[2]<<32 | w.counts[3]}
}

// used returns the estimate when passed/per of the current sub-window is over.
func (p *Params) used(w slide, passed uint64) uint64 {
	hi, lo := bits.Mul64(w.counts[3], p.per-passed)
	part, rest := bits.Div64(hi, lo, p.per)
	if rest > 0 {
		part++
	}
	return w.counts[0] + w.counts[1] + w.counts[2] + part
}

// subWindowAt returns the number of the sub-window that now lies in, and how far
// it has come: passed/per of it. Sub-windows are a third of per, which need not
// be a whole number of nanoseconds.
func (p *Params) subWindowAt(now limit.Instant) (number int64, passed uint64) {
	n := uint64(max(0, now))
	windows, rest := n/p.per, n%p.per*subWindows
	return int64(windows*subWindows + rest/p.per), rest % p.per
}

// subWindowTime returns the first instant at which passed/per of a sub-window is
// over, saturating.
func (p *Params) subWindowTime(number int64, passed uint64) limit.Instant {
	windows, sub := uint64(number)/subWindows, uint64(number)%subWindows
	hi, lo := bits.Mul64(windows, p.per)
	rest := (sub*p.per + passed + subWindows - 1) / subWindows
	if hi > 0 || lo > math.MaxInt64-rest {
		return limit.Never
	}
	return limit.Instant(lo + rest)
}

func (p *Params) usedSliding(s State, now limit.Instant) uint64 {
	return p.used(p.slideAt(s, now))
}

func (p *Params) addSliding(s State, now limit.Instant, n uint64) State {
	w, _ := p.slideAt(s, now)
	w.counts[0] += min(n, math.MaxUint32-w.counts[0])
	return w.state()
}

// giveBackSliding takes tokens out of the newest counts first: they would have
// stayed longest.
func (p *Params) giveBackSliding(s State, now limit.Instant, n uint64) State {
	w, _ := p.slideAt(s, now)
	for i := range w.counts {
		back := min(n, w.counts[i])
		w.counts[i] -= back
		n -= back
	}
	return w.state()
}

// retrySliding finds the first instant at which the estimate leaves room for
// cost: it falls evenly within a sub-window, and steps to the next oldest count
// at each boundary.
func (p *Params) retrySliding(s State, now limit.Instant, cost uint64) limit.Span {
	w, passed := p.slideAt(s, now)
	if p.used(w, passed)+cost <= p.requests {
		return 0
	}
	for range subWindows + 1 {
		whole := w.counts[0] + w.counts[1] + w.counts[2]
		if whole+cost <= p.requests {
			room := p.requests - cost - whole
			return max(0, p.subWindowTime(w.number, p.passedWhen(w.counts[3], room)).Sub(now))
		}
		w = w.forward(w.number + 1)
	}
	return max(0, p.subWindowTime(w.number, 0).Sub(now))
}

// passedWhen returns how far a sub-window must have come for ⌈count·(1-passed)⌉
// to be at most room.
func (p *Params) passedWhen(count, room uint64) uint64 {
	if count <= room {
		return 0
	}
	hi, lo := bits.Mul64(room, p.per)
	keep, _ := bits.Div64(hi, lo, count)
	return p.per - keep
}

func (p *Params) idleSliding(s State) limit.Instant {
	w := slide{int64(s.first), [4]uint64{
		s.second >> 32, s.second & math.MaxUint32, s.third >> 32, s.third & math.MaxUint32,
	}}
	for age, count := range w.counts {
		if count > 0 {
			return p.subWindowTime(w.number+int64(subWindows+1-age), 0)
		}
	}
	return 0
}
