package engine

import (
	"github.com/sluice-dev/sluice/enforcer/account"
	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/gossip"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/share"
)

// counters shows the store to the gossip protocol. It is called with the
// engine's mu held.
type counters struct{ *Engine }

// Changed implements gossip.Counters.
func (c counters) Changed(now limit.Instant, most int, f func(*share.Counter) bool) {
	c.store.Changed(now, most, f)
}

// Sweep implements gossip.Counters.
func (c counters) Sweep(now limit.Instant, most int, all bool, f func(*share.Counter) bool) {
	c.store.Sweep(now, most, all, f)
}

// Shared implements gossip.Counters.
func (c counters) Shared() int { return c.store.Shared() }

// With implements gossip.Counters.
func (c counters) With(now limit.Instant, id share.ID, create bool, f func(*share.Counter)) bool {
	ref, ok := c.ref(now, id.Limit, id.Variant)
	return ok && c.store.With(now, id.Key, ref, create, f)
}

// Flush implements gossip.Counters.
func (c counters) Flush(now limit.Instant, most int) bool { return c.store.Flush(now, most) }

// Rule implements gossip.Counters.
func (c counters) Rule(now limit.Instant, id uint64, variant uint16) (*decide.Params, *share.Rule, bool) {
	ref, ok := c.ref(now, id, variant)
	if !ok {
		return nil, nil, false
	}
	params, rule := c.store.Rule(ref)
	return params, rule, true
}

// SetPool implements gossip.Counters.
func (c counters) SetPool(nodes int) { c.store.SetPool(nodes, gossip.Delay) }

// Leave implements gossip.Counters.
func (c counters) Leave() { c.store.Leave() }

// Reset implements gossip.Counters. Requests that are being decided may still
// charge keys of the old seed; those say nothing soon.
func (c counters) Reset(limit.Instant) {
	next := *c.force.Load()
	next.seed = c.gossip.Seed().Value
	c.force.Store(&next)
	c.store.Reset()
	c.standing = 0 // lease has to know of the seed
}

// ref finds the meter of a peer's counter; none where this node counts for itself,
// which a peer may not know yet, or no longer. One of a limit that a request brought
// along is made if need be.
func (c counters) ref(now limit.Instant, id uint64, variant uint16) (account.Ref, bool) {
	if ref, ok := c.store.Ref(id, variant); ok {
		return ref, !c.store.Local(ref)
	}
	if r, ok := rateNamed(id, variant); ok {
		return c.addOwnLocked(now, r)
	}
	return 0, false
}
