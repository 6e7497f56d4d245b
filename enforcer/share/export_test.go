package share

import (
	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

// SlowWait is how long an entry waits that changes what few decide.
const SlowWait = slowWait

// Tolerance is how wrong a view may become.
const Tolerance, WindowTolerance = tolerance, windowTolerance

// Level is what a node believes is left, of a settled state, in fractions.
func (l *Local) Level(p *decide.Params, s decide.State, now limit.Instant) float64 {
	return p.Level(s, now) - l.rest
}

// Chance is the chance at which a node admits one token, of a settled state.
func (l *Local) Chance(p *decide.Params, r *Rule, s decide.State, now limit.Instant) float64 {
	return l.chanceAt(r, l.level(p, r, s, now), now)
}

// Asked is how many tokens a second a node is asked for, as it believes.
func (l *Local) Asked(now limit.Instant) float64 { return l.asked.rate(now) }

// Taken is how many tokens a node counts as its own, and Said what it published.
func (l *Local) Taken() int64 { return l.taken }

// Said is what a node published last.
func (l *Local) Said() Line { return l.said }

// Level is what the home knows to be left.
func (h *Home) Level(p *decide.Params, r *Rule, now limit.Instant) float64 {
	h.settle(p, r, now)
	return h.level(p, now)
}

// Consumed is what the lines say was taken since the home was made.
func (h *Home) Consumed(p *decide.Params, r *Rule, now limit.Instant) float64 {
	h.settle(p, r, now)
	return h.consumed
}

// Sums are the rate of all lines while nothing is refused, and their demand, as the
// home keeps them and as they are added up.
func (h *Home) Sums() (rate, demand, rateOfLines, demandOfLines float64) {
	rateOfLines, demandOfLines = h.ghost.rateAt(1), h.ghost.Demand
	for i := range h.lines {
		rateOfLines += h.lines[i].rateAt(1)
		demandOfLines += h.lines[i].Demand
	}
	return h.rate + h.weight, h.demand, rateOfLines, demandOfLines
}

// Taking is how many tokens per second all take.
func (h *Home) Taking(p *decide.Params, r *Rule, now limit.Instant) float64 {
	rate, _ := h.taking(p, r, now)
	return rate
}

// Aim is the level that is kept while all are asked for so many tokens per second.
func (r *Rule) Aim(all float64) float64 { return r.aim(all) }

// Lines is how many nodes the home has a line of.
func (h *Home) Lines() int { return len(h.lines) }

// Debt is how deep a debt the rule remembers.
func (r *Rule) Debt() float64 { return r.debt }

// Depth is how many tokens at once a node may take without a word, and Leaks how
// many a second.
func (r *Rule) Depth() float64 { return r.depth }

// Leaks is how many tokens a second a node may take without a word.
func (r *Rule) Leaks() float64 { return r.leak }

// Margin is by how much a line may be wrong.
func (r *Rule) Margin(left, nodes float64) float64 { return r.margin(left, nodes) }

// Full is the burst with what the rule lends to a small one.
func (r *Rule) Full() float64 { return r.full }
