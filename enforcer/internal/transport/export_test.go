package transport

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/enforcer/gossip"
)

// The bounds of a link's queue.
const (
	MaxQueuedFrames = maxQueuedFrames
	MaxQueuedBytes  = maxQueuedBytes
)

// NeverTickWhileIdle leaves a node that is idle without ticks. Call it before Run.
func (t *Transport) NeverTickWhileIdle() { t.idleInterval = 1000 * time.Hour }

// Connections returns how many TCP connections are open.
func (t *Transport) Connections() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.conns)
}

// Cut breaks every TCP connection.
func (t *Transport) Cut() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := range t.conns {
		c.Conn.Close()
	}
}

// Link is a link that does not run.
type Link struct{ l *link }

func NewLink() Link                    { return Link{newLink(nil, netip.AddrPort{})} }
func (l Link) Push(frame []byte) bool  { return l.l.push(frame) }
func (l Link) Queued() (frames, b int) { return l.l.frames, l.l.bytes }

// Driver is a driver that a test steps.
type Driver struct{ d *driver }

// NewDriver returns a driver of t, whose only peer is t itself.
func NewDriver(t *Transport) Driver {
	d := Driver{newDriver(t, context.Background())}
	d.d.setPeers([]endpoint{{t.Addr().String(), t.Addr()}})
	return d
}

var _ gossip.Outbox = (*driver)(nil)

func (d Driver) Send(to string, frame []byte) { d.d.Send(to, frame) }

// Drain handles what has come, and returns how many datagrams that were.
func (d Driver) Drain() (int, error) {
	d.d.frames = 0
	err := d.d.drain()
	return d.d.frames, err
}

// Lists drives a resolver without a socket.
type Lists struct {
	t *testing.T
	r *resolver
}

// RunResolver starts a resolver that stops with the test.
func RunResolver(t *testing.T, lookup func(context.Context, string) ([]netip.Addr, error), local netip.Addr, log *slog.Logger) Lists {
	r := newResolver(lookup, local, log)
	go r.run(t.Context())
	return Lists{t, r}
}

func (l Lists) Set(peers ...string) { l.r.set(peers) }

// Want waits for the next resolved list.
func (l Lists) Want(want ...string) {
	l.t.Helper()
	var got []string
	for _, e := range <-l.r.resolved {
		if !e.address.IsValid() {
			e.name += " without address"
		}
		got = append(got, e.name)
	}
	if !slices.Equal(got, want) {
		l.t.Errorf("peers %v, want %v", got, want)
	}
}
