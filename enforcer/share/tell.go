package share

import (
	"math"
	"slices"

	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

const (
	// wakeEvery is how often nodes that take little are told again to tell exactly.
	wakeEvery = 2500 * limit.Millisecond

	// recently is for how long a node that said something counts as touching the
	// counter.
	recently = 5 * limit.Second

	// crowd is how many nodes may take from a counter before they are told less
	// often: coarser by the root of how many times more there are.
	crowd = 64
)

// Audience is whom a Home tells. Nodes are numbered as in Sender.
type Audience interface {
	// Tell sends a state to a node.
	Tell(node int32, s *State)

	// TellRest sends a state to every node but those for which heard is true.
	TellRest(s *State, heard func(node int32) bool)
}

// Pool is what a Home has to know of nodes that cannot be reached.
type Pool struct {
	// Missing is for how long nodes that should have registered and did not are
	// supposed to go on as the others believe they do.
	Missing limit.Span

	// Reached is how many nodes can be reached, this one included: once all of them
	// have registered nobody is missing.
	Reached int

	// Silent is since when the node took nothing that was the home before and is down;
	// 0: that is not known.
	Silent limit.Instant

	// Away is the part of the pool that cannot be reached for longer than what it
	// said last can be relied on, and may be taking tokens all the same: that part
	// of every limit is left to it. From 0 to below 1.
	Away float64
}

// Check tells those whose view of the counter has become too wrong. Self is this
// node, which is told of the least difference, and heir the one that is to become the home
// after it, or -1.
func (h *Home) Check(p *decide.Params, r *Rule, now limit.Instant, pool Pool, self, heir int32, to Audience) {
	h.settle(p, r, now)
	if now < h.ready {
		return
	}
	if h.young {
		h.takeStock(p, r, now, pool)
	}
	touched, active := h.expire(p, r, now, pool)
	h.measure(p, r, now)
	level := h.level(p, now)
	full := level + r.slack
	near := full < r.full/2 || h.demand > 0 && r.chance(full, h.demand, 1) < 1
	rate, chance := h.taking(p, r, now)
	h.crowded = r.leak > 0 && max(rate, h.demand)+r.leak*(r.nodes-float64(active)) > .95*r.rate
	h.exact = near || full < r.full*h.exactBelow(r) || h.crowded
	h.presses = h.exact || r.keep > 0 || h.demand > full
	c := check{h: h, p: p, r: r, now: now, level: level, full: full, rate: rate, chance: chance, near: near, touched: touched, to: to}
	for i := range h.lines {
		if l := &h.lines[i]; l.node == self {
			if c.selfWrong(l) {
				c.tell(l)
			}
		} else if c.listens(l) {
			c.tellActive(l)
		} else if h.exact && now.Sub(l.woken) > wakeEvery || !l.told.known && r.keep > 0 {
			c.tell(l) // of a cautious limit everybody is told who asks
		}
	}
	c.tellSilent(self)
	c.tellUnsure(self)
	c.tellHeir(self, heir)
}

// exactBelow is the part of the burst below which everybody tells exactly: one
// token is a large part of a small burst.
func (h *Home) exactBelow(r *Rule) float64 { return min(max(.5, 1-2.5/r.full), .9) }

// takeStock ends the time of registration: what those who registered believe of
// the others, and nobody registered, is supposed to go on for a while.
func (h *Home) takeStock(p *decide.Params, r *Rule, now limit.Instant, pool Pool) {
	if h.young = false; pool.Missing == 0 {
		return // whoever did not is known to be gone
	}
	h.suppose(p, r, h.othersRate, h.othersDmnd, now)
}

// suppose has those who did not register go on, when all together take allRate while
// nothing is refused, and are asked for allDemand.
func (h *Home) suppose(p *decide.Params, r *Rule, allRate, allDemand float64, now limit.Instant) {
	rate := allRate - h.rate - h.weight + h.ghost.rateAt(1)
	demand := allDemand - h.demand + h.ghost.Demand
	if rate < .02*allRate {
		rate = 0
	}
	if demand < .02*allDemand {
		demand = 0
	}
	if !r.slow { // those who registered may not have said what they are asked for
		if demand = min(demand, rate); allDemand > 0 {
			rate = demand // near the limit nobody takes who is not asked
		}
	}
	h.setGhost(r, rate*r.common(h.level(p, now)+r.slack, allDemand), demand, now)
}

// spoke takes from what is supposed of those who did not register what one of them says
// for himself. Of those who follow nobody is missing once less than half of what a node
// is asked for on average is left: that much what all say differs from what was said of
// them, and what they take is told in any case.
func (h *Home) spoke(r *Rule, rate, demand float64) {
	g := h.ghost
	left := Line{Rate: max(0, g.Rate-rate), Demand: max(0, g.Demand-max(demand, rate))}
	if g.follows && left.Demand < h.demand/r.nodes/2 {
		left = Line{}
	}
	h.setGhost(r, left.Rate, left.Demand, g.At)
}

// expire ends lines that were not heard of for too long. It returns how many
// nodes touched the counter lately, and how many are extrapolated.
func (h *Home) expire(p *decide.Params, r *Rule, now limit.Instant, pool Pool) (touched, active int) {
	for i := range h.lines {
		l := &h.lines[i]
		if l.active() && now.Sub(l.At) > Hold {
			if !l.follows { // what is not in its count
				late := l.Rate * since(l.At.Add(Hold), now)
				h.rest, h.consumed = h.rest-late, h.consumed-late
			}
			h.setLine(p, r, l, Line{Taken: int64(l.at(now, h.law)), At: l.At}, 0, false)
		}
		if now.Sub(l.At) < recently {
			touched++
		}
		if l.active() {
			active++
		}
	}
	switch {
	case pool.Away > 0 && h.demand > h.ghost.Demand:
		h.absent(r, pool.Away, now)
	case h.ghost != (Line{}) && (now.Sub(h.ghost.At) >= pool.Missing || pool.Reached > 0 && touched >= pool.Reached):
		h.layGhost(p, r, pool.Silent, now)
	}
	return touched, active
}

// Doubt says that what a node was told last may have been lost. It is told again
// in the next Check.
func (h *Home) Doubt(node int32) {
	if i, ok := h.find(node); ok {
		h.lines[i].told.known = false
	}
	h.heir.known = false // if it was this one
	if !slices.Contains(h.unsure, node) {
		h.unsure = append(h.unsure, node)
	}
}

// tellUnsure tells those again who may not have heard, and do not take part: nobody
// else would look after them.
func (c *check) tellUnsure(self int32) {
	h := c.h
	unsure := h.unsure
	h.unsure = h.unsure[:0] // whoever cannot be told now is put there again
	for _, node := range unsure {
		i, ok := h.find(node)
		switch {
		case node == self || ok && c.listens(&h.lines[i]):
		case ok:
			c.tell(&h.lines[i])
		default:
			s := c.state(0, 0)
			c.to.Tell(node, &s)
		}
	}
}

// check is one Check of a Home.
type check struct {
	h           *Home
	p           *decide.Params
	r           *Rule
	now         limit.Instant
	level, full float64
	rate        float64 // tokens per second that all take now
	chance      float64 // with which those that follow admit
	near        bool
	touched     int
	to          Audience
}

// listens says whether a node takes part in the counter now.
func (c *check) listens(l *line) bool {
	return l.active() || c.now.Sub(l.At) <= recently && c.h.exact && c.now.Sub(l.woken) <= wakeEvery
}

// tolerance is by which part of what is left a node that takes part may be wrong.
func (c *check) tolerance() float64 {
	if c.h.presses {
		return tolerance
	}
	return coarse
}

// tellActive tells a node that takes part, if it is wrong.
func (c *check) tellActive(l *line) {
	t := &l.told
	if !t.known {
		c.tell(l)
		return
	}
	margin := max(1, c.tolerance()*max(c.full, c.r.rate*settleTime))
	gap := limit.Span(0)
	if n := float64(len(c.h.lines)); n > crowd && c.r.rate*settleTime < c.r.nodes {
		margin = min(margin*math.Sqrt(n/crowd), max(margin, .4*max(c.full, c.r.rate*settleTime)))
		gap = min(50, limit.Span(n/10)) * limit.Millisecond
	}
	if c.r.slow && c.full < c.r.full/2 {
		margin = .5
	}
	off := math.Abs(t.error(c.h, l.at(c.now, c.h.law)))
	age := c.now.Sub(t.at)
	if age < gap && off < 4*margin {
		return
	}
	demand := c.h.demand - l.Demand
	moved := math.Abs(demand - t.demand)
	switch {
	case off >= margin,
		c.full < .75*c.r.full && moved > .1*max(demand, t.demand)+1e-3 && moved*settleTime > .02,
		age >= c.r.pulse && (demand > 0 || t.demand > 0) && c.near:
		c.tell(l)
	}
}

// selfWrong says that the view of this node itself is not what it should be. As
// it costs nothing on the network it is told of the least difference.
func (c *check) selfWrong(l *line) bool {
	t := &l.told
	rate, demand := c.rate-l.rateAt(c.chance), c.h.demand-l.Demand
	return !t.known || math.Abs(t.error(c.h, l.at(c.now, c.h.law))) >= .05 ||
		math.Abs(rate-t.rate) > .01*(rate+t.rate)+1e-3 || math.Abs(demand-t.demand) > .01*(demand+t.demand)+1e-3 ||
		c.h.exact && c.now.Sub(l.woken) > heartbeat || c.now.Sub(t.at) > Hold/4 && (rate > 0 || demand > 0)
}

// tell sends its state to a node with a line.
func (c *check) tell(l *line) {
	seen := l.at(c.now, c.h.law)
	s := c.state(l.rateAt(c.chance), l.Demand)
	s.Line, s.Seen, s.Era = true, int64(math.Floor(seen)), l.era
	s.Level += seen - math.Floor(seen)
	if c.now.Sub(l.At) < recently {
		s.Others--
	}
	l.told = note{known: true, at: c.now, weight: c.r.weight(&s, c.chance), base: c.h.law, consumed: c.h.consumed, taken: seen, rate: s.Rate, demand: s.Demand}
	if s.Exact {
		l.woken = c.now
	}
	c.to.Tell(l.node, &s)
}

// state returns what to tell a node that has a part of the rate and the demand.
func (c *check) state(rate, demand float64) State {
	s := State{Level: c.level, Rate: Round(c.rate - rate), Demand: Round(c.h.demand - demand), Others: int32(c.touched), Exact: c.h.exact}
	if s.Rate < 1e-3 {
		s.Rate = 0
	}
	if s.Demand < 1e-3 {
		s.Demand = 0
	}
	return s
}

// tellSilent tells those who do not take part of counters that are nearly
// exhausted, coarsely: a client that goes there next is then known.
func (c *check) tellSilent(self int32) {
	t := &c.h.silent
	wake := c.h.crowded && c.now.Sub(t.at) > wakeEvery
	if !c.near && !t.known && !wake {
		return
	}
	margin := max(.5, coarse*max(c.r.full/4, c.r.rate*settleTime))
	if c.r.slow {
		margin = .5
	}
	if !c.near {
		margin = max(margin, .3*c.r.full)
	}
	off := math.Abs(c.off(t))
	if !t.known {
		off = c.r.full - c.full
	}
	again := c.near && c.full < c.r.full/4 && c.now.Sub(t.at) > recently && t.rate > 0
	if off < margin && !again && !wake {
		return
	}
	s := c.state(0, 0)
	c.note(t, &s)
	c.h.unsure = c.h.unsure[:0]
	c.to.TellRest(&s, func(node int32) bool {
		i, ok := c.h.find(node)
		return ok && (node == self || c.listens(&c.h.lines[i]))
	})
}

// tellHeir keeps the next home informed, in steps of an eighth of the burst.
func (c *check) tellHeir(self, heir int32) {
	if heir < 0 || heir == self {
		return
	}
	if i, ok := c.h.find(heir); ok && c.listens(&c.h.lines[i]) {
		return
	}
	t := &c.h.heir
	off := math.Abs(c.off(t))
	if !t.known {
		off = c.r.full - c.full
	}
	if off < max(1, c.r.full/8) {
		return
	}
	s := c.state(0, 0)
	s.Heir = true
	c.note(t, &s)
	c.to.Tell(heir, &s)
}

func (c *check) off(t *note) float64 { return t.error(c.h, t.taken) }

func (c *check) note(t *note, s *State) {
	*t = note{known: true, at: c.now, weight: c.r.weight(s, c.chance), base: c.h.law, consumed: c.h.consumed, rate: s.Rate, demand: s.Demand}
}
