// Package transport carries gossip between enforcers and drives the node that it
// is for: it gives it ticks and frames, each with the time.
//
// Frames that fit one datagram go by UDP, longer ones over one TCP connection per
// peer, to the same port number. A second conversation, Side, shares the sockets.
// Everything is sealed with the pool's keys (see enforcer/internal/seal), or has
// a checksum when there are none.
package transport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sluice-dev/sluice/enforcer/gossip"
	"github.com/sluice-dev/sluice/enforcer/internal/seal"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

const (
	// MaxDatagram is the longest payload in bytes that goes by UDP. With its
	// envelope and the headers of UDP and IPv6 it has 1290 bytes: that fits into an
	// Ethernet packet under two tunnels at a time, as pods have them.
	MaxDatagram = 1200

	// MaxFrame is the longest frame in bytes.
	MaxFrame = seal.MaxRecord

	maxPacket = MaxDatagram + seal.Overhead

	// socketBuffer is asked of the operating system, which may grant less.
	socketBuffer = 4 << 20

	// bindAttempts bounds the search for a port that is free for both protocols.
	bindAttempts = 20

	// flushTime bounds the wait, at the end, for what was not sent yet over TCP.
	flushTime = time.Second
)

// Node is what a transport drives, one call at a time. Addresses are ip:port.
type Node interface {
	// Tick returns when it must be called again at the latest, unless
	// Transport.Wake is called first. Sooner does no harm, and happens.
	Tick(now limit.Instant, out gossip.Outbox) (next limit.Span)

	// Receive takes a frame. What it has to answer may wait for Flush.
	Receive(now limit.Instant, from string, frame []byte, out gossip.Outbox) error

	// Flush sends what somebody waits for. It is called when all frames that there were
	// have been received, and after Transport.Hurry; Tick does it too.
	Flush(now limit.Instant, out gossip.Outbox)
}

// Options configure a Transport. Listen, Node, Now and Log are required.
type Options struct {
	Listen string // host:port of both sockets; port 0 takes any
	Node   Node
	Now    func() limit.Instant // the clock; safe for concurrent use
	Log    *slog.Logger

	// Prompt says whether the peers' frames are waited for by somebody at the moment:
	// they are then handled as they come, and not together. Nil: never.
	Prompt func() bool

	// Keys are the pool's; nil means that there are none: what is sent can be read
	// and forged by everybody on the network.
	Keys *seal.Ring
}

// Transport is a pair of open sockets. Its methods are safe for concurrent use.
type Transport struct {
	opts     Options
	socket   *socket
	listener *net.TCPListener
	sealer   *seal.Sealer
	side     *Side
	counters counters
	log      complaints

	// errands are done by the driver between two frames; wake has something in it
	// after one was added, or when the driver should look again anyway.
	errands chan func(*driver)
	wake    chan struct{}
	ended   chan struct{} // closed when the driver has ended

	list    atomic.Pointer[[]string] // of peers, until the driver takes it
	rest    atomic.Int32             // ticksSoon, resting or woken
	hurried atomic.Bool              // Hurry was called, and the node has not spoken since

	streams    sync.WaitGroup // goroutines of streams
	handshakes chan struct{}  // has room for those that may go on at a time

	mu    sync.Mutex // guards conns and shut
	conns map[*tracked]struct{}
	shut  bool // no more conns
}

// Listen opens the sockets. Nothing is read before Run.
func Listen(o Options) (*Transport, error) {
	conn, listener, err := bind(o.Listen)
	if err != nil {
		return nil, fmt.Errorf("gossip address %q: %w", o.Listen, err)
	}
	// A smaller buffer than asked for loses frames under load, and gossip bears
	// that: no reason to stop.
	_ = conn.SetReadBuffer(socketBuffer)
	_ = conn.SetWriteBuffer(socketBuffer)
	t := &Transport{
		opts: o, socket: newSocket(conn), listener: listener,
		sealer: seal.NewSealer(o.Keys), log: complaints{log: o.Log},
		errands: make(chan func(*driver), 16), wake: make(chan struct{}, 1), ended: make(chan struct{}),
		handshakes: make(chan struct{}, maxHandshakes), conns: map[*tracked]struct{}{},
	}
	t.side = newSide(t)
	return t, nil
}

// bind opens both sockets on one port.
func bind(address string) (*net.UDPConn, *net.TCPListener, error) {
	addr, err := net.ResolveUDPAddr("udp", address)
	if err != nil {
		return nil, nil, err
	}
	for range bindAttempts {
		conn, udpErr := net.ListenUDP("udp", addr)
		if udpErr != nil {
			return nil, nil, udpErr
		}
		port := conn.LocalAddr().(*net.UDPAddr).Port
		var listener *net.TCPListener
		if listener, err = net.ListenTCP("tcp", &net.TCPAddr{IP: addr.IP, Port: port, Zone: addr.Zone}); err == nil {
			return conn, listener, nil
		}
		_ = conn.Close() // it was not used
		if addr.Port != 0 || !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	return nil, nil, err
}

// Addr returns the address that the sockets are bound to.
func (t *Transport) Addr() netip.AddrPort {
	return unmap(t.socket.LocalAddr().(*net.UDPAddr).AddrPort())
}

// Membership returns the second conversation over these sockets, always the same.
func (t *Transport) Membership() *Side { return t.side }

// SetPeers replaces the list of peers, each ip:port: TCP connections to peers that
// are gone end. It does not block, and may be called before Run.
func (t *Transport) SetPeers(addresses []string) {
	list := slices.Clone(addresses)
	t.list.Store(&list)
	t.nudge()
}

// How the driver rests between two ticks.
const (
	ticksSoon int32 = iota // the next tick comes within gossip.Urgent, or nothing runs yet
	resting                // it comes later: Wake has something to do
	woken                  // Wake has done it
)

// Wake tells that the node has something to say: it ticks at once, unless it does
// so within gossip.Urgent anyway. It may be called for every request, and before
// Run: it never blocks, and is an atomic load except for the first call since a
// tick.
func (t *Transport) Wake() {
	if t.rest.Load() == resting && t.rest.CompareAndSwap(resting, woken) {
		t.nudge()
	}
}

// Hurry tells that somebody waits for what the node has to say: it says so at once.
// Otherwise it is as Wake.
func (t *Transport) Hurry() {
	if !t.hurried.Load() && !t.hurried.Swap(true) {
		t.nudge()
	}
}

// nudge has the driver look at its errands, whatever it is waiting for.
func (t *Transport) nudge() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
	_ = t.socket.SetReadDeadline(longAgo) // fails when it is closed, and then nobody reads
}

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// post has the driver call f. It waits for room among the errands, and returns
// false when the driver has ended.
func (t *Transport) post(f func(*driver)) bool {
	select {
	case t.errands <- f:
		t.nudge()
		return true
	case <-t.ended:
		return false
	}
}

// Close closes the sockets. Run does so at its end; Close is for a Transport that
// is not run.
func (t *Transport) Close() error {
	return errors.Join(t.socket.Close(), t.listener.Close())
}

// Run drives the node until ctx ends. Then it has the node say its last words,
// closes the sockets and everything that came in over them, and returns nil. An
// error means that a socket broke.
func (t *Transport) Run(ctx context.Context) error {
	// Links go on until the last words are said.
	linking, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	cutOff := func() { cancel(); t.disconnect() }
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return t.accept(ctx) })
	g.Go(func() error {
		d := newDriver(t, linking)
		err := d.drive(ctx)
		close(t.ended)
		d.hangUp(cutOff)
		_ = t.Close() // nobody reads any more
		cutOff()
		return err
	})
	err := g.Wait()
	t.streams.Wait()
	return err
}

// unmap turns an IPv4 address in IPv6 form into plain IPv4.
func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
