package share

import "github.com/sluice-dev/sluice/enforcer/limit"

// Line is what a node published of its consumption: a count, and how it goes on.
// Everybody extrapolates it in the same way: a node that follows admits what it is
// asked for with the chance that is common to all, which everybody computes from what
// is left. Were its rate extrapolated instead, whatever all make good together would
// be unknown to each, until all of them have said it.
type Line struct {
	Taken        int64   // tokens
	Rate, Demand float64 // tokens per second admitted, and asked for
	At           limit.Instant

	follows bool
	law     float64 // at At, in seconds that count with the common chance in them
}

const (
	// mostOfAll is the part of all demand above which a node is nearly alone: it goes on
	// at its rate.
	mostOfAll = 0.6

	// steps is how many steps a stretch of time is integrated in at most.
	steps = 64
)

// follow notes how a line goes on, when all are asked for so much together.
func (l *Line) follow(r *Rule, all, law float64) {
	l.law = law
	l.follows = !r.slow && l.Demand > 0 && l.Demand <= mostOfAll*all
}

// active says that the line goes on.
func (l *Line) active() bool { return l.Rate > 0 || l.Demand > 0 }

// at returns the count at now.
func (l *Line) at(now limit.Instant, law float64) float64 {
	if l.follows {
		return float64(l.Taken) + l.Demand*(law-l.law)
	}
	return float64(l.Taken) + l.Rate*since(l.At, min(now, l.At.Add(Hold)))
}

// rateAt returns the tokens per second at which the line goes on.
func (l *Line) rateAt(chance float64) float64 {
	if l.follows {
		return l.Demand * chance
	}
	return l.Rate
}

// weight returns what who is told s takes others to take while nothing is refused,
// when that is told at a common chance.
func (r *Rule) weight(s *State, chance float64) float64 {
	switch {
	case r.slow || s.Demand == 0:
		return s.Rate
	case chance > .02:
		return s.Rate / chance
	}
	return s.Demand // the rate says too little
}

// freely returns what all would take if nothing were refused, as one believes who
// takes them to take rate, to be asked for demand, and to have left level. In the books
// of the one that hears it, another level may be left.
func (r *Rule) freely(rate, demand, level float64) float64 {
	return rate / max(.02, r.common(level+r.slack, demand))
}

// thins says whether nodes may follow, when all are asked for so much together.
func (r *Rule) thins(all float64) bool { return !r.slow && !r.Alone() && all > 0 }

// common returns the chance with which those admit who follow.
func (r *Rule) common(left, all float64) float64 {
	if !r.thins(all) {
		return 1
	}
	return r.chance(left, all, 1)
}

// granted returns the integral of the common chance over d seconds, at whose beginning
// left tokens are left: of all tokens per second that are asked for, following ones are
// admitted with it, and rate are taken in any case. Before there is a whole token nobody
// admits anything: were it supposed that the others do, all would wait for what none takes.
func (r *Rule) granted(left, all, following, rate, d float64) float64 {
	if !r.thins(all) {
		return d
	}
	if r.flow && left < 1 {
		comes := r.rate - rate
		if left+comes*d < 1 {
			return 0
		}
		left, d = 1, d-(1-left)/comes
	}
	n := min(1+int(d/(r.calm/4)), steps)
	step, sum := d/float64(n), 0.0
	for range n {
		chance := r.chance(left, all, 1)
		sum += chance * step
		left -= (chance*following + rate) * step
		if r.flow {
			left = min(left+r.rate*step, r.full)
		}
	}
	return sum
}
