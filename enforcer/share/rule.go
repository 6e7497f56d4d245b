// Package share is how several enforcers keep one counter together, as
// arithmetic on one counter: what a node believes of it (Local) and what its
// home knows (Home). A node never waits for another one: it decides by its own
// view of the one global counter and extrapolates what the others take. It
// speaks only when what it said last has become wrong.
//
// Near the limit every node admits with one common chance, made of what is left
// and what all of them are asked for; so it does not matter how a balancer
// spreads the requests. What was admitted too much leaves the counter in debt
// and is paid back before anything more is admitted, so the long run is exact.
//
// Counts of tokens are integers and exact; rates and levels are estimates, and
// floating point. Everything is a function of its arguments: there is no clock
// and no randomness here.
package share

import (
	"math"

	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

const (
	// Hold is how long a node goes on extrapolating what it was told last. Then
	// it supposes that the others take nothing any more.
	Hold = 10 * limit.Second

	// CalmWait is how long an entry that changes nobody's decisions waits for others: a
	// frame costs more than dozens of entries. One that does waits for slowWait when
	// less than a tenth of a token is asked for meanwhile.
	CalmWait = 15 * limit.Millisecond
	slowWait = 4 * limit.Millisecond

	// settleTime is in how many seconds a deviation from the wanted level is made
	// good by admitting more or less than comes in.
	settleTime = 0.1

	// tolerance is how wrong the view of a node may become, as a part of what is
	// left or comes in during settleTime, whichever is more: small beside the
	// reserve, which has room for it. The lines of many nodes are wrong
	// independently of each other, so that their errors add up like their root;
	// that is what each is allowed. In a window nothing is made good later.
	tolerance, windowTolerance = 0.07, 0.02

	// coarse is the same for nodes that do not take from the counter, and for
	// counters that will not be near their limit soon.
	coarse = 0.18

	// lag is how many tokens a node has taken less than it should have, if it admits
	// all: it can grant what it has earned when it is asked only.
	lag = 0.3

	// roundLag is the part that a node lags of what it rounds down, because it grants less
	// than half a token early.
	roundLag = 0.4

	// silentPart of a limit's rate may be taken by all nodes together without a
	// word, and silentDepth of its burst at once.
	silentPart, silentDepth = 0.4, 0.1

	// largeBurst is how many tokens of a bucket's burst there are for each node where
	// each may take up to silentTokens without a word, but not more together than
	// silentMost of the burst, whatever silentDepth says: most clients are far from
	// their limit all the time, and ask twice in a row now and then.
	largeBurst, silentTokens, silentMost = 5, 2.5, 0.375

	// smallest burst that counts can be shared with, in tokens that come in during
	// one Delay; a smaller one is exceeded up to it, and paid back.
	smallestBurst = 6

	// longestPenance is for how many seconds at most a client pays back what each
	// node granted before it had heard of the others.
	longestPenance = 30

	// warmTime is how long a node goes on telling exactly after there was a
	// reason to, and farWarmTime the same where the limit is far.
	warmTime    = 3 * limit.Second
	farWarmTime = 500 * limit.Millisecond

	// heartbeat is the longest time between two reports of a node on a counter
	// near its limit; for slow limits it is up to five times as long.
	heartbeat = limit.Second
)

// Rule is what sharing needs to know of a limit in a pool: numbers that follow
// from its Params, the size of the pool and the time that word takes. It is an
// immutable value; make one with NewRule. The zero Rule is that of a node that is
// alone: nothing is shared.
type Rule struct {
	nodes  float64 // of the pool, at least 2; 0: alone
	rate   float64 // tokens per second that come in, averaged over the limit's time
	burst  float64
	flow   bool // what is taken comes back evenly, and not at the edge of a window
	refill bool // tokens come in whether or not any were taken, and are lost when there is no room

	slack   float64 // tokens by which the level may lie below zero
	full    float64 // burst + slack
	reserve float64 // level that is aimed at when all demand is elsewhere
	settle  float64 // seconds in which a deviation from that level is made good
	calm    float64 // seconds, the same for what lies well above it
	debt    float64 // deepest debt; what is beyond is forgiven
	leak    float64 // tokens per second that a node takes without a word
	depth   float64 // tokens at once, likewise
	slow    bool    // less than one token comes in during settleTime
	pulse   limit.Span
	keep    float64 // tokens that a node leaves of a counter it has not heard of
	early   float64 // part of a token that a node grants before it has earned it
	hop     float64 // seconds from one node to another
}

// NewRule returns the Rule of a limit in a pool of nodes. Delay is how long it
// takes until what one node did is known to the others. A cautious rule lets a node
// grant to a client of whom it has not heard no more than its share of the burst,
// and at least one token, until the home has answered.
func NewRule(p *decide.Params, nodes int, delay limit.Span, cautious bool) Rule {
	if nodes < 2 {
		return Rule{}
	}
	r := Rule{
		nodes: float64(nodes), burst: float64(p.Burst()),
		rate: float64(p.Requests()) / seconds(p.Per()),
		flow: p.Algorithm() == decide.Bucket || p.Algorithm() == decide.Sliding,
	}
	d := seconds(delay)
	if r.refill = p.Algorithm() == decide.Bucket; r.refill {
		r.slack = max(0, r.rate*smallestBurst*d-r.burst)
	}
	r.full = r.burst + r.slack
	r.calm = 1.5 * d // all extrapolate what all make good, so it may be near the dead time
	r.settle = max(settleTime, r.calm)
	if r.flow {
		r.reserve = min(r.full/4, r.rate*settleTime/8)
	}
	r.early = min(0.5, r.reserve/r.nodes) // rounds, but all together no more than the reserve
	r.hop = .75 * d
	r.debt = max(r.burst, r.rate, min((r.nodes-1)*r.burst, r.rate*longestPenance))
	if r.refill { // of a window nothing comes in again before it ends
		r.leak = silentPart * r.rate / r.nodes
	}
	if r.depth = max(0.5, silentDepth*r.burst/r.nodes); r.refill && r.burst >= largeBurst*r.nodes {
		r.depth = max(r.depth, min(silentTokens, silentMost*r.burst/r.nodes))
	}
	r.slow = r.rate*settleTime < 1
	r.pulse = min(max(heartbeat, limit.Span(0.5/r.rate*float64(limit.Second))), 5*heartbeat)
	if cautious {
		r.keep = r.burst - max(1, math.Floor(r.burst/r.nodes))
		r.depth = .5 // the home is asked at once
	}
	return r
}

// Leaving returns the Rule of a node that is going to stop: it has no later to tell
// what it took, so it takes nothing without a word.
func (r Rule) Leaving() Rule {
	r.depth = .5
	return r
}

// Alone says that nothing is shared.
func (r *Rule) Alone() bool { return r.nodes == 0 }

// chance returns with what chance to admit a request when left tokens are left
// and all nodes together are asked for all tokens per second, of which part is
// asked for elsewhere, above 0: what comes in, and what lies above the level that
// is aimed at spread over some time, as a part of what is asked for. All nodes
// come to the same result, but for one that is nearly alone: it may use all.
func (r *Rule) chance(left, all, part float64) float64 {
	part = min(1, 2*part) // the same for all, but for one that is asked for most of it
	above := left - part*r.aim(all)
	v := above / (r.settle * part)
	if r.flow {
		v += r.rate
	}
	if much := r.rate * settleTime / 4; above > much {
		v += (above - much) / (r.calm * part)
	}
	return min(max(v/all, 0), 1)
}

// aim is the level that is kept while all nodes are asked for so many tokens per second,
// most of them elsewhere: the reserve, less what nodes have earned and not granted yet.
func (r *Rule) aim(all float64) float64 {
	return r.reserve - min(r.nodes*(lag*r.rate/all+roundLag*(.5-r.early)), .75*r.reserve)
}

// Leak returns what is left of untold tokens some time later: what a node may take
// without a word leaks away.
func (r *Rule) Leak(untold float32, passed limit.Span) float32 {
	return max(0, untold-float32(r.leak*max(0, seconds(passed))))
}

// LeakTime returns when nothing is left of untold tokens.
func (r *Rule) LeakTime(untold float32) limit.Span {
	if r.leak == 0 {
		return 0
	}
	return limit.Span(min(float64(untold)/r.leak, 1e6) * float64(limit.Second))
}

// lately returns how many of the tokens that were taken without a word are told
// once there is a reason to, and since when they were taken. Untold is what is left
// of them after the leak. What leaked while the counter was full is not missing, but
// the node does not know until when that was: the home does, and refunds it.
func (r *Rule) lately(taken int64, untold float64) (told int64, since limit.Span) {
	if r.leak == 0 || untold == 0 {
		return min(taken, int64(math.Ceil(untold))), 0
	}
	leaked := min(float64(taken)-untold, r.leak*seconds(clipTime))
	return int64(math.Ceil(untold + max(0, leaked))), limit.Span(max(0, leaked) / r.leak * float64(limit.Second))
}

// MustTell says that more tokens are untold than may be.
func (r *Rule) MustTell(untold float32) bool { return float64(untold) >= r.depth }

// Flash says whether a node may grant cost to a client of whom the pool has not
// told it yet, when s is what it granted before.
func (r *Rule) Flash(p *decide.Params, s decide.State, now limit.Instant, cost limit.Amount) bool {
	return r.keep == 0 || p.Level(s, now)-r.keep >= float64(max(1, cost)) || cost < 0
}

// patience is how long an entry may wait: not at all where it may change what
// others decide, unless hardly anything is asked for meanwhile. Of a slow limit, of which
// one token too many is much, that has to be less still.
func (r *Rule) patience(presses bool, demand float64) limit.Span {
	switch {
	case !presses:
		return CalmWait
	case r.keep == 0 && hardlyAsked(demand) && (!r.slow || hardlyAsked(5*demand)):
		return slowWait
	}
	return 0
}

// hardlyAsked says that next to nothing is asked for in slowWait.
func hardlyAsked(demand float64) bool { return demand*seconds(slowWait) < .1 }

// margin is by how many tokens a line may be wrong when left of them are left
// and nodes share the counter.
func (r *Rule) margin(left, nodes float64) float64 {
	if r.slow { // every token counts, and there are few
		return 0.5
	}
	part, least := tolerance, 1.0
	if !r.flow {
		part, least = windowTolerance, .5
	}
	return max(least, part*max(left, r.rate*settleTime)/math.Sqrt(nodes))
}

// farMargin is the margin of a counter that will not be near its limit soon.
func (r *Rule) farMargin(left, nodes float64) float64 {
	return r.margin(left, nodes) * coarse / tolerance
}

// level returns how many tokens are left of a counter, in fractions, below zero
// in debt, and above the burst by what the rule lends to a small one.
func (r *Rule) level(p *decide.Params, s decide.State, now limit.Instant) float64 {
	return p.Level(s, now) + r.slack
}

func seconds(d limit.Span) float64 { return float64(d) / float64(limit.Second) }

// since returns the seconds from t to now, never negative.
func since(t, now limit.Instant) float64 { return max(0, seconds(now.Sub(t))) }

// decay returns what is left of 1 after d seconds of exponential decay.
func decay(d, tau float64) float64 { return math.Exp(-d / tau) }
