package lease

import (
	"math"

	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

// subWindows is how many a sliding window is counted in, but for the one that slides out
// of it.
const subWindows = 3

// past tells when a sliding window was used: how many tokens slide out of it in the rest
// of the present sub-window, and in each of those that follow. It is zero for other
// limits, of which what is used says all.
type past struct {
	rest limit.Span // of the present sub-window
	out  [subWindows]limit.Amount
}

// subWindow returns how long a sub-window is, and how much of the present one is to come.
// Where a third of the window is not whole, some are longer by a nanosecond.
func subWindow(p *decide.Params, now limit.Instant) (length, rest limit.Span) {
	per, at := p.Per(), limit.Span(now)%p.Per()
	end := per
	for n := limit.Span(subWindows - 1); n > 0; n-- {
		if begin := (n*per + subWindows - 1) / subWindows; at < begin {
			end = begin
		}
	}
	return per / subWindows, end - at
}

// pastOf tells it of a state.
func pastOf(p *decide.Params, s decide.State, now limit.Instant) (a past) {
	used := p.Used(s, now)
	if p.Algorithm() != decide.Sliding || used == 0 {
		return past{}
	}
	length, rest := subWindow(p, now)
	a.rest = rest
	until := now.Add(rest)
	for i := range a.out {
		left := p.Used(s, until)
		a.out[i], used = used-left, left
		until = until.Add(length)
	}
	return a
}

// state returns the state of a counter of which so much is used. Sub-windows begin by the
// clock of who counts, and a book is under way for a while. As long as both are little the
// window goes on as it was. Otherwise what was used counts for up to a sub-window longer.
func (a *past) state(p *decide.Params, used limit.Amount, now limit.Instant) (s decide.State) {
	if a.rest == 0 || p.Algorithm() != decide.Sliding {
		return p.Debit(s, now, used)
	}
	length, rest := subWindow(p, now)
	oldest, slack := limit.Span(subWindows), min(2*Interval, length/8)
	switch under := a.rest - rest; {
	case under > slack:
		oldest--
	case under <= slack-length: // a sub-window has ended meanwhile
		oldest++
	}
	for i, out := range a.out {
		ago := oldest - limit.Span(i)
		used -= out
		switch {
		case ago == subWindows && out > 0: // of which a part has slid out
			out = limit.Amount(min(math.Ceil(float64(out)*float64(length)/float64(a.rest)), float64(p.Burst())))
		case ago > subWindows: // all of which has
			continue
		}
		s = p.Debit(s, now.Add(-ago*length), out)
	}
	return p.Debit(s, now.Add(-max(0, oldest-subWindows)*length), max(0, used))
}
