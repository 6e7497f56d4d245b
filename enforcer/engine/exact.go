package engine

import (
	"github.com/sluice-dev/sluice/enforcer/account"
	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/lease"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/match"
	"github.com/sluice-dev/sluice/enforcer/policy"
	"github.com/sluice-dev/sluice/enforcer/share"
)

// exact is the charge of a counter that is shared exactly.
type exact struct {
	lease.Charge
	ref    account.Ref // what it is counted by in reports
	shadow bool
	spared bool // it is only looked at, because another limit denies
}

// exactly says whether the counter of a match is shared exactly.
func (f *force) exactly(m *match.Charge) bool {
	return f.exact != nil && m.Meter != match.OwnMeter && f.exact[m.Meter]
}

// exactOf makes the charge of a match.
func (f *force) exactOf(m *match.Charge, ref account.Ref) exact {
	meter := &f.snapshot.Meters[m.Meter]
	return exact{ref: ref, shadow: m.Quota.Shadow, Charge: lease.Charge{
		ID: share.ID{Key: m.Key, Limit: meter.Limit, Variant: meter.Variant}, Params: &meter.Params,
		OnUnreachable: onUnreachable(meter.OnUnreachable), Cost: m.Cost,
	}}
}

func onUnreachable(u policy.OnUnreachable) lease.OnUnreachable {
	switch u {
	case policy.Deny:
		return lease.Deny
	case policy.Admit:
		return lease.Admit
	}
	return lease.LocalShare
}

// takeExact takes from the counters that are shared exactly, and says whether the
// enforced ones admit. It is pending, and nothing was taken, where an owner has to be
// asked first and nothing else denies.
func (s *scratch) takeExact(now limit.Instant, leases *lease.Node, free bool, w lease.Waiter) (admitted, pending bool) {
	admitted = free
	for i := range s.exact {
		x := &s.exact[i]
		cost, waiter := x.Cost, w
		if x.spared = !admitted && !x.shadow; x.spared {
			x.Cost, waiter = 0, nil
		}
		leases.Take(now, &x.Charge, waiter)
		x.Cost = cost
		switch {
		case x.Outcome == lease.Pending:
			pending = true
		case x.Outcome == lease.Denied && !x.shadow:
			admitted = false
		}
	}
	if pending = pending && admitted; pending {
		s.undoExact(now, leases, func(*exact) bool { return true })
	} else if !admitted {
		s.undoExact(now, leases, func(x *exact) bool { return !x.shadow })
	}
	return admitted, pending
}

// undoExact gives back what was taken.
func (s *scratch) undoExact(now limit.Instant, leases *lease.Node, which func(*exact) bool) {
	for i := range s.exact {
		if x := &s.exact[i]; x.Outcome == lease.Admitted && !x.spared && which(x) {
			leases.Undo(now, &x.Charge)
		}
	}
}

// countExact counts for the reports what the exact counters decided.
func (e *Engine) countExact(s *scratch, admitted bool) {
	for i := range s.exact {
		if x := &s.exact[i]; admitted || x.shadow || x.Outcome != lease.Admitted {
			e.store.Tally(x.ref, x.Outcome == lease.Admitted, x.Cost)
		}
	}
}

// exactMeters says which meters of a snapshot are shared exactly; nil: none.
func exactMeters(s *policy.Snapshot) (exact []bool) {
	for i := range s.Meters {
		if s.Meters[i].Sharing == policy.Exact {
			if exact == nil {
				exact = make([]bool, len(s.Meters))
			}
			exact[i] = true
		}
	}
	return exact
}

// params finds how a peer's exact counter counts. It runs with mu held.
func (c counters) params(now limit.Instant, id uint64, variant uint16) *decide.Params {
	params, _, _ := c.Rule(now, id, variant)
	return params
}

// standLocked tells the exact counters how the pool stands, if that has changed.
func (e *Engine) standLocked(now limit.Instant) {
	if !e.leases {
		return
	}
	s, changed := e.gossip.Standing(&e.standing)
	if !changed {
		return
	}
	pool := lease.Pool{Zone: s.Zone, Owns: s.Keeps, Tag: s.SeedTag, Away: s.Holding, Parts: s.Expected}
	for _, n := range s.Nodes {
		pool.Peers = append(pool.Peers, lease.Peer{
			Name: n.Name, Number: n.Number, Address: n.Address, Zone: n.Zone, Life: n.Life, Owns: n.Keeps, Reachable: n.Reachable,
		})
	}
	e.lease.SetPool(now, pool)
}
