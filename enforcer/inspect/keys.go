package inspect

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/match"
	"github.com/sluice-dev/sluice/enforcer/policy"
)

// Client names one client of a limit, by the values that its key yields for it.
type Client struct {
	Name
	Key []string `json:"key"`
}

// Counter is what one enforcer knows of a client's counter.
type Counter struct {
	Node string `json:"node,omitempty"` // the enforcer's name
	Client

	// Rate is what is granted to the client, Remaining what is left of it, and
	// ResetAfter the time until all of it is there again.
	Rate       *Rate  `json:"rate,omitempty"`
	Remaining  int64  `json:"remaining"`
	ResetAfter string `json:"resetAfter,omitempty"`

	// KeptBy is, of a limit that is shared exactly, the enforcer that keeps the count.
	// What another one says of it is what it was told last, or that nothing is used. Lent is
	// what that one has lent to others beside Remaining: they use it, or give it back.
	KeptBy string `json:"keptBy,omitempty"`
	Lent   int64  `json:"lent,omitempty"`

	// Deny and Unlimited are overrides: there is no counter then, and none of the above.
	Deny      bool `json:"deny,omitempty"`
	Unlimited bool `json:"unlimited,omitempty"`
}

// Check says what is wrong with the name of a client, if anything: it is the
// caller's fault.
func (c *Client) Check(s *policy.Snapshot) error {
	l := s.Limit(policy.Name(c.Name))
	if l == nil {
		return c.unknown(s)
	}
	if len(c.Key) == len(l.Key) {
		return nil
	}
	if len(l.Key) == 0 {
		return fmt.Errorf("limit %s has no key, so all requests share one counter: leave key out", c.Name)
	}
	var parts []string
	for _, part := range l.Key {
		parts = append(parts, part.Source())
	}
	return fmt.Errorf("the key of limit %s is made of %s: give a value for each, in order, and not %d", c.Name, strings.Join(parts, ", "), len(c.Key))
}

// unknown says that there is no such limit, and which there are.
func (c *Client) unknown(s *policy.Snapshot) error {
	for i := range s.Document.Policies {
		p := &s.Document.Policies[i]
		if p.Namespace != c.Namespace || p.Name != c.Policy {
			continue
		}
		var names []string
		for _, l := range p.Limits {
			names = append(names, l.Name)
		}
		return NotFound(fmt.Sprintf("policy %s has no limit %q: it has %s", p, c.Limit, strings.Join(names, ", ")))
	}
	return NotFound(fmt.Sprintf("no policy %s/%s is in force", c.Namespace, c.Policy))
}

// ErrNoCounter says that a client has no counter that could be reset.
var ErrNoCounter = errors.New("an override denies this client, or does not limit it: there is no counter")

// Counter describes the client's counter.
func (c *Client) Counter(charge *match.Charge, reading decide.Reading) *Counter {
	out := &Counter{Client: *c, Rate: rateOf(charge.Quota), Deny: charge.Deny, Unlimited: charge.Unlimited}
	if out.Rate != nil {
		out.Remaining, out.ResetAfter = int64(reading.Remaining), reading.ResetAfter.Duration().String()
	}
	return out
}
