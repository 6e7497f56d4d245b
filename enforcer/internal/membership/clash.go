package membership

import (
	"fmt"
	"maps"
	"net/netip"
	"time"
)

const (
	// clashAfter is how long two enforcers must have had one name before it is
	// believed. A pod that died and came back with its name and another address
	// looks like two until the death is noticed.
	clashAfter = 3 * time.Second

	// clashAgain is how long after a report the same clash is reported again, and
	// how long after the last sign of it a clash is forgotten.
	clashAgain = time.Minute

	// maxClashes bounds how many are watched at a time.
	maxClashes = 64
)

// clashes are the names that more than one enforcer has. The zero value knows of
// none; it is not safe for concurrent use.
type clashes struct{ seen map[clashing]*clash }

type clashing struct {
	name string
	a, b netip.AddrPort // a before b
}

type clash struct {
	first, last, told time.Time
}

// notice takes note of a sign that a name belongs to two addresses, and returns
// the error to report, or nil.
func (c *clashes) notice(name string, a, b netip.AddrPort, now time.Time) error {
	if a.Compare(b) > 0 {
		a, b = b, a
	}
	maps.DeleteFunc(c.seen, func(_ clashing, s *clash) bool { return now.Sub(s.last) > clashAgain })
	key := clashing{name, a, b}
	s := c.seen[key]
	if s == nil {
		if len(c.seen) >= maxClashes {
			return nil
		}
		if c.seen == nil {
			c.seen = map[clashing]*clash{}
		}
		s = &clash{first: now}
		c.seen[key] = s
	}
	s.last = now
	if now.Sub(s.first) < clashAfter || !s.told.IsZero() && now.Sub(s.told) < clashAgain {
		return nil
	}
	s.told = now
	return fmt.Errorf("two enforcers have the name %q, at %s and at %s: the pool knows only one of them; give every enforcer its own --node-name", name, a, b)
}
