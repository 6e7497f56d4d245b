package share

import (
	"math"
	"slices"

	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

// State is what a home tells a node of a counter. It replaces what it told
// before.
type State struct {
	Level        float64 // tokens left, less those of the node beyond Seen
	Rate, Demand float64 // of all other nodes together, tokens per second
	Others       int32   // nodes that touched the counter lately, but for this one
	Exact        bool    // tell exactly: the counter is near its limit, or may soon be
	Heir         bool    // this is a copy to keep: the receiver is the next home

	// Line says that the home knows the node's own consumption, up to Seen tokens
	// of the node's Era. Without it the node is taken to have told all but what it
	// knows that it has not.
	Line bool
	Seen int64
	Era  uint16
}

// Home is what the rendezvous peer of a counter knows of it: the one global
// level, and a line for each node that takes from it. Make one with NewHome. It
// is not safe for concurrent use.
//
// Invariants: rate and demand are the sums over lines; consumed is the sum of
// all that lines say was taken since the Home was made.
type Home struct {
	state    decide.State
	rest     float64 // tokens taken that state has not been debited yet
	at       limit.Instant
	consumed float64

	rate, demand float64 // of lines that do not follow, and of all
	weight       float64 // demand of those that follow
	law          float64 // time that has passed, as Line.law
	lines        []line  // by node

	clips clips // tokens that came in and had no room

	// What everybody without a line, and the heir, were told last.
	silent, heir note
	unsure       []int32 // nodes that may not have heard what they were told

	born                   limit.Instant
	ready                  limit.Instant // until then nodes register, and nobody is told
	young                  bool          // until ready: registrations set the level
	handed                 bool          // the former home has, and knew better
	handing                handing
	untold                 float64 // by those who registered, to the former home
	othersRate, othersDmnd float64 // what those who registered believe in all, while nothing is refused
	ghost                  Line    // of nodes that did not register, or are absent
	absence                absence

	exact   bool
	presses bool
	crowded bool // those who take without a word may take too much together
	heard   limit.Instant
	over    float64 // tokens admitted that were not there
	overMax float64 // deepest debt since the counter was last out of debt
}

// line is one node's part of a counter.
type line struct {
	Line
	node    int32
	life    uint32
	seq     uint32
	era     uint16
	clipped float64 // clips.total when the line was heard last
	handed  float64 // tokens that were part of the level that was handed over
	told    note
	woken   limit.Instant
	ended   Line // what it went on by when it was taken to be down
	endedAt limit.Instant
	away    bool // it could not be reached, and has not spoken since
}

// note is what somebody was told, and when: how much his view was too high then,
// and by what it changes.
type note struct {
	known        bool
	at           limit.Instant // when he was told
	base         float64       // Home.law since when the rest counts
	off          float64       // his level less ours, at base
	consumed     float64       // Home.consumed at base
	taken        float64       // of his own line, at base
	rate, demand float64
	weight       float64 // what he takes others to take while nothing is refused
}

// error returns how much too high his view is now.
func (n *note) error(h *Home, own float64) float64 {
	return n.off + (h.consumed - n.consumed) - n.weight*(h.law-n.base) - (own - n.taken)
}

// NewHome returns the Home of a counter that nobody has taken from, as far as is
// known. When others may know more, nothing is told before ready.
func NewHome(r *Rule, now, ready limit.Instant) *Home {
	h := &Home{at: now, born: now, ready: ready, young: ready > now, heard: now}
	if !h.young && r.refill { // it has been full for long, as far as anybody knows
		h.clips.always(r.rate, now)
	}
	return h
}

// handOverTime is how long after it was made a Home may learn from the one before.
const handOverTime = limit.Second

// settle lets the lines go on until now.
func (h *Home) settle(p *decide.Params, r *Rule, now limit.Instant) {
	if now <= h.at {
		return
	}
	was, d := h.at, since(h.at, now)
	before := p.Level(h.state, was) - h.rest
	h.at = now
	passed := r.granted(before+r.slack, h.demand, h.weight, h.rate, d)
	taken, byGhost := h.rate*d+h.weight*passed, h.ghost.rateAt(passed/d)*d
	h.law += passed
	if h.handed {
		h.handing.guessed += byGhost
	}
	if h.absence.on {
		h.absence.taken += byGhost
	}
	h.rest += taken
	h.consumed += taken
	h.state = debit(p, h.state, was, &h.rest)
	h.rest = spill(p, h.state, was, now, h.rest)
	if r.refill {
		if lost := before + r.rate*d - taken - (p.Level(h.state, now) - h.rest); lost > 1e-6 {
			full := min(d, lost/max(r.rate-taken/d, 1e-6)) // for so long at the end
			h.clips.add(lost, r.rate, limit.Span(full*float64(limit.Second)), now)
		}
	}
}

// level returns the tokens that are left.
func (h *Home) level(p *decide.Params, now limit.Instant) float64 {
	return p.Level(h.state, now) - h.rest
}

func (h *Home) setLevel(p *decide.Params, r *Rule, level float64, now limit.Instant) {
	h.rest = p.Level(h.state, now) - min(max(level, -r.debt), r.burst)
	h.state = debit(p, h.state, now, &h.rest)
}

// find returns where the line of a node is or belongs.
func (h *Home) find(node int32) (int, bool) {
	return slices.BinarySearchFunc(h.lines, node, func(l line, n int32) int { return int(l.node - n) })
}

// Sender says who made a report: the node, its life, and the order of what it
// said in that life.
type Sender struct {
	Node int32
	Life uint32
	Seq  uint32
}

// Apply takes a report. It returns by how many tokens the level fell, and false
// for a report that was overtaken by a newer one.
func (h *Home) Apply(p *decide.Params, r *Rule, from Sender, rep *Report, now limit.Instant) (fell float64, ok bool) {
	h.settle(p, r, now)
	if rep.HandOver {
		h.heard = now
		before := h.level(p, now)
		if h.handed {
			h.passedOn(p, from, rep, now)
		} else if h.register(p, r, rep, 0, 0, now); h.handed {
			h.handing.giver, h.handing.taken = from, rep.Taken
		}
		return before - h.level(p, now), true
	}
	i, known := h.find(from.Node)
	if !known {
		h.lines = slices.Insert(h.lines, i, line{node: from.Node})
	}
	l := &h.lines[i]
	if known && l.life == from.Life && int32(from.Seq-l.seq) < 0 {
		return 0, false
	}
	if !known || rep.Rate > 0 || rep.Demand > 0 || rep.Taken != l.Taken { // else it is this node, which reports always
		h.heard = now
	}
	before := h.level(p, now)
	if known = known && l.life == from.Life && l.era == rep.Era; !known {
		h.setLine(p, r, l, Line{Taken: int64(l.at(now, h.law)), At: now}, 0, false) // a former life goes on no more
		h.handing.late += l.late(h.handing.since)
		l.Line, l.life, l.era, l.told, l.handed, l.away = Line{At: now}, from.Life, rep.Era, note{}, 0, false
		l.clipped = 0 // the report's age bounds what it is refunded
	}
	l.seq, l.ended = from.Seq, Line{}
	next := Line{Taken: rep.Taken, Rate: rep.Rate, Demand: rep.Demand, At: now}
	age := rep.Age
	if known && rep.Register { // that is since it told another home
		age = max(age, now.Sub(l.At))
	}
	switch {
	case known || rep.Fresh && !rep.Register:
		h.setLine(p, r, l, next, age, true)
	default: // it took those tokens before this node was the home, or has forgotten
		l.handed = float64(next.Taken)
		h.setLine(p, r, l, next, 0, false)
		h.register(p, r, rep, l.Rate, l.Demand, now)
	}
	l.clipped = h.clips.total
	h.rebase(l, rep.Level-h.level(p, now))
	return before - h.level(p, now), true
}

// rebase notes how wrong the view of a node is: it said so itself.
func (h *Home) rebase(l *line, off float64) {
	t := &l.told
	if !t.known {
		return
	}
	t.base, t.off, t.consumed, t.taken = h.law, off, h.consumed, float64(l.Taken)
}

// register makes use of what a node believes of a counter whose home this node
// has just become.
func (h *Home) register(p *decide.Params, r *Rule, rep *Report, rate, demand float64, now limit.Instant) {
	switch {
	case rep.HandOver && (h.handed || now.Sub(h.born) > handOverTime):
		return // of a network that was split: each side has its own books, and reports
	case rep.HandOver:
		h.takeOver(p, r, rep, now)
	case h.handed:
		h.rest += h.handing.known(float64(rep.Untold))
		h.state = debit(p, h.state, now, &h.rest)
	case rep.Level < h.level(p, now):
		h.setLevel(p, r, rep.Level, now)
	}
	h.untold += float64(rep.Untold)
	if !rep.Register {
		return
	}
	if h.young {
		all := rep.OthersDemand + rep.Demand
		h.othersRate = max(h.othersRate, r.freely(rep.OthersRate+rep.Rate, all, rep.Level))
		h.othersDmnd = max(h.othersDmnd, all)
		return
	}
	// A late one: it is part of what was missing.
	h.spoke(r, rate, demand)
}

// setLine replaces a line. What it says was taken more than expected is debited,
// but for tokens that came in since and had no room: those would not be missing
// now, had the word come at once.
func (h *Home) setLine(p *decide.Params, r *Rule, l *line, next Line, age limit.Span, charge bool) {
	if charge {
		d := float64(next.Taken) - l.at(next.At, h.law)
		if l.away {
			l.away, d = false, h.back(r, d, &next)
		}
		h.consumed += d
		if l.handed != 0 {
			h.handing.surprises += d
		}
		h.rest += d - h.refund(r, l, d, age, next.At)
		h.state = debit(p, h.state, next.At, &h.rest)
		if h.level(p, next.At) < -r.debt {
			h.setLevel(p, r, -r.debt, next.At)
		}
	}
	h.demand += next.Demand - l.Demand
	next.follow(r, h.demand, h.law)
	h.add(&l.Line, -1)
	h.add(&next, 1)
	h.tidy()
	l.Line = next
}

// add counts what a line takes, or takes it back.
func (h *Home) add(l *Line, times float64) {
	if l.follows {
		h.weight += times * l.Demand
	} else {
		h.rate += times * l.Rate
	}
}

// taking returns the tokens per second that all take now, and with what chance those
// that follow do.
func (h *Home) taking(p *decide.Params, r *Rule, now limit.Instant) (rate, chance float64) {
	chance = r.common(h.level(p, now)+r.slack, h.demand)
	return h.rate + h.weight*chance, chance
}

// refund returns how many of d tokens that were reported late are covered by
// tokens that had no room meanwhile.
func (h *Home) refund(r *Rule, l *line, d float64, age limit.Span, now limit.Instant) float64 {
	if d <= 0 || !r.refill {
		return 0
	}
	return h.clips.take(min(d, h.clips.total-l.clipped, r.rate*seconds(age+limit.Millisecond)), r.rate, age, now)
}

// measure notes how many tokens were admitted that were not there: those by which
// the debt is deeper than it was since there was none.
func (h *Home) measure(p *decide.Params, r *Rule, now limit.Instant) {
	// What a line may be wrong by is no debt yet.
	debt := -(h.level(p, now) + r.slack + r.margin(0, 1))
	switch {
	case debt <= 0:
		h.overMax = 0
	case debt > h.overMax:
		h.over += debt - h.overMax
		h.overMax = debt
	}
}

// tidy removes what rounding left of sums.
func (h *Home) tidy() {
	if math.Abs(h.rate) < 1e-6 {
		h.rate = 0
	}
	if h.weight < 1e-6 {
		h.weight = 0
	}
	if h.demand < 1e-6 {
		h.demand = 0
	}
}

// setGhost replaces the line of those who did not register.
func (h *Home) setGhost(r *Rule, rate, demand float64, now limit.Instant) {
	h.demand += demand - h.ghost.Demand
	h.add(&h.ghost, -1)
	h.ghost = Line{Rate: rate, Demand: demand, At: now}
	h.ghost.follow(r, math.Inf(1), h.law)
	h.add(&h.ghost, 1)
	h.tidy()
}

// Over returns the tokens that were admitted and were not there, so far, and
// begins anew.
func (h *Home) Over() float64 {
	over := h.over
	h.over = 0
	return over
}

// Left returns which part of the burst is left.
func (h *Home) Left(p *decide.Params, r *Rule, now limit.Instant) float64 {
	h.settle(p, r, now)
	return (h.level(p, now) + r.slack) / r.full
}

// Below says whether less than a part of the burst is left.
func (h *Home) Below(p *decide.Params, r *Rule, part float64, now limit.Instant) bool {
	h.settle(p, r, now)
	return h.level(p, now)+r.slack < part*r.full
}

// State returns what to tell a node that has not touched the counter.
func (h *Home) State(p *decide.Params, r *Rule, now limit.Instant) State {
	h.settle(p, r, now)
	rate, _ := h.taking(p, r, now)
	return State{Level: h.level(p, now), Rate: Round(rate), Demand: Round(h.demand), Others: int32(len(h.lines)), Exact: h.exact}
}

// Patience is how long what is told may wait for others to share a frame with.
func (h *Home) Patience(r *Rule) limit.Span { return r.patience(h.presses, h.demand) }

// Exact says that all nodes tell all that they take.
func (h *Home) Exact() bool { return h.exact }

// Rest is for how long time alone makes nothing wrong that was told.
func (h *Home) Rest(now limit.Instant) limit.Span {
	switch {
	case h.young || now < h.ready || h.ghost != (Line{}):
		return 0
	case !h.exact:
		return limit.Second
	case hardlyAsked(h.demand):
		return longestRest
	}
	return 0
}

// Idle says that nothing is lost when h is forgotten.
func (h *Home) Idle(p *decide.Params, r *Rule, now limit.Instant) bool {
	h.settle(p, r, now)
	return h.rate == 0 && h.weight == 0 && h.demand == 0 && now.Sub(h.heard) > 5*limit.Second && h.level(p, now) >= r.burst-.01
}
