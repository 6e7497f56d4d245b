package share

import (
	"math"

	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

const (
	// subWindows is how many a sliding window is counted in, but for the one that slides
	// out of it.
	subWindows = 3

	pastBits = 5
	pastUnit = 1<<pastBits - 1
)

// subWindow returns how long a sub-window is, and how much of the present one is to come.
func subWindow(p *decide.Params, now limit.Instant) (length, rest limit.Span) {
	length = p.Per() / subWindows
	return length, length - limit.Span(now)%p.Per()%length
}

// past tells when a sliding window was used: the parts of what is used that slide out of
// it in the rest of this sub-window and in the next two, in 31sts, 5 bits each. It is 0
// for other limits, of which the level says all.
func past(p *decide.Params, s decide.State, now limit.Instant) (code uint16) {
	used := float64(p.Burst()) - p.Level(s, now)
	if p.Algorithm() != decide.Sliding || used < 1 {
		return 0
	}
	length, rest := subWindow(p, now)
	from, until := now, now.Add(rest)
	for range subWindows {
		back := p.Level(s, until) - p.Level(s, from)
		code = code<<pastBits | uint16(math.Round(pastUnit*back/used))
		from, until = until, until.Add(length)
	}
	return code
}

// usedAsOf returns the state of a sliding window of which so many tokens are used, but for
// those of the present sub-window.
func usedAsOf(p *decide.Params, used float64, past uint16, now limit.Instant) (s decide.State) {
	length, rest := subWindow(p, now)
	times := float64(length) / float64(rest) // as many as slid out before it was told
	for ago := limit.Span(subWindows); ago > 0; ago-- {
		part := float64(past>>((ago-1)*pastBits)&pastUnit) / pastUnit
		s = p.Debit(s, now.Add(-ago*length), limit.Amount(min(used*part*times, float64(p.Burst()))))
		times = 1
	}
	return s
}
