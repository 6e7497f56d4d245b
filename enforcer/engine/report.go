package engine

import (
	"github.com/sluice-dev/sluice/enforcer/account"
	"github.com/sluice-dev/sluice/enforcer/gossip"
	"github.com/sluice-dev/sluice/enforcer/lease"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/policy"
)

// Report is what an engine can tell of itself.
type Report struct {
	// Snapshot holds the policies in force since Since; nil before the first.
	Snapshot *policy.Snapshot
	Since    limit.Instant

	// Usage is what each limit did here, by policy.Meter.Limit. A limit that was
	// never asked may be missing. Of one that is shared exactly the active counters
	// are those that this node owns, and no other does.
	Usage map[uint64]account.Usage

	Store  account.Stats
	Gossip gossip.Stats
	Lease  lease.Stats
	Joined bool
	Peers  []gossip.Peer // ordered by address

	// Failed is the number of expressions that failed on a request. Each was
	// decided as if the limit applied.
	Failed uint64
}

// Snapshot returns the policies in force, or nil before the first.
func (e *Engine) Snapshot() *policy.Snapshot { return e.force.Load().snapshot }

// Report gathers everything that the engine can tell. It takes every lock of the
// store for a moment, one after another.
func (e *Engine) Report() Report {
	f := e.force.Load()
	r := Report{
		Snapshot: f.snapshot, Since: f.since,
		Usage: map[uint64]account.Usage{}, Store: e.store.Stats(), Failed: e.failed.Load(),
	}
	e.store.Usage(func(id uint64, u account.Usage) { r.Usage[id] = u })
	e.lease.Active(func(id uint64) {
		u := r.Usage[id]
		u.Active++
		r.Usage[id] = u
	})
	e.mu.Lock()
	defer e.mu.Unlock()
	r.Lease = e.lease.Stats()
	r.Gossip, r.Joined, r.Peers = e.gossip.Stats(), e.gossip.Joined(), e.gossip.Peers(nil)
	return r
}
