package decide

import (
	"math"
	"math/bits"

	"github.com/sluice-dev/sluice/enforcer/limit"
)

// A bucket remembers only when it will be full: in the first word nanoseconds
// since the epoch, in the second fractions of one, of which `requests` make one.
// A token is worth per/requests nanoseconds, which that represents exactly; so
//
//	level(now) = burst - (full - now) * requests / per

// span is a length of time: ns nanoseconds and part/requests of another, with
// part < requests.
type span struct{ ns, part uint64 }

// latest bounds the instant at which a bucket is full, and with it the debt, so
// that no sum of an instant and a span overflows.
const latest = math.MaxInt64 - uint64(MaxFill) - 1

// spanOf returns the time in which n tokens refill, saturating.
func (p *Params) spanOf(n uint64) span {
	hi, lo := bits.Mul64(n, p.per)
	if hi >= p.requests {
		return span{ns: latest}
	}
	ns, part := bits.Div64(hi, lo, p.requests)
	if ns > latest {
		return span{ns: latest}
	}
	return span{ns, part}
}

// plus returns t+d.
func (p *Params) plus(t, d span) span {
	ns, part := t.ns+d.ns, t.part+d.part
	if part >= p.requests {
		ns, part = ns+1, part-p.requests
	}
	return span{ns, part}
}

// minus returns t-d, or zero if d is longer.
func (p *Params) minus(t, d span) span {
	if t.before(d) {
		return span{}
	}
	ns, part := t.ns-d.ns, t.part-d.part
	if t.part < d.part {
		ns, part = ns-1, part+p.requests
	}
	return span{ns, part}
}

func (t span) before(u span) bool { return t.ns < u.ns || t.ns == u.ns && t.part < u.part }

// ceil returns the whole nanoseconds that cover t.
func (t span) ceil() uint64 {
	if t.part > 0 {
		return t.ns + 1
	}
	return t.ns
}

func fullAt(s State) span { return span{s.first, s.second} }

func bucketState(full span) State { return State{first: full.ns, second: full.part} }

// startOf is when the bucket of s is or was full, no earlier than now.
func startOf(s State, now limit.Instant) span {
	full := fullAt(s)
	if n := nanoseconds(now); full.ns < n {
		return span{ns: n}
	}
	return full
}

// nanoseconds returns an instant as an unsigned number; before the epoch there is
// nothing.
func nanoseconds(now limit.Instant) uint64 { return min(uint64(max(0, now)), latest) }

func (p *Params) takeBucket(s State, now limit.Instant, cost uint64) (State, bool) {
	d := p.token
	if cost != 1 {
		d = p.spanOf(cost)
	}
	full := p.plus(startOf(s, now), d)
	if p.plus(span{ns: nanoseconds(now)}, p.fill).before(full) {
		return s, false
	}
	return bucketState(full), true
}

func (p *Params) addBucket(s State, now limit.Instant, n uint64) State {
	full := p.plus(startOf(s, now), p.spanOf(n))
	if full.ns > latest {
		full = span{ns: latest}
	}
	return bucketState(full)
}

func (p *Params) addPartBucket(s State, now limit.Instant, part float64) State {
	worth := span{ns: uint64(min(max(part, 0), 1) * float64(p.per) / float64(p.requests))}
	full := p.plus(startOf(s, now), worth)
	if full.ns > latest {
		full = span{ns: latest}
	}
	return bucketState(full)
}

func (p *Params) giveBackBucket(s State, now limit.Instant, n uint64) State {
	full := p.minus(startOf(s, now), p.spanOf(n))
	if full.ns < nanoseconds(now) {
		return State{}
	}
	return bucketState(full)
}

func (p *Params) usedBucket(s State, now limit.Instant) uint64 {
	missing := p.minus(fullAt(s), span{ns: nanoseconds(now)})
	hi, lo := bits.Mul64(missing.ns, p.requests)
	lo, carry := bits.Add64(lo, missing.part, 0)
	hi += carry
	if hi >= p.per {
		return math.MaxInt64
	}
	used, rest := bits.Div64(hi, lo, p.per)
	if rest > 0 {
		used++
	}
	return used
}

// missing returns the tokens that are gone, in fractions.
func (p *Params) missing(s State, now limit.Instant) float64 {
	t := p.minus(fullAt(s), span{ns: nanoseconds(now)})
	return (float64(t.ns)*float64(p.requests) + float64(t.part)) / float64(p.per)
}

// describeBucket is Describe for a bucket, without its detours.
func (p *Params) describeBucket(s State, now limit.Instant) Reading {
	left := limit.Amount(p.burst) - limit.Amount(min(p.usedBucket(s, now), p.burst))
	full, n := fullAt(s).ceil(), nanoseconds(now)
	return Reading{Remaining: left, ResetAfter: limit.Span(full - min(full, n))}
}

func (p *Params) retryBucket(s State, now limit.Instant, cost uint64) limit.Span {
	full := p.plus(startOf(s, now), p.spanOf(cost))
	wait := p.minus(full, p.plus(span{ns: nanoseconds(now)}, p.fill))
	return limit.Span(min(wait.ceil(), math.MaxInt64))
}

func idleBucket(s State) limit.Instant { return limit.Instant(fullAt(s).ceil()) }
