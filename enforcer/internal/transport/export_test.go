package transport

import (
	"context"
	"net/netip"

	"github.com/sluice-dev/sluice/enforcer/gossip"
)

// The bounds of a link's queue.
const (
	MaxQueuedFrames = maxQueuedFrames
	MaxQueuedBytes  = maxQueuedBytes
)

// The bound of peers that are not in the list.
const MaxUnlisted = maxUnlisted

// Node returns the node that t drives.
func (t *Transport) Node() Node { return t.opts.Node }

// Peers returns the list in force, and how many peers are known; none when the
// driver has ended.
func (t *Transport) Peers() (list []string, known int) {
	done := make(chan struct{})
	if t.post(func(d *driver) { list, known = d.peers.list, len(d.peers.byName); close(done) }) {
		select {
		case <-done:
		case <-t.ended:
		}
	}
	return list, known
}

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
	d.d.setPeers([]string{t.Addr().String()})
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

func (d Driver) SetPeers(list ...string) { d.d.setPeers(list) }

// Known returns how many peers are known, and Knows whether one is.
func (d Driver) Known() int             { return len(d.d.peers.byName) }
func (d Driver) Knows(peer string) bool { return d.d.peers.byName[peer] != nil }

// NameOf returns what frames from an address come from.
func (d Driver) NameOf(address string) string {
	return d.d.peers.nameOf(netip.MustParseAddrPort(address))
}
