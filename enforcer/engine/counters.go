package engine

import (
	"github.com/sluice-dev/sluice/enforcer/account"
	"github.com/sluice-dev/sluice/enforcer/gossip"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

// counters shows the store to the gossip protocol. It is called with the
// engine's mu held.
type counters struct{ *Engine }

// Changed implements gossip.Counters.
func (c counters) Changed(now limit.Instant, most int, f func(gossip.Entry)) {
	c.store.Changed(now, most, func(e account.Entry) { f(entryOf(e)) })
}

// Debit implements gossip.Counters.
func (c counters) Debit(now limit.Instant, counter gossip.Counter, n limit.Amount) bool {
	ref, ok := c.ref(now, counter)
	if ok {
		c.store.Debit(now, counter.Key, ref, n)
	}
	return ok
}

// Raise implements gossip.Counters.
func (c counters) Raise(now limit.Instant, counter gossip.Counter, used limit.Amount) bool {
	ref, ok := c.ref(now, counter)
	if ok {
		c.store.Raise(now, counter.Key, ref, used)
	}
	return ok
}

// Has implements gossip.Counters.
func (c counters) Has(key limit.Key) bool { return c.store.Has(key) }

// Scan implements gossip.Counters.
func (c counters) Scan(now limit.Instant, cursor uint64, most int, f func(gossip.Entry)) (uint64, bool) {
	return c.store.Scan(now, cursor, most, func(e account.Entry) { f(entryOf(e)) })
}

// Reset implements gossip.Counters. Requests that are being decided may still
// charge keys of the old seed; those say nothing soon.
func (c counters) Reset(limit.Instant) {
	next := *c.force.Load()
	next.seed = c.gossip.Seed().Value
	c.force.Store(&next)
	c.store.Reset()
}

// ref finds the meter of a peer's counter. One of a limit that a request brought
// along is made if need be.
func (c counters) ref(now limit.Instant, counter gossip.Counter) (account.Ref, bool) {
	if r, ok := rateNamed(counter.Limit, counter.Variant); ok {
		return c.addOwnLocked(now, r)
	}
	return c.store.Ref(counter.Limit, counter.Variant)
}

func entryOf(e account.Entry) gossip.Entry {
	return gossip.Entry{
		Counter: gossip.Counter{Key: e.Key, Limit: e.Limit, Variant: e.Variant},
		Era:     e.Era, Own: e.Own, Used: e.Used,
	}
}
