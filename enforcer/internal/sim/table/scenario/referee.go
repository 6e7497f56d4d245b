package scenario

import (
	"math"

	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/policy"
)

// tolerance is what rounding may add up to, in tokens.
const tolerance = 1e-3

// referee is one exact limiter, to compare a pool with. Time does not go back.
type referee interface {
	// admit takes as many of n tokens as there are.
	admit(now limit.Instant, n int64) int64

	// excess is given n tokens that were admitted, and returns how many of them
	// the limiter would have refused. Those are not held against what follows.
	excess(now limit.Instant, n int64) float64
}

func newReferee(l Limit, now limit.Instant) referee {
	switch l.algorithm() {
	case policy.FixedWindow:
		return &fixedWindow{requests: l.Requests, per: l.Per}
	case policy.SlidingWindow:
		params, _ := decide.SlidingWindow(limit.Amount(l.Requests), l.Per) // the engine refuses what this refuses
		return &slidingWindow{params: params}
	}
	return &bucket{perSpan: l.Rate() / float64(limit.Second), depth: l.Depth(), level: l.Depth(), at: now}
}

type bucket struct {
	perSpan, depth, level float64
	at                    limit.Instant
}

func (b *bucket) refill(now limit.Instant) {
	if now > b.at {
		b.level = math.Min(b.depth, b.level+b.perSpan*float64(now-b.at))
		b.at = now
	}
}

func (b *bucket) admit(now limit.Instant, n int64) int64 {
	b.refill(now)
	n = min(n, int64(math.Floor(b.level+1e-9)))
	b.level -= float64(n)
	return n
}

func (b *bucket) excess(now limit.Instant, n int64) float64 {
	b.refill(now)
	b.level -= float64(n)
	if b.level >= -1e-6 {
		return 0
	}
	over := -b.level
	b.level = 0
	return over
}

type fixedWindow struct {
	requests int64
	per      limit.Span
	window   int64
	used     int64
}

func (w *fixedWindow) admit(now limit.Instant, n int64) int64 {
	if i := int64(now) / int64(w.per); i > w.window {
		w.window, w.used = i, 0
	}
	n = min(n, w.requests-w.used)
	w.used += n
	return n
}

func (w *fixedWindow) excess(now limit.Instant, n int64) float64 { return float64(n - w.admit(now, n)) }

type slidingWindow struct {
	params decide.Params
	state  decide.State
}

func (w *slidingWindow) admit(now limit.Instant, n int64) int64 {
	left := w.params.Burst().Sub(w.params.Used(w.state, now))
	n = max(0, min(n, int64(left)))
	w.state = w.params.Debit(w.state, now, limit.Amount(n))
	return n
}

func (w *slidingWindow) excess(now limit.Instant, n int64) float64 {
	return float64(n - w.admit(now, n))
}
