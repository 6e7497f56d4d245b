package share

import (
	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

// absence is what is debited for nodes that cannot be reached, after what they said last
// has lapsed. Those who are back say what they took, and what is debited already is not
// debited again.
type absence struct {
	on           bool    // the ghost stands for absent nodes
	taken        float64 // tokens debited, but for those that were told since
	rate, demand float64 // of those who are back
}

// secondThought is how long after nodes were taken to be down it may turn out that it
// is this one that is cut off: it loses sight of them one after the other, and of the
// first ones while it still reaches most of the pool.
const secondThought = 2 * limit.Second

// NotGone takes back what Gone said a moment ago.
func (h *Home) NotGone(p *decide.Params, r *Rule, node int32, now limit.Instant) {
	if i, ok := h.find(node); ok && h.lines[i].Demand == 0 && now.Sub(h.lines[i].ended.At) < secondThought {
		h.settle(p, r, now)
		l := &h.lines[i]
		h.setLine(p, r, l, Line{Taken: int64(l.at(now, h.law)), Rate: l.ended.Rate, Demand: l.ended.Demand, At: now}, 0, false)
	}
}

// Away says that a node cannot be reached and may be taking tokens all the same: it
// is supposed to go on, for Hold from now.
func (h *Home) Away(p *decide.Params, r *Rule, node int32, now limit.Instant) {
	i, ok := h.find(node)
	if !ok {
		return
	}
	h.lines[i].away = true
	if !h.absence.on { // what is left of an earlier one is over
		h.absence = absence{}
	}
	if h.lines[i].Demand > 0 {
		h.settle(p, r, now)
		l := &h.lines[i]
		h.setLine(p, r, l, Line{Taken: int64(l.at(now, h.law)), Rate: l.Rate, Demand: l.Demand, At: now}, 0, false)
	}
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
	h.spoke(r, next.Rate, next.Demand)
	return d - known
}
