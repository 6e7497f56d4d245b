// Package clock is the one place of an enforcer that reads the time.
package clock

import (
	"time"

	"github.com/sluice-dev/sluice/enforcer/limit"
)

// Clock gives the wall clock's time at its start plus the time that has passed
// since, as the monotonic clock measures it. It never steps back and never
// jumps, whatever happens to the wall clock; windows that are aligned to the
// calendar follow the wall clock as it was when the process started. Safe for
// concurrent use. Make one with New.
type Clock struct {
	start limit.Instant
	at    time.Time // start, with the monotonic reading
}

// New returns a Clock that starts now.
func New() *Clock {
	now := time.Now()
	return &Clock{start: limit.InstantOf(now), at: now}
}

// Now returns the current time.
func (c *Clock) Now() limit.Instant { return c.start.Add(limit.Span(time.Since(c.at))) }
