package engine

import (
	"github.com/sluice-dev/sluice/enforcer/account"
	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/match"
	"github.com/sluice-dev/sluice/enforcer/policy"
)

// Look reads, and does not change, the counter of one client of a limit in force:
// the one whose key has the given parts. The charge says how it is counted; where
// that denies or does not limit there is no counter. It returns false where no such
// limit is in force, or its key has another number of parts.
func (e *Engine) Look(now limit.Instant, name policy.Name, key []string) (match.Charge, decide.Reading, bool) {
	f := e.force.Load()
	c, ok := f.client(name, key)
	if !ok || c.Deny || c.Unlimited {
		return c, decide.Reading{}, ok
	}
	if f.exactly(&c) {
		x := f.exactOf(&c, f.refs[c.Meter])
		x.Cost = 0
		e.lease.Look(now, &x.Charge)
		return c, x.Reading, true
	}
	asked := []account.Charge{{Key: c.Key, Meter: f.refs[c.Meter]}}
	e.store.Ask(now, asked)
	return c, asked[0].Reading, true
}

// Keeping is who keeps the only count of a client of a limit that is shared exactly: what
// another node says of it is what it was told last, or that nothing is used. By is empty
// of other limits, and while no node is known to keep it.
type Keeping struct {
	By   limit.NodeID
	Lent limit.Amount // if that is this node: tokens that others hold, not in what is left
}

// Kept returns who keeps the count of one client of a limit in force.
func (e *Engine) Kept(now limit.Instant, name policy.Name, key []string) (k Keeping) {
	f := e.force.Load()
	if c, ok := f.client(name, key); ok {
		if k.By = e.keeper(f, &c); k.By != "" {
			k.Lent = e.lease.Lent(now, c.Key)
		}
	}
	return k
}

func (e *Engine) keeper(f *force, c *match.Charge) limit.NodeID {
	if c.Deny || c.Unlimited || !f.exactly(c) {
		return ""
	}
	return e.lease.Owner(c.Key)
}

// Fill gives a client a full counter, as account.Store.Fill does; otherwise it is
// as Look. What the client uses while the nodes of a pool do so one after another
// may be given back as well.
func (e *Engine) Fill(now limit.Instant, name policy.Name, key []string) (match.Charge, bool) {
	f := e.force.Load()
	c, ok := f.client(name, key)
	switch {
	case !ok || c.Deny || c.Unlimited:
	case f.exactly(&c):
		x := f.exactOf(&c, f.refs[c.Meter])
		x.Cost = -x.Params.Burst()
		e.lease.Take(now, &x.Charge, nil)
	default:
		ok = e.store.Fill(now, c.Key, f.refs[c.Meter])
	}
	return c, ok
}

// client returns how a client of a limit is counted.
func (f *force) client(name policy.Name, key []string) (match.Charge, bool) {
	if f.snapshot == nil {
		return match.Charge{}, false
	}
	l := f.snapshot.Limit(name)
	if l == nil || len(l.Key) != len(key) {
		return match.Charge{}, false
	}
	return match.ForClient(l, f.seed, key), true
}
