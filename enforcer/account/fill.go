package account

import (
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/share"
)

// Fill gives back all that was taken of a counter, as far as this node knows, and a
// burst at least: a charge below zero, of which the counter's home is told like of any other.
// That one may know of more than this node does, and a counter never becomes more
// than full. So a node that has not heard of the counter makes it, to tell. It returns
// false when there is no such meter.
//
// What a node took itself it remembers apart: a pool has filled a counter when all of
// its nodes have.
func (s *Store) Fill(now limit.Instant, key limit.Key, ref Ref) bool {
	known := s.With(now, key, ref, true, func(c *share.Counter) {
		c.Settle(now)
		back := max(c.Params.Used(*c.State, now), c.Params.Burst())
		*c.State = c.Params.Move(*c.State, now, -back)
		c.Local.Count(c.Params, c.Rule, now, -back, true)
		c.Local.Again()
	})
	sh := &s.shards[s.shardOf(key)]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if slot, e := sh.lookup(key); known && e != nil && e.shared() {
		s.markChanged(sh, slot, e) // the next Changed hands it over
	}
	return known
}
