package transport_test

import (
	"github.com/sluice-dev/sluice/enforcer/gossip"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

// quiet is a Node that does nothing.
type quiet struct{ received int }

func (*quiet) Tick(limit.Instant, gossip.Outbox) limit.Span { return gossip.Idle }
func (q *quiet) Receive(limit.Instant, string, []byte, gossip.Outbox) error {
	q.received++
	return nil
}
func (*quiet) Flush(limit.Instant, gossip.Outbox) {}
