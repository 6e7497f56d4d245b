package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/sluice-dev/sluice/enforcer/internal/seal"
)

const (
	// dialTimeout bounds the opening of a connection, and greetTimeout the other
	// side's part of it.
	dialTimeout  = 2 * time.Second
	greetTimeout = 2 * time.Second

	// maxHandshakes bounds the connections that have not proved yet that they have
	// a key, and maxConnections all that came in.
	maxHandshakes  = 64
	maxConnections = 2048

	// acceptAgain is how long the listener rests after an error, which is mostly
	// that there are too many open files.
	acceptAgain = 100 * time.Millisecond
)

// tracked is a connection that is closed with the transport.
type tracked struct {
	net.Conn
	t *Transport
}

// Close implements net.Conn.
func (c *tracked) Close() error {
	c.t.mu.Lock()
	delete(c.t.conns, c)
	c.t.mu.Unlock()
	return c.Conn.Close()
}

// track makes sure that conn is closed with the transport. Of those that came in
// there are at most maxConnections; those beyond are closed, and nil is returned.
func (t *Transport) track(conn net.Conn, bounded bool) *tracked {
	c := &tracked{conn, t}
	t.mu.Lock()
	ok := !t.shut && (!bounded || len(t.conns) < maxConnections)
	if ok {
		t.conns[c] = struct{}{}
	}
	t.mu.Unlock()
	if ok {
		return c
	}
	_ = conn.Close() // nothing was sent
	return nil
}

// disconnect closes every connection, now and from now on.
func (t *Transport) disconnect() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.shut = true
	for c := range t.conns {
		_ = c.Conn.Close() // nothing can be done
	}
	clear(t.conns)
}

// dial opens a stream to an address, host:port.
func (t *Transport) dial(ctx context.Context, channel seal.Channel, address string) (*seal.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	var dialer net.Dialer
	local := t.Addr()
	if ip := local.Addr(); !ip.IsUnspecified() {
		// The other side knows this one by the address that datagrams come from.
		dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, 0))
	}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	c := t.track(conn, false)
	if c == nil {
		return nil, net.ErrClosed
	}
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(longAgo) })
	stream, err := seal.Client(c, t.opts.Keys, channel, local.Port())
	if !stop() {
		err = errors.Join(ctx.Err(), err)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", address, errors.Join(err, c.Close()))
	}
	return stream, nil
}

// accept takes connections until ctx ends or the listener is closed.
func (t *Transport) accept(ctx context.Context) error {
	for {
		conn, err := t.listener.Accept()
		switch {
		case err == nil:
			t.admit(conn)
		case isClosed(err):
			return nil
		default:
			t.log.about("cannot take a TCP connection", t.Addr(), err)
			select {
			case <-time.After(acceptAgain):
			case <-ctx.Done():
				return nil
			}
		}
	}
}

// admit starts a stream that came in, unless there are too many.
func (t *Transport) admit(conn net.Conn) {
	select {
	case t.handshakes <- struct{}{}:
	default:
		t.counters.drop(tooManyConnections)
		_ = conn.Close() // nothing was sent
		return
	}
	c := t.track(conn, true)
	if c == nil {
		<-t.handshakes
		t.counters.drop(tooManyConnections)
		return
	}
	t.streams.Go(func() { t.serve(c) })
}

// serve greets a stream that came in, and hands it on.
func (t *Transport) serve(c *tracked) {
	from := remote(c)
	err := c.SetDeadline(time.Now().Add(greetTimeout))
	var stream *seal.Conn
	if err == nil {
		stream, err = seal.Server(c, t.opts.Keys, t.Addr().Port())
	}
	if err == nil {
		err = c.SetDeadline(time.Time{})
	}
	<-t.handshakes
	switch {
	case err != nil:
		t.refuse(from, err)
		_ = c.Close() // nothing was sent
	case stream.Channel() == seal.Membership:
		t.side.admit(stream)
	default:
		t.frames(stream, netip.AddrPortFrom(from.Addr(), stream.PeerPort()))
	}
}

// frames gives the node what comes by a stream, one frame at a time: a peer that
// sends faster than the node takes has to wait.
func (t *Transport) frames(stream *seal.Conn, from netip.AddrPort) {
	defer func() { _ = stream.Close() }() // nothing was sent
	handled := make(chan struct{}, 1)
	var frame []byte
	give := func(d *driver) {
		d.receive(from, frame)
		handled <- struct{}{}
	}
	for {
		var err error
		if frame, err = stream.ReadRecord(); err != nil {
			t.refuse(from, err)
			return
		}
		t.counters.receivedTCP.count(len(frame) + seal.RecordOverhead)
		if !t.post(give) {
			return
		}
		select {
		case <-handled:
		case <-t.ended:
			return
		}
	}
}

// refuse counts a stream that ends with an error of seal; that it ends is nobody's
// fault.
func (t *Transport) refuse(from netip.AddrPort, err error) {
	if r, ok := reasonOf(err); ok {
		t.counters.drop(r)
		t.log.about("gossip stream dropped", from, err)
	}
}

// remote returns the address that a connection came from.
func remote(c net.Conn) netip.AddrPort {
	if a, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		return unmap(a.AddrPort())
	}
	return netip.AddrPort{}
}
