package gossip

import (
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/share"
)

const (
	// maxChecks bounds the counters that are looked at in one Tick because
	// requests were decided on them. Above it they wait for their turn.
	maxChecks = 50_000

	// sweepTicks is in how many Ticks every shared counter is looked at.
	sweepTicks = 10
)

// check looks whether the home of a counter should hear of it, and says whether
// the counter is still shared. Asked says that requests were decided on it.
func (n *Node) check(now limit.Instant, c *share.Counter, asked bool, out Outbox) bool {
	if c.Rule.Alone() {
		return false
	}
	c.Settle(now)
	defer c.Rest(now)
	l := c.Local
	if l.Heir && c.Params.IdleAt(*c.State) <= now {
		l.Heir = false // there is nothing to keep any more
	}
	if was := l.Home; was.View != n.view {
		first, _ := n.ring.Owner(c.Key)
		l.Home = share.HomeRef{Node: first, View: n.view}
		if was.View != 0 && was.Node != first && !l.Idle(now) {
			l.Seq = 0
			rep := c.Register(now)
			n.tell(now, c, first, &rep, 0, out)
			return true
		}
	}
	if l.Home.Node == self {
		if c.Due(now) || asked && n.homes.exact(c.Key) {
			rep := c.Report(now)
			n.tell(now, c, self, &rep, 0, out)
			return true // the home tells it
		}
	} else if c.Due(now) || n.leaving && l.Owes(now) {
		wait := c.Patience(now)
		rep := c.Report(now)
		if rep.Register {
			wait = 0
		}
		n.tell(now, c, l.Home.Node, &rep, wait, out)
	}
	return !l.Idle(now)
}

// tell hands a report to the home, for which it may wait some time.
func (n *Node) tell(now limit.Instant, c *share.Counter, home int32, rep *share.Report, wait limit.Span, out Outbox) {
	if home == self {
		n.round++
		h, isNew := n.homes.open(now, c.ID, rep, c.Rule)
		switch {
		case rep.Register:
			h.Seed(c.Params, c.Rule, c.Local, *c.State, now)
		case isNew && rep.Fresh: // which is charged
			h.SeedBut(c.Params, c.Rule, c.Local, *c.State, now, rep.Taken)
		}
		n.apply(now, h, c.Params, c.Rule, share.Sender{Node: self, Life: uint32(n.life), Seq: n.round}, rep)
		return
	}
	if p := n.byNumber(home); p != nil {
		n.room(now, p, out, sent{ID: c.ID}, wait)
		p.out.report(&c.ID, rep, now)
		n.stats.Reports++
	}
}

// hearState takes what a home says of a counter.
func (n *Node) hearState(now limit.Instant, p *peer, seq uint32, e *entry) {
	n.counters.With(now, e.ID, true, func(c *share.Counter) {
		l := c.Local
		c.Settle(now)
		if l.Home.View != n.view {
			first, _ := n.ring.Owner(c.Key)
			if l.Home.View != 0 && l.Home.Node != first {
				return // the next check registers with the new home, which tells us
			}
			l.Home = share.HomeRef{Node: first, View: n.view}
		}
		if l.Home.Node != p.number || l.Seq != 0 && int32(seq-l.Seq) < 0 {
			n.stats.Stale++
			return
		}
		if e.state.Line && e.state.Era != l.Era { // of what it counts now the home knows nothing
			e.state.Line = false
		}
		l.Seq = seq
		c.Hear(now, &e.state)
	})
}
