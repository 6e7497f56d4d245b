package decide

import (
	"math"

	"github.com/sluice-dev/sluice/enforcer/limit"
)

// State is what one counter remembers; what the words mean is the algorithm's
// business. The zero value is the initial state, in which nothing has been taken,
// of every algorithm. A State is read with the Params that made it.
//
// Fields, not an array: Go passes only those in registers.
type State struct{ first, second, third uint64 }

// Reading is what a client may be told of a counter.
type Reading struct {
	// Remaining is the largest cost that would be admitted now, never negative.
	Remaining limit.Amount
	// ResetAfter is the time until the state is the initial one again.
	ResetAfter limit.Span
	// RetryAfter is, for a denied request, what Params.RetryAfter says of it.
	RetryAfter limit.Span
}

// Take takes cost tokens if there is room for all of them, and says whether
// there was; if not it returns s as it was. A cost of 0 only looks: it is
// admitted while a cost of 1 would be. A negative cost gives tokens back, never
// beyond the initial state. A clock that steps back finds the state no fuller
// than it was.
func (p *Params) Take(s State, now limit.Instant, cost limit.Amount) (State, bool) {
	switch {
	case cost < 0:
		return p.giveBack(s, now, magnitude(cost)), true
	case cost == 0:
		return s, p.fits(s, now, 1)
	case uint64(cost) > p.burst:
		return s, false
	}
	if p.algorithm == Bucket {
		return p.takeBucket(s, now, uint64(cost))
	}
	if !p.fits(s, now, uint64(cost)) {
		return s, false
	}
	return p.add(s, now, uint64(cost)), true
}

// Debit takes n tokens whether or not there is room: what others have admitted.
// The counter may go into debt, which is repaid before it admits again: by a
// bucket's refill, by the quota of the following windows, or in a sliding window
// by the excess growing old. n <= 0 changes nothing.
func (p *Params) Debit(s State, now limit.Instant, n limit.Amount) State {
	if n <= 0 {
		return s
	}
	return p.add(s, now, uint64(n))
}

// Move takes cost tokens whether or not there is room, or gives them back when
// cost is negative.
func (p *Params) Move(s State, now limit.Instant, cost limit.Amount) State {
	if cost < 0 {
		return p.giveBack(s, now, magnitude(cost))
	}
	return p.Debit(s, now, cost)
}

// MovePart takes a part of a token, 0 to 1, as near as nanoseconds come to it. A
// window counts whole tokens and stays as it is.
func (p *Params) MovePart(s State, now limit.Instant, part float64) State {
	if p.algorithm != Bucket {
		return s
	}
	return p.addPartBucket(s, now, part)
}

// Used returns the tokens that are gone at now, rounded up: 0 for a state that
// equals the initial one, more than the burst for one in debt.
func (p *Params) Used(s State, now limit.Instant) limit.Amount {
	var used uint64
	switch p.algorithm {
	case Bucket:
		used = p.usedBucket(s, now)
	case Sliding:
		used = p.usedSliding(s, now)
	default:
		_, used = p.window(s, now)
	}
	return limit.Amount(min(used, math.MaxInt64))
}

// Level returns the tokens that are left at now, in fractions: the burst for a
// state that equals the initial one, below zero for one in debt. It is an
// estimate: Take decides exactly.
func (p *Params) Level(s State, now limit.Instant) float64 {
	if p.algorithm == Bucket {
		return float64(p.burst) - p.missing(s, now)
	}
	return float64(p.burst) - float64(p.Used(s, now))
}

// Describe tells what a client may know of s at now. It leaves RetryAfter 0.
func (p *Params) Describe(s State, now limit.Instant) Reading {
	if p.algorithm == Bucket {
		return p.describeBucket(s, now)
	}
	return Reading{
		Remaining:  max(0, p.Burst()-p.Used(s, now)),
		ResetAfter: max(0, p.IdleAt(s).Sub(now)),
	}
}

// RetryAfter returns the time until cost would be admitted, if nothing else were
// taken: 0 when it would be now, limit.Forever for a cost above the burst. A cost
// of 0 waits as one of 1 does.
func (p *Params) RetryAfter(s State, now limit.Instant, cost limit.Amount) limit.Span {
	switch {
	case cost < 0:
		return 0
	case cost > p.Burst():
		return limit.Forever
	}
	return p.retryAfter(s, now, max(1, uint64(cost)))
}

// IdleAt returns the instant from which s equals the initial state, and so need
// not be remembered.
func (p *Params) IdleAt(s State) limit.Instant {
	switch p.algorithm {
	case Bucket:
		return idleBucket(s)
	case Sliding:
		return p.idleSliding(s)
	default:
		return p.idleWindow(s)
	}
}

// Rescale carries a state from one set of parameters to another: a client that
// has used x tokens has used x afterwards too, at most the new burst, so that a
// change of rate neither grants a fresh quota nor leaves a debt.
func Rescale(s State, now limit.Instant, from, to *Params) State {
	if *from == *to {
		return s
	}
	return to.Debit(State{}, now, min(from.Used(s, now), to.Burst()))
}

// fits says whether cost, from 1 to the burst, may be taken.
func (p *Params) fits(s State, now limit.Instant, cost uint64) bool {
	if p.algorithm == Bucket {
		_, ok := p.takeBucket(s, now, cost)
		return ok
	}
	return uint64(p.Used(s, now))+cost <= p.burst
}

// add takes n tokens without asking.
func (p *Params) add(s State, now limit.Instant, n uint64) State {
	switch p.algorithm {
	case Bucket:
		return p.addBucket(s, now, n)
	case Sliding:
		return p.addSliding(s, now, n)
	default:
		return p.addWindow(s, now, n)
	}
}

func (p *Params) giveBack(s State, now limit.Instant, n uint64) State {
	switch p.algorithm {
	case Bucket:
		return p.giveBackBucket(s, now, n)
	case Sliding:
		return p.giveBackSliding(s, now, n)
	default:
		return p.giveBackWindow(s, now, n)
	}
}

func (p *Params) retryAfter(s State, now limit.Instant, cost uint64) limit.Span {
	switch p.algorithm {
	case Bucket:
		return p.retryBucket(s, now, cost)
	case Sliding:
		return p.retrySliding(s, now, cost)
	default:
		return p.retryWindow(s, now, cost)
	}
}

// magnitude returns |a| for a negative a.
func magnitude(a limit.Amount) uint64 { return -uint64(a) }
