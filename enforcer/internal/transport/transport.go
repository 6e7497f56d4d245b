// Package transport carries gossip frames in UDP datagrams and drives the node
// that they are for: it gives it ticks, frames and the list of its peers, each
// with the time.
package transport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sluice-dev/sluice/enforcer/gossip"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

const (
	// queueLength bounds the frames that wait for the node; those that come
	// while it is full are dropped and counted. It holds what a large pool
	// sends in one gossip.Interval.
	queueLength = 1024

	// socketBuffer is asked of the operating system, which may grant less.
	socketBuffer = 4 << 20

	// lastTicks is how often the node ticks at the end: what it admitted last is
	// sent as often as anything else.
	lastTicks = 3

	// complainEvery bounds how often refused frames are logged.
	complainEvery = 10 * time.Second
)

// Node is what a transport drives, one call at a time. Addresses are those of
// SetPeers, resolved.
type Node interface {
	Tick(now limit.Instant, out gossip.Outbox)
	Receive(now limit.Instant, from string, frame []byte, out gossip.Outbox) error
	SetPeers(now limit.Instant, addresses []string)
}

// Options configure a Transport. All fields but Lookup are required.
type Options struct {
	Listen string // host:port of the UDP socket; port 0 takes any
	Node   Node
	Now    func() limit.Instant // the clock; safe for concurrent use
	Log    *slog.Logger

	// Lookup finds the addresses of a host name; nil asks the system's
	// resolver. It may block until its context ends.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
}

// Stats count frames since the start.
type Stats struct {
	Received, ReceivedBytes uint64
	Dropped                 uint64 // of those received: because the queue was full
	Refused                 uint64 // of those received: because the node could not use them
	Sent, SentBytes         uint64
	SendErrors              uint64
}

// Transport is an open socket. Its methods are safe for concurrent use.
type Transport struct {
	opts  Options
	conn  *net.UDPConn
	peers *resolver

	frames chan datagram
	free   chan []byte // buffers for datagrams; together with frames a bounded pool

	received, receivedBytes, dropped, refused, sent, sentBytes, sendErrors atomic.Uint64
}

type datagram struct {
	from netip.AddrPort
	data []byte
}

// Listen opens the socket. Nothing is read before Run.
func Listen(o Options) (*Transport, error) {
	addr, err := net.ResolveUDPAddr("udp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("gossip address %q: %w", o.Listen, err)
	}
	conn, err := net.ListenUDP("udp", addr)
	if err != nil {
		return nil, fmt.Errorf("gossip address %q: %w", o.Listen, err)
	}
	// A smaller buffer than asked for loses frames under load, and gossip bears
	// that: no reason to stop.
	_ = conn.SetReadBuffer(socketBuffer)
	_ = conn.SetWriteBuffer(socketBuffer)
	t := &Transport{
		opts: o, conn: conn,
		frames: make(chan datagram, queueLength), free: make(chan []byte, queueLength+1),
	}
	for range cap(t.free) {
		t.free <- make([]byte, gossip.MaxFrame+1) // one more, to tell a longer datagram
	}
	t.peers = newResolver(o.Lookup, conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr(), o.Log)
	return t, nil
}

// Addr returns the address that the socket is bound to.
func (t *Transport) Addr() netip.AddrPort {
	return unmap(t.conn.LocalAddr().(*net.UDPAddr).AddrPort())
}

// SetPeers replaces the list of peers, each "host:port". Names are resolved now
// and again every few seconds. It does not block.
func (t *Transport) SetPeers(peers []string) { t.peers.set(peers) }

// Stats returns the counts so far.
func (t *Transport) Stats() Stats {
	return Stats{
		Received: t.received.Load(), ReceivedBytes: t.receivedBytes.Load(), Dropped: t.dropped.Load(), Refused: t.refused.Load(),
		Sent: t.sent.Load(), SentBytes: t.sentBytes.Load(), SendErrors: t.sendErrors.Load(),
	}
}

// Close closes the socket. Run does so at its end; Close is for a Transport that
// is not run.
func (t *Transport) Close() error { return t.conn.Close() }

// Run drives the node until ctx ends. Then it has the node say its last words,
// closes the socket and returns nil. An error means that the socket broke.
func (t *Transport) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return t.read(ctx) })
	g.Go(func() error {
		t.drive(ctx)
		_ = t.conn.Close() // ends read
		return nil
	})
	g.Go(func() error { t.peers.run(ctx); return nil })
	return g.Wait()
}

// read takes datagrams from the socket and queues them.
func (t *Transport) read(ctx context.Context) error {
	spare := make([]byte, gossip.MaxFrame+1)
	for {
		buf := spare
		queued := false
		select {
		case buf = <-t.free:
			queued = true
		default:
		}
		n, from, err := t.conn.ReadFromUDPAddrPort(buf)
		switch {
		case err != nil && (ctx.Err() != nil || errors.Is(err, net.ErrClosed)):
			return nil
		case err != nil:
			return fmt.Errorf("gossip socket: %w", err)
		}
		t.received.Add(1)
		t.receivedBytes.Add(uint64(n))
		if !queued {
			t.dropped.Add(1)
			continue
		}
		// There are no more buffers than places in the queue, and this one: it
		// blocks at most until the driver has taken one.
		select {
		case t.frames <- datagram{unmap(from), buf[:n]}:
		case <-ctx.Done():
			return nil
		}
	}
}

// drive owns the node: it is the only caller of its methods.
func (t *Transport) drive(ctx context.Context) {
	d := driver{Transport: t}
	tick := time.NewTicker(gossip.Interval.Duration())
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			for range lastTicks {
				t.opts.Node.Tick(t.opts.Now(), &d)
			}
			return
		case <-tick.C:
			t.opts.Node.Tick(t.opts.Now(), &d)
		case f := <-t.frames:
			d.receive(f)
			t.free <- f.data[:cap(f.data)]
		case peers := <-t.peers.resolved:
			d.setPeers(peers)
		}
	}
}

// driver is the state of drive.
type driver struct {
	*Transport
	names      map[netip.AddrPort]string
	addresses  map[string]netip.AddrPort
	complained time.Time
}

func (d *driver) setPeers(peers []endpoint) {
	d.names, d.addresses = map[netip.AddrPort]string{}, map[string]netip.AddrPort{}
	list := make([]string, 0, len(peers))
	for _, p := range peers {
		if p.address.IsValid() {
			d.names[p.address], d.addresses[p.name] = p.name, p.address
		}
		list = append(list, p.name)
	}
	d.opts.Node.SetPeers(d.opts.Now(), list)
}

func (d *driver) receive(f datagram) {
	from, ok := d.names[f.from]
	if !ok {
		from = f.from.String()
	}
	err := d.opts.Node.Receive(d.opts.Now(), from, f.data, d)
	if err == nil {
		return
	}
	d.refused.Add(1)
	if now := time.Now(); now.Sub(d.complained) >= complainEvery {
		d.complained = now
		d.opts.Log.Warn("gossip frame refused; more in the next seconds are only counted", "error", err, "refused", d.refused.Load())
	}
}

// Send implements gossip.Outbox. A peer whose name has no address yet is not
// sent to.
func (d *driver) Send(to string, frame []byte) {
	address, ok := d.addresses[to]
	if !ok {
		return
	}
	if _, err := d.conn.WriteToUDPAddrPort(frame, address); err != nil {
		d.sendErrors.Add(1)
		return
	}
	d.sent.Add(1)
	d.sentBytes.Add(uint64(len(frame)))
}

// unmap turns an IPv4 address in IPv6 form into plain IPv4.
func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
