package share

import (
	"math"

	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

// Report is what a node tells the home of a counter. It replaces what the node
// told before: it may be repeated, and a lost one is mended by the next.
type Report struct {
	Taken        int64
	Rate, Demand float64

	// Level is the node's view of what is left. By it the home knows how wrong the
	// node is.
	Level float64

	// Age is how long ago the first token was taken that is new in Taken.
	Age limit.Span

	// Era tells apart the lives of a counter on one node: in each Taken begins
	// anew. Fresh says that all of Taken was taken within the last second, or that
	// this is the first report of it.
	Era   uint16
	Fresh bool

	// Register says that the node has just taken the receiver for the home.
	// OthersRate and OthersDemand are then what it believes the others do.
	Register bool
	// Untold is how many tokens the home before has not been told of.
	OthersRate, OthersDemand float64
	Untold                   int64

	// HandOver says that the report is a former home's, of the counter and not of
	// what the node itself took. Taken is then what others have reported to it since
	// it did so first, and Era tells when a sliding window was used, see past.
	HandOver bool
}

// Due says whether what l published has become so wrong that its home should
// know. State is settled.
func (l *Local) Due(p *decide.Params, r *Rule, s decide.State, now limit.Instant) bool {
	if r.Alone() {
		return false
	}
	l.leakUnsaid(r, now)
	cold, silent := now >= l.warmUntil, l.silent(now)
	due := l.must || silent && l.unsaid >= r.depth
	if silent && !due {
		return false
	}
	level := l.level(p, r, s, now)
	near := l.near(r, level, now)
	soon := near || l.soon(r, level, now)
	if due {
		warm := farWarmTime
		if soon || r.keep > 0 {
			warm = warmTime
		}
		l.warmUntil = max(l.warmUntil, now.Add(warm))
		return true
	}
	admits := l.admitRate(now)
	if cold && admits < littleLeft*r.leak && !near {
		l.quiet = true
		return true
	}
	if l.off(r, level, soon, now) {
		return true
	}
	return soon && l.demandMoved(r, near, now) || l.beat(r, near, admits, now)
}

// The times for which a counter on which nothing is decided is left alone.
const (
	longestRest  = 500 * limit.Millisecond
	shortestRest = 50 * limit.Millisecond
)

// pause returns for how long time alone makes nothing wrong that was said.
func (l *Local) pause(p *decide.Params, r *Rule, s decide.State, now limit.Instant) limit.Span {
	level, rest := l.level(p, r, s, now), longestRest
	near := l.near(r, level, now)
	switch {
	case l.must:
		return 0
	case l.said.Rate == 0 && l.said.Demand == 0: // it may be forgotten then
		return max(longestRest, l.warmUntil.Sub(now))
	case near && l.said.Demand > 0: // it goes idle when it is not asked for a few more
		rest = spanOf(4 / l.said.Demand)
	case near:
		rest = shortestRest
	}
	if rate := l.said.rateAt(l.chanceAt(r, level, now)); rate > 0 { // as if no request came any more
		margin := 1.0
		if !near && !l.soon(r, level, now) {
			margin = r.farMargin(level, l.nodes(r))
			if admits := l.admitRate(now); r.leak > 0 && admits > 0 { // when it is taken back
				little := admitTime * math.Log(admits/(littleLeft*r.leak))
				rest = min(rest, max(spanOf(max(0, little)), l.warmUntil.Sub(now)))
			}
		}
		ahead := float64(l.taken) - l.said.at(now, l.law) + margin
		return min(rest, spanOf(max(0, ahead)/rate))
	}
	return min(max(rest, shortestRest), longestRest)
}

// spanOf returns seconds as a span of at most longestRest.
func spanOf(seconds float64) limit.Span {
	return limit.Span(min(seconds*float64(limit.Second), float64(longestRest)))
}

// littleLeft is the part of what a node may take without a word below which it
// returns to silence.
const littleLeft = 0.8

// pressingPart of what is left, taken at once, is worth a word at once.
const pressingPart = 0.15

// near says whether the counter is close enough to its limit for everybody's
// demand to matter.
func (l *Local) near(r *Rule, level float64, now limit.Instant) bool {
	return level < r.full/2 || l.chanceAt(r, level, now) < 1
}

// soon says whether the counter may come near its limit within a second, at the
// pace at which all are asked for it, or would be if they were as this node is;
// or so the home says.
// What is asked for farther from it is told to nobody, and what was said of that
// lapses by itself.
func (l *Local) soon(r *Rule, level float64, now limit.Instant) bool {
	asked := 0.0
	if !l.asked.few() { // two that come together are no pace
		asked = l.asked.rate(now)
	}
	return now < l.exactUntil || max(asked+l.demand, asked*l.nodes(r)) > level
}

// pressing says whether what is to be said may change what others decide.
func (l *Local) pressing(p *decide.Params, r *Rule, s decide.State, now limit.Instant) bool {
	level := l.level(p, r, s, now)
	return r.keep > 0 || l.near(r, level, now) || l.soon(r, level, now) ||
		math.Abs(float64(l.taken)-l.said.at(now, l.law)) > pressingPart*level
}

// off says whether the published count is wrong by more than the margin: too low,
// or so high that others go without for nothing.
func (l *Local) off(r *Rule, level float64, soon bool, now limit.Instant) bool {
	expected := l.said.at(now, l.law)
	if !soon {
		return math.Abs(float64(l.taken)-expected) >= r.farMargin(level, l.nodes(r))
	}
	ahead, margin := float64(l.taken)-expected, r.margin(level, l.nodes(r))
	if ahead >= margin || -ahead >= margin+l.waits(r) {
		return true
	}
	extrapolated := expected - float64(l.said.Taken)
	return l.said.Rate > 0 && expected-float64(l.taken) > 1+3*math.Sqrt(extrapolated)
}

// waits returns the part of a token that a node which follows may lag beside the margin: what
// is granted early is to make good for the next request being late, and a node that is not
// asked yet would take back what it grants a moment later.
func (l *Local) waits(r *Rule) float64 {
	if !l.said.follows {
		return 0
	}
	return r.early
}

// demandMoved says whether the published demand is wrong, where it matters.
func (l *Local) demandMoved(r *Rule, near bool, now limit.Instant) bool {
	asked, said := l.asked.rate(now), l.said.Demand
	matters := l.matters(asked)
	switch {
	case said > 0 && (asked < .02 || !matters && asked < .3*said): // went idle
		return true
	case said == 0 && matters && now < l.warmUntil:
		return true
	case !near:
		return false
	}
	off := math.Abs(asked - said)
	return off > .15*(asked+l.demand)/math.Sqrt(l.nodes(r)) && off*settleTime > .02 &&
		off > 2*math.Sqrt(said/max(1, 8/max(said, .3)))
}

// beat says whether it is time to repeat what was said.
func (l *Local) beat(r *Rule, near bool, admits float64, now limit.Instant) bool {
	if l.said.At == 0 || l.said.Demand == 0 && l.said.Rate == 0 {
		return false
	}
	silent := (r.nodes - l.nodes(r)) * r.leak
	return (near || l.rate+admits+silent > r.rate) && now.Sub(l.said.At) >= r.pulse
}

// matters says whether a demand here changes anybody's chance.
func (l *Local) matters(asked float64) bool {
	return asked > .02 && (asked+l.demand)*settleTime > .05 || asked*settleTime > .02
}

// nodes is how many nodes touch the counter: all, until the home has said it.
func (l *Local) nodes(r *Rule) float64 {
	if !l.known {
		return r.nodes
	}
	return float64(1 + l.others)
}

func (l *Local) admitRate(now limit.Instant) float64 {
	return l.admits * decay(since(l.admitAt, now), admitTime)
}

// Owes says that the node took a token that is not published.
func (l *Local) Owes(now limit.Instant) bool {
	return math.Abs(float64(l.taken)-l.said.at(now, l.law)) >= .5
}

// Report makes the report that is due, and notes that it was made. State is
// settled.
func (l *Local) Report(p *decide.Params, r *Rule, s decide.State, now limit.Instant) Report {
	level := l.level(p, r, s, now)
	rep := Report{Taken: l.taken, Level: level - r.slack, Era: l.Era, Fresh: l.Fresh(now)}
	if !l.quiet {
		rep.Rate = Round(l.rateToSay(r, level, now))
		if asked := l.demandToSay(r, now); l.matters(asked) && (l.near(r, level, now) || l.soon(r, level, now)) {
			rep.Demand = Round(asked)
		}
	}
	if l.taken != l.said.Taken {
		rep.Age = max(0, now.Sub(l.firstTaken))
	}
	if l.moved {
		rep.Untold = max(0, l.owed+l.taken-l.takenThen)
		rep.Register, rep.OthersRate, rep.OthersDemand = true, Round(l.rate), Round(l.demand)
	}
	l.publish(r, level, &rep, now)
	return rep
}

// Register makes a report for a home that may not know of the counter. Until that
// home has answered all reports are such ones: this one may be lost.
func (l *Local) Register(p *decide.Params, r *Rule, s decide.State, now limit.Instant) Report {
	if !l.moved {
		l.moved, l.takenThen = true, l.taken
		l.owed = max(0, int64(math.Round(float64(l.taken)-l.said.at(now, l.law))))
	}
	return l.Report(p, r, s, now)
}

// demandToSay returns the demand that others should suppose: a change that may be
// chance is told little by little.
func (l *Local) demandToSay(r *Rule, now limit.Instant) float64 {
	asked, said := l.asked.rate(now), l.pace(r, now)
	return said + (asked-said)/4
}

// rateToSay returns the rate that others should extrapolate where this node does not
// follow: what is asked for while all of it is admitted; then its part of what comes in,
// or what it admitted lately if that was different. What it admits more or less to come
// to the level that is aimed at is over soon; were it said, all would do the opposite
// later.
func (l *Local) rateToSay(r *Rule, level float64, now limit.Instant) float64 {
	asked, chance := l.pace(r, now), l.chanceAt(r, level, now)
	sure := l.asked.sure() && !r.slow && level >= 1
	rate := l.admitRate(now)
	pause := seconds(now.Sub(l.admitAt) - grace)
	part := r.rate * asked / max(asked+l.demand, 1e-6)
	switch few := rate*admitTime < 5 || rate*pause > 4; {
	case sure && (few || chance >= 1):
		return asked * chance
	case few:
		return 0
	case r.flow && math.Abs(rate-part) < part/4:
		return part
	}
	return rate
}

func (l *Local) publish(r *Rule, level float64, rep *Report, now limit.Instant) {
	l.said = Line{Taken: rep.Taken, Rate: rep.Rate, Demand: rep.Demand, At: now}
	l.said.follow(r, rep.Demand+l.demand, l.law)
	l.unsaid, l.leakAt, l.must = 0, now, false
	if !l.quiet && l.near(r, level, now) {
		l.warmUntil = max(l.warmUntil, now.Add(warmTime))
	}
	l.quiet = false
}

// Again says that the last report may have been lost.
func (l *Local) Again() { l.must = true }

// Round returns the nearest rate that fits the wire: 24 bits of a float32, or
// 1 part in 65,000.
func Round(rate float64) float64 {
	bits := math.Float32bits(float32(max(0, rate)))
	return float64(math.Float32frombits((bits + 0x80) &^ 0xff))
}
