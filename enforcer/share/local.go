package share

import (
	"math"

	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

// Local is what one node believes of a counter that it shares, beside the
// counter's State, which holds what all nodes took as far as this one knows. A
// counter that is far from its limit has none. Its zero value is that of a
// counter of which nothing is known. It is not safe for concurrent use.
//
// Invariants: 0 <= rest < 1 after Settle; taken only grows but for tokens given
// back or leaked; said.Taken <= taken when nothing was given back since.
type Local struct {
	// What the home said last: tokens per second that the others take and are
	// asked for, how many of them there are, and when it said so.
	rate, demand float64
	weight       float64 // tokens per second that they take while nothing is refused
	law          float64 // time that has passed, as Line.law
	lawThen      float64 // the same, at the last request
	others       int32
	known        bool
	heard        limit.Instant

	rest float64       // tokens that others took and that State has not been debited yet
	at   limit.Instant // until when they are counted

	own     decide.State // of a counter that only this node takes from: it never exceeds the limit alone
	asked   demand
	admits  float64 // tokens per second admitted, over admitTime, as of admitAt
	admitAt limit.Instant
	chance  float64 // of the last request; 1 where nothing was thinned
	earned  float64 // by the last request, for credit
	credit  float64 // tokens that may be admitted while requests are thinned; a request needs 1

	taken      int64 // tokens admitted here, in all
	said       Line  // what was published
	unsaid     float64
	leakAt     limit.Instant
	firstTaken limit.Instant // the earliest token that is not published
	warmUntil  limit.Instant
	exactUntil limit.Instant // the home asks to be told exactly
	quiet      bool          // the next report hands the counter back to silence
	must       bool          // the next report is due

	// Since the counter has another home, until that one has answered: what the
	// former one had not been told of then, and what had been taken.
	moved           bool
	owed, takenThen int64

	started limit.Instant

	// Of the protocol.
	Home HomeRef
	Era  uint16 // tells this Local from earlier ones of the same counter
	Seq  uint32 // orders what its home says
	Heir bool   // this node has the home's copy: it is kept
}

// HomeRef says where a counter's home is, as of a view of the pool.
type HomeRef struct {
	Node int32
	View uint32 // 0: not looked up yet
}

const (
	admitTime = 0.3 // seconds

	// creditDepth is how many tokens of credit are kept where nearly all requests are
	// refused. Where nearly all are admitted it takes more to make up for a pause.
	creditDepth = 2
)

// Start makes l the Local of a counter of which this node took tokens without a
// word before; untold is what is left of them after the leak.
func (l *Local) Start(r *Rule, now limit.Instant, s decide.State, taken int64, untold float64, era uint16) {
	own := s
	if taken == 0 { // then it is others that took what is gone, or it was told
		own = decide.State{}
	}
	taken, since := r.lately(taken, untold)
	*l = Local{
		at: now, own: own, chance: 1, taken: taken, unsaid: untold,
		admitAt: now, leakAt: now, firstTaken: now.Add(-since), started: now, must: untold >= r.depth, Era: era,
	}
}

// First notes the request that gave rise to l, which is counted already.
func (l *Local) First(now limit.Instant, cost limit.Amount) {
	if cost > 0 {
		l.asked.observe(now, float64(cost))
		l.admits = float64(cost) / admitTime
	}
}

// Fresh says that all that l counts was taken lately, or has not been told to
// anybody.
func (l *Local) Fresh(now limit.Instant) bool {
	return l.said.At == 0 || now.Sub(l.started) < limit.Second
}

// Settle debits what the others have taken since the last time, as far as it is
// known, and returns the state.
func (l *Local) Settle(p *decide.Params, r *Rule, s decide.State, now limit.Instant) decide.State {
	if now <= l.at {
		return s
	}
	was := l.at
	if d := seconds(min(now, l.heard.Add(Hold)).Sub(was)); d > 0 {
		passed := d
		if l.demand > 0 {
			passed = r.granted(l.level(p, r, s, was), l.pace(r, now)+l.demand, l.weight, 0, d)
		}
		l.rest += l.weight * passed
		l.law += passed
	}
	l.at = now
	// As of the last time: what came in meanwhile and was taken at once was never
	// lost for want of room.
	s = debit(p, s, was, &l.rest)
	l.rest = spill(p, s, was, now, l.rest)
	return s
}

// spill returns what is left of a part of a token after what came in from was to
// now and had no room: it pays for parts like for whole ones.
func spill(p *decide.Params, s decide.State, was, now limit.Instant, rest float64) float64 {
	switch {
	case rest <= 0 || p.IdleAt(s) > now:
		return rest
	case p.Algorithm() != decide.Bucket: // the window that it was of is over
		return 0
	}
	came := float64(p.Requests()) / seconds(p.Per()) * since(was, now)
	return max(0, rest-max(0, came-(float64(p.Burst())-p.Level(s, was))))
}

// debit takes the whole tokens of rest from s, or gives them back.
func debit(p *decide.Params, s decide.State, now limit.Instant, rest *float64) decide.State {
	n := math.Floor(*rest)
	if n == 0 {
		return s
	}
	*rest -= n
	return p.Move(s, now, limit.Amount(n))
}

// level returns the tokens that are left, of a settled state.
func (l *Local) level(p *decide.Params, r *Rule, s decide.State, now limit.Instant) float64 {
	return r.level(p, s, now) - l.rest
}

// chanceAt returns with what chance to admit a request when level tokens are
// left: 1 where nobody else is asked.
func (l *Local) chanceAt(r *Rule, level float64, now limit.Instant) float64 {
	chance, _ := l.thin(r, level, 1, now)
	return chance
}

// thin returns the same, and the credit that a request for need tokens earns. While
// requests come at a steady pace it is earned as time passes: they come at random, and
// yet the node takes what others suppose. What a node that is nearly alone may take
// beyond the common chance is earned by request, and so is all of it at another pace.
func (l *Local) thin(r *Rule, level, need float64, now limit.Instant) (chance, earned float64) {
	if l.demand <= 0 || now.Sub(l.heard) > Hold {
		return 1, 0
	}
	asked := l.pace(r, now)
	all := asked + l.demand
	chance = r.chance(level, all, l.demand/all)
	if !r.flow || !l.asked.steady() {
		return chance, chance * need
	}
	common, passed := r.chance(level, all, 1), l.law-l.lawThen
	if r.slow {
		common = min(chance, r.rate/all)
		passed = common * since(l.asked.last, now)
	}
	return chance, asked*passed + (chance-common)*need
}

// pace returns the demand that was said, while it still is what this node is asked for.
func (l *Local) pace(r *Rule, now limit.Instant) float64 {
	asked, said := l.asked.rate(now), l.said.Demand
	if !r.slow && l.asked.steady() && math.Abs(asked-said) < max(.1*said, 2*math.Sqrt(2*said)) && asked > said/2 {
		return said
	}
	return asked
}

// Admits says whether cost tokens may be taken from a settled state. A cost of 0
// is admitted when one of 1 would be, a negative one always.
func (l *Local) Admits(p *decide.Params, r *Rule, s decide.State, now limit.Instant, cost limit.Amount) bool {
	l.chance = 1
	if cost < 0 {
		return true
	}
	if _, ok := p.Take(l.own, now, cost); !ok {
		return false
	}
	need := float64(max(1, cost))
	level := l.level(p, r, s, now)
	if level < need {
		return false
	}
	if !l.known && !r.Flash(p, l.own, now, cost) {
		l.must = true // it is the home's to say
		return false
	}
	l.chance, l.earned = l.thin(r, level, need, now)
	return l.chance >= 1 || l.credit+l.earned+r.early >= 1
}

// Count notes the outcome of a request for which Admits was asked last.
func (l *Local) Count(p *decide.Params, r *Rule, now limit.Instant, cost limit.Amount, admitted bool) {
	if cost == 0 {
		return
	}
	if cost > 0 {
		l.lawThen = l.law
		if l.chance < 1 {
			l.credit += l.earned
			if admitted {
				l.credit -= float64(cost)
			}
			l.credit = min(l.credit, creditDepth/(1-l.chance))
		}
		if cost <= p.Burst() { // what can never be admitted is no demand
			l.asked.observe(now, float64(cost))
		}
	}
	if !admitted {
		return
	}
	l.own = p.Move(l.own, now, cost)
	l.leakUnsaid(r, now)
	if l.taken == l.said.Taken {
		l.firstTaken = now
	}
	l.taken += int64(cost)
	l.unsaid += float64(cost)
	if cost > 0 {
		l.admits = l.admits*decay(since(l.admitAt, now), admitTime) + float64(cost)/admitTime
		l.admitAt = now
	}
}

// leakUnsaid forgets of the tokens that are not published what a node may take
// without a word.
func (l *Local) leakUnsaid(r *Rule, now limit.Instant) {
	if l.unsaid > 0 {
		l.unsaid = max(0, l.unsaid-r.leak*since(l.leakAt, now))
	}
	l.leakAt = now
	if r.leak > 0 && l.silent(now) && l.taken > l.said.Taken {
		taken, since := r.lately(l.taken-l.said.Taken, l.unsaid)
		l.taken, l.firstTaken = l.said.Taken+taken, max(l.firstTaken, now.Add(-since))
	}
}

// Rescale carries l over to other parameters.
func (l *Local) Rescale(now limit.Instant, from, to *decide.Params) {
	l.own = decide.Rescale(l.own, now, from, to)
}

// Hear takes over what the home says of a settled state, and returns the state.
// What this node took and the home does not know yet stays taken.
func (l *Local) Hear(p *decide.Params, r *Rule, s decide.State, now limit.Instant, told *State) decide.State {
	l.leakUnsaid(r, now)
	l.Heir = l.Heir || told.Heir
	l.moved = l.moved && !told.Line
	l.heed(r, told, now)
	l.heard, l.known = now, true
	if told.Exact {
		l.must = l.must || l.silent(now) && l.Owes(now)
		l.exactUntil = now.Add(warmTime)
		l.warmUntil = max(l.warmUntil, l.exactUntil)
	}
	unknown := float64(l.taken - told.Seen)
	if !told.Line {
		unknown = max(0, float64(l.taken)-l.said.at(now, l.law))
	}
	want := max(told.Level-unknown, -r.debt)
	// rest is how much too high the state is.
	l.rest = p.Level(s, now) - min(want, r.burst)
	return debit(p, s, now, &l.rest)
}

// heed takes over how the others go on, and how the home expects this node to.
func (l *Local) heed(r *Rule, told *State, now limit.Instant) {
	chance := 1.0
	if told.Demand > 0 {
		chance = r.common(told.Level+r.slack, told.Demand+l.said.Demand)
	}
	l.rate, l.demand, l.others, l.weight = told.Rate, told.Demand, told.Others, r.weight(told, chance)
	if told.Line && l.said.follows && since(l.said.At, now) > 4*r.hop { // else it may not have heard yet
		seen := float64(told.Seen) + .5 - float64(l.said.Taken)
		l.said.law = l.law - seen/l.said.Demand - r.hop*chance
	}
}

// silent says that others expect nothing of this node, and that it owes them no
// word below its allowance.
func (l *Local) silent(now limit.Instant) bool {
	return now >= l.warmUntil && (l.said.Rate == 0 && l.said.Demand == 0 || now.Sub(l.said.At) > Hold)
}

// Idle says that nothing is lost when l is forgotten: others expect nothing of
// this node, and it expects nothing of them.
func (l *Local) Idle(now limit.Instant) bool {
	quietOthers := l.rate == 0 && l.demand == 0 || now.Sub(l.heard) > Hold
	return l.silent(now) && !l.must && !l.Heir && quietOthers
}

// Rest returns the part of a token, below 1, that others took and a settled state
// has not been debited: it has to be when l is forgotten.
func (l *Local) Rest() float64 { return max(0, l.rest) }

// Untold returns the tokens that nobody was told of, in all and less what leaked:
// they go on being counted when l is forgotten.
func (l *Local) Untold() (taken int64, untold float64) {
	return max(0, l.taken-l.said.Taken), l.unsaid
}
