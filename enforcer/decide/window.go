package decide

import (
	"math"

	"github.com/sluice-dev/sluice/enforcer/limit"
)

// A fixed or calendar window remembers in its first word the number of the window
// that it counted last, in the second the tokens that are gone in it. A count above
// the quota is a debt: it is carried into the following windows, each of which
// repays at most its quota, so the long run is exact.

// window returns the number of the window at now, and the tokens gone in it. A
// clock that steps back stays in the window that was counted last.
func (p *Params) window(s State, now limit.Instant) (number int64, used uint64) {
	last, used := int64(s.first), s.second
	number = p.windowAt(now)
	switch passed := uint64(number - last); {
	case used == 0:
		return number, 0
	case number <= last:
		return last, used
	case passed > used/p.requests:
		return number, 0
	default:
		return number, used - min(used, passed*p.requests)
	}
}

// windowAt returns the number of the window that now lies in.
func (p *Params) windowAt(now limit.Instant) int64 {
	now = max(0, now)
	if p.algorithm == CalendarFixed {
		return p.calendar.number(now)
	}
	return int64(now) / int64(p.per)
}

// windowStart returns the instant at which a window begins, saturating.
func (p *Params) windowStart(number int64) limit.Instant {
	if p.algorithm == CalendarFixed {
		return p.calendar.start(number)
	}
	if number > math.MaxInt64/int64(p.per) {
		return limit.Never
	}
	return limit.Instant(number * int64(p.per))
}

// WindowEnd returns when the fixed or calendar window of now ends, with all that was
// not taken in it; limit.Never for other algorithms.
func (p *Params) WindowEnd(now limit.Instant) limit.Instant {
	if p.algorithm != Fixed && p.algorithm != CalendarFixed {
		return limit.Never
	}
	return p.windowStart(later(p.windowAt(now), 1))
}

func windowState(number int64, used uint64) State {
	if used == 0 {
		return State{}
	}
	return State{first: uint64(number), second: used}
}

func (p *Params) addWindow(s State, now limit.Instant, n uint64) State {
	number, used := p.window(s, now)
	return windowState(number, min(used+n, math.MaxInt64))
}

func (p *Params) giveBackWindow(s State, now limit.Instant, n uint64) State {
	number, used := p.window(s, now)
	return windowState(number, used-min(used, n))
}

func (p *Params) retryWindow(s State, now limit.Instant, cost uint64) limit.Span {
	number, used := p.window(s, now)
	if used+cost <= p.requests {
		return 0
	}
	windows := ceilDiv(used+cost-p.requests, p.requests)
	return max(0, p.windowStart(later(number, windows)).Sub(now))
}

func (p *Params) idleWindow(s State) limit.Instant {
	used := s.second
	if used == 0 {
		return 0
	}
	return p.windowStart(later(int64(s.first), ceilDiv(used, p.requests)))
}

func ceilDiv(a, b uint64) uint64 { return (a-1)/b + 1 }

// later returns the number of the window n windows after the given one.
func later(number int64, n uint64) int64 {
	return number + int64(min(n, uint64(math.MaxInt64-number)))
}
