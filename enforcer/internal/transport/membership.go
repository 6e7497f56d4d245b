package transport

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/sluice-dev/sluice/enforcer/internal/seal"
)

const (
	// packetQueue bounds the datagrams, and streamQueue the streams, that wait for
	// somebody to take them.
	packetQueue = 256
	streamQueue = 16
)

// Side is a second conversation over the sockets of a Transport, sealed like
// gossip; membership uses it. What comes is taken from Packets and Streams while
// the transport runs; what nobody takes is dropped and counted. Its methods are
// safe for concurrent use.
type Side struct {
	t       *Transport
	packets chan Packet
	streams chan net.Conn
	closed  chan struct{}
	once    sync.Once

	mu  sync.Mutex // guards out
	out []byte     // the datagram that is being sent
}

// Packet is a datagram that has come.
type Packet struct {
	Data []byte         // the receiver's own
	From netip.AddrPort // the other side's gossip address
	At   time.Time      // when it was read
}

func newSide(t *Transport) *Side {
	return &Side{
		t: t, packets: make(chan Packet, packetQueue), streams: make(chan net.Conn, streamQueue),
		closed: make(chan struct{}), out: make([]byte, 0, maxPacket),
	}
}

// WriteTo sends one datagram of at most MaxDatagram bytes to an address, ip:port,
// and returns when it did so. It works before Run, too.
func (s *Side) WriteTo(b []byte, address string) (time.Time, error) {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return time.Time{}, fmt.Errorf("membership address: %w: write ip:port", err)
	}
	if len(b) > MaxDatagram {
		return time.Time{}, fmt.Errorf("a datagram of %d bytes: send at most %d, or use a stream", len(b), MaxDatagram)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isClosed() {
		return time.Time{}, net.ErrClosed
	}
	s.out = s.t.sealer.Seal(s.out[:0], seal.Membership, b)
	if _, err := s.t.socket.WriteToUDPAddrPort(s.out, to); err != nil {
		s.t.counters.drop(sendFailed)
		return time.Time{}, err
	}
	s.t.counters.membershipSent.count(len(s.out))
	return time.Now(), nil
}

// Packets returns the datagrams that come. The channel is never closed.
func (s *Side) Packets() <-chan Packet { return s.packets }

// Dial opens a stream to an address, host:port. It is sealed when there is a key.
func (s *Side) Dial(ctx context.Context, address string) (net.Conn, error) {
	if s.isClosed() {
		return nil, net.ErrClosed
	}
	conn, err := s.t.dial(ctx, seal.Membership, address)
	if err != nil {
		return nil, err // no nil *seal.Conn in an interface
	}
	return conn, nil
}

// Streams returns the streams that come in. The channel is never closed.
func (s *Side) Streams() <-chan net.Conn { return s.streams }

// Close ends this conversation: nothing is sent or delivered any more, and the
// streams that nobody has taken are closed. The sockets stay open.
func (s *Side) Close() error {
	s.once.Do(func() { close(s.closed) })
	for {
		select {
		case conn := <-s.streams:
			_ = conn.Close() // nobody knew it
		default:
			return nil
		}
	}
}

func (s *Side) isClosed() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

// deliver hands over a datagram that had a size on the wire.
func (s *Side) deliver(from netip.AddrPort, payload []byte, size int) {
	if !s.isClosed() {
		select {
		case s.packets <- Packet{Data: bytes.Clone(payload), From: from, At: time.Now()}:
			s.t.counters.membershipReceived.count(size)
			return
		default:
		}
	}
	s.t.counters.drop(membershipFull)
}

// admit hands over a stream.
func (s *Side) admit(conn net.Conn) {
	if !s.isClosed() {
		select {
		case s.streams <- conn:
			if s.isClosed() {
				_ = s.Close() // it came in between
			}
			return
		default:
		}
	}
	s.t.counters.drop(membershipFull)
	_ = conn.Close() // nobody takes it
}
