package share

import (
	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

// handing is what a home that hands its counter over keeps, or one that was given
// it. Not all nodes hear at the same time that there is another home: what some
// still report to the former one is passed on, as a count that only grows.
type handing struct {
	since limit.Instant // of the first hand-over; 0: none
	late  int64         // tokens reported since, of lines that begin anew

	giver Sender // who handed it to this home
	taken int64  // how many tokens reported late he has passed on

	// Those who have not registered yet are supposed to go on: so many tokens are
	// debited already of what they will tell.
	guessed float64

	surprises float64 // tokens taken, by those who registered, that their lines did not tell
}

// known returns how many of d tokens that are told late were not debited yet.
func (g *handing) known(d float64) float64 {
	part := min(d, g.guessed)
	g.guessed -= part
	return d - part
}

// HandOver returns what to tell the node that is the home from now on.
func (h *Home) HandOver(p *decide.Params, r *Rule, now limit.Instant) Report {
	s := h.State(p, r, now)
	if h.handing.since == 0 {
		h.handing.since = now
		for i := range h.lines {
			h.lines[i].handed = h.lines[i].at(now, h.law)
		}
	}
	return Report{
		Taken: h.Late(), Level: s.Level, Era: past(p, h.state, now), OthersRate: s.Rate, OthersDemand: s.Demand,
		Register: true, HandOver: true,
	}
}

// Seed makes use of what this node itself believes of the counter whose home it has
// become: it may have a copy of the former home's.
func (h *Home) Seed(p *decide.Params, r *Rule, l *Local, s decide.State, now limit.Instant) {
	h.SeedBut(p, r, l, s, now, 0)
}

// SeedBut does the same, but for untold tokens that this node is going to report.
func (h *Home) SeedBut(p *decide.Params, r *Rule, l *Local, s decide.State, now limit.Instant, untold int64) {
	believed := l.level(p, r, s, now) - r.slack
	if level := believed + float64(untold); level < h.level(p, now) && !h.handed {
		if p.Algorithm() == decide.Sliding && h.state == (decide.State{}) {
			h.state = s // it knows when the window was used
		}
		h.setLevel(p, r, level, now)
	}
	h.othersDmnd = l.demand + l.asked.rate(now)
	h.othersRate = r.freely(l.rate+l.admitRate(now), h.othersDmnd, believed)
}

// takeOver makes use of a hand-over: the former home knew better, but for what this
// one was told already. Those who take from the counter go on while they come to know
// whom to tell.
func (h *Home) takeOver(p *decide.Params, r *Rule, rep *Report, now limit.Instant) {
	h.handed, h.young = true, false
	if p.Algorithm() == decide.Sliding && rep.Era != 0 {
		h.state = usedAsOf(p, r.burst-rep.Level, rep.Era, now)
	}
	h.setLevel(p, r, rep.Level-h.news(now)-h.untold, now)
	h.suppose(p, r, r.freely(rep.OthersRate, rep.OthersDemand, rep.Level), rep.OthersDemand, now)
}

// news returns how many tokens that were told to this home the former one cannot have
// supposed to be taken: those of nodes that it has not heard of, and those by which the
// lines of others were wrong.
func (h *Home) news(now limit.Instant) float64 {
	n := h.handing.surprises
	for i := range h.lines {
		if l := &h.lines[i]; l.handed == 0 {
			n += l.at(now, h.law)
		}
	}
	return n
}

// Handed says that the former home has handed the counter over to this one.
func (h *Home) Handed() bool { return h.handed }

// Late is how many tokens were reported since the counter was handed over.
func (h *Home) Late() int64 {
	late := h.handing.late
	for i := range h.lines {
		late += h.lines[i].late(h.handing.since)
	}
	return late
}

// TakeBack says that this node is the home all the same.
func (h *Home) TakeBack() { h.handing.since, h.handing.late = 0, 0 }

// late is how many tokens a node reported since the counter was handed over.
func (l *line) late(since limit.Instant) int64 {
	if since == 0 || l.At <= since {
		return 0
	}
	return max(0, l.Taken-int64(l.handed))
}

// passedOn charges what a former home was told since it handed the counter over.
func (h *Home) passedOn(p *decide.Params, from Sender, rep *Report, now limit.Instant) {
	g := &h.handing
	if g.giver.Node != from.Node || g.giver.Life != from.Life || rep.Taken <= g.taken {
		return
	}
	d := g.known(float64(rep.Taken - g.taken))
	g.taken = rep.Taken
	h.charge(p, d, now)
}

// charge debits d tokens that no line tells of, or gives them back.
func (h *Home) charge(p *decide.Params, d float64, now limit.Instant) {
	h.consumed += d
	h.rest += d
	h.state = debit(p, h.state, now, &h.rest)
}
