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

// Gone says that a node will not take any more. What it was supposed to take since it is
// silent is given back; 0: that is not known.
func (h *Home) Gone(p *decide.Params, r *Rule, node int32, silent, now limit.Instant) {
	i, ok := h.find(node)
	if !ok || !h.lines[i].active() {
		return
	}
	h.settle(p, r, now)
	l := &h.lines[i]
	taken := l.at(now, h.law)
	if silence := since(silent, now); silent > 0 && silence > 0 && !l.away {
		taken -= (taken - float64(l.Taken)) * min(1, silence/since(l.At, now))
	}
	l.ended, l.endedAt = l.Line, now
	h.setLine(p, r, l, Line{Taken: int64(taken), At: now}, 0, true)
}

// NotGone takes back what Gone said a moment ago: the node has gone on all the time.
func (h *Home) NotGone(p *decide.Params, r *Rule, node int32, now limit.Instant) {
	if i, ok := h.find(node); ok && h.lines[i].ended.active() && now.Sub(h.lines[i].endedAt) < secondThought {
		h.settle(p, r, now)
		l := &h.lines[i]
		next := Line{Taken: int64(l.ended.at(now, h.law)), Rate: l.ended.Rate, Demand: l.ended.Demand, At: now}
		l.ended = Line{}
		h.setLine(p, r, l, next, 0, true)
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

// layGhost ends what is supposed of those who did not register. When those were the former
// home, which is down, everybody has supposed it since that is silent, as Pool.Silent: it is
// given back.
func (h *Home) layGhost(p *decide.Params, r *Rule, silent, now limit.Instant) {
	if silent > 0 && silent < h.born && !h.handed && !h.absence.on {
		_, chance := h.taking(p, r, now)
		h.charge(p, -h.ghost.rateAt(chance)*since(silent, now), now)
	}
	h.setGhost(r, 0, 0, now)
	h.ghost, h.absence.on = Line{}, false
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
