package share

import (
	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

// ID names one counter in the same way on every node of a pool.
type ID struct {
	Key     limit.Key
	Limit   uint64 // the limit's stable id
	Variant uint16 // which of its rates applies to the key
}

// Counter is one counter as a store hands it over: valid during that call only.
type Counter struct {
	ID
	Params *decide.Params
	Rule   *Rule
	State  *decide.State
	Local  *Local // nil for a counter of which nobody was told yet

	// Look is when to look at the counter again if nothing is decided on it until
	// then; zero is soon. Who is handed the counter sets it.
	Look limit.Instant
}

// Settle debits what others took until now.
func (c *Counter) Settle(now limit.Instant) {
	if c.Local != nil {
		*c.State = c.Local.Settle(c.Params, c.Rule, *c.State, now)
	}
}

// Due says whether the home should hear of a settled counter.
func (c *Counter) Due(now limit.Instant) bool { return c.Local.Due(c.Params, c.Rule, *c.State, now) }

// Rest puts off the next look at a settled counter for as long as time alone makes
// nothing wrong that was said.
func (c *Counter) Rest(now limit.Instant) {
	c.Look = now.Add(c.Local.pause(c.Params, c.Rule, *c.State, now))
}

// Patience is how long what is to be reported of a settled counter may wait for
// others to share a frame with.
func (c *Counter) Patience(now limit.Instant) limit.Span {
	l := c.Local
	return c.Rule.patience(l.pressing(c.Params, c.Rule, *c.State, now), l.asked.rate(now)+l.demand)
}

// Report makes the report of a settled counter.
func (c *Counter) Report(now limit.Instant) Report {
	return c.Local.Report(c.Params, c.Rule, *c.State, now)
}

// Register makes the report of a settled counter for a new home.
func (c *Counter) Register(now limit.Instant) Report {
	return c.Local.Register(c.Params, c.Rule, *c.State, now)
}

// Hear takes over what the home says of a settled counter.
func (c *Counter) Hear(now limit.Instant, s *State) {
	*c.State = c.Local.Hear(c.Params, c.Rule, *c.State, now, s)
}
