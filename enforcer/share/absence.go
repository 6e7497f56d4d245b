package share

import "github.com/sluice-dev/sluice/enforcer/limit"

// absence is what is debited for nodes that cannot be reached, after what they said last
// has lapsed. Those who are back say what they took, and what is debited already is not
// debited again.
type absence struct {
	on           bool    // the ghost stands for absent nodes
	taken        float64 // tokens debited, but for those that were told since
	rate, demand float64 // of those who are back
}

// absent leaves to nodes that cannot be reached their part of what comes in.
func (h *Home) absent(r *Rule, part float64, now limit.Instant) {
	a := &h.absence
	if !a.on {
		*a = absence{on: true}
	}
	here := h.demand - h.ghost.Demand - a.demand
	h.setGhost(r, max(0, part*r.rate-a.rate), max(0, here*part/(1-part)-a.demand), now)
}

// back returns how many of d tokens are not debited yet, which a node has told of that
// was away. From now on it goes on by what it says.
func (h *Home) back(r *Rule, d float64, next *Line) float64 {
	a := &h.absence
	known := min(max(0, d), a.taken)
	a.taken -= known
	a.rate, a.demand = a.rate+next.Rate, a.demand+next.Demand
	h.setGhost(r, max(0, h.ghost.Rate-next.Rate), max(0, h.ghost.Demand-next.Demand), h.ghost.At)
	return d - known
}
