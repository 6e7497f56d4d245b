package share

import (
	"math"

	"github.com/sluice-dev/sluice/enforcer/limit"
)

// demand estimates how many tokens per second a counter is asked for. It counts
// over two epochs, so that it is unbiased from the second request on, and beside
// them keeps a fast average, to which it jumps when that lies four standard
// deviations away. After a silence it falls by itself.
type demand struct {
	before, length float64 // tokens of the last epoch, and its length in seconds
	count          float64 // tokens of this epoch
	began, last    limit.Instant
	fast           float64 // tokens per second, over fastTime, as of fastAt
	fastAt         limit.Instant
	on             bool
}

const (
	fastTime   = 0.05 // seconds
	epochMin   = 0.5  // seconds, with at least epochCount tokens
	epochCount = 8
	epochMax   = 15 // seconds

	// shortest time that a pace is made of: requests that come at once are a burst.
	shortest = 0.03 // seconds

	// grace is how much later than expected a request may come for nothing to be
	// made of it: it may wait somewhere.
	grace = 2 * limit.Millisecond
)

// observe counts a request for n tokens.
func (d *demand) observe(now limit.Instant, n float64) {
	d.fast = d.fast*decay(since(d.fastAt, now), fastTime) + n/fastTime
	d.fastAt = now
	if !d.on {
		*d = demand{began: now, last: now, on: true, count: n - 1, fast: d.fast, fastAt: now}
		return
	}
	d.count += n
	d.last = now
	if t := since(d.began, now); t >= epochMin && d.count >= epochCount || t >= epochMax {
		d.before, d.length = d.count, t
		d.count, d.began = 0, now
	}
}

// rate returns the tokens per second that are asked for at now.
func (d *demand) rate(now limit.Instant) float64 {
	if !d.on {
		return 0
	}
	t := since(d.began, now)
	if t > epochMax {
		d.before, d.length = d.count, t
		d.count, d.began, t = 0, now, 0
		if d.before == 0 {
			d.on = false
			return 0
		}
	}
	rate := (d.before + d.count) / max(shortest, d.length+t)
	fast := d.fast * decay(since(d.fastAt, now), fastTime)
	sigma := 4 * math.Sqrt(rate/fastTime)
	young := d.length+t < 3*fastTime // the fast average rises from nothing yet
	if off := fast - rate; off > sigma+3/fastTime || -off > sigma && !young {
		rate = fast
		d.before, d.length = 0, 0
		d.count, d.began = rate*fastTime, now.Add(-limit.Span(fastTime*float64(limit.Second)))
	}
	if gap := seconds(now.Sub(d.last) - grace); gap*rate > 8 {
		rate = 8 / gap
	}
	return rate
}

// few says that the estimate rests on next to nothing.
func (d *demand) few() bool { return d.before+d.count < 3 }

// sure says that the estimate rests on more than a few requests.
func (d *demand) sure() bool { return d.before+d.count >= epochCount }

// steady says that the estimate has held for an epoch at least.
func (d *demand) steady() bool { return d.length > 0 }
