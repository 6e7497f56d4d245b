package membership

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// Link is what membership speaks over. Whatever comes out of it was sent by an
// enforcer of the pool: the Link authenticates and encrypts. Its methods may be
// called by many goroutines. Closing it is up to its owner, after Run returned.
type Link[P Packet] interface {
	// WriteTo sends a datagram of at most MaxPacket bytes to ip:port, and returns
	// when that was. It may be lost without an error. The caller may change b
	// afterwards.
	WriteTo(b []byte, address string) (time.Time, error)

	// Packets delivers the datagrams that come in. Nothing waits for a reader: what
	// does not fit is dropped.
	Packets() <-chan P

	// Dial opens a stream to ip:port; ctx limits how long that takes.
	Dial(ctx context.Context, address string) (net.Conn, error)

	// Streams delivers the streams that come in. They support deadlines.
	Streams() <-chan net.Conn
}

// Packet is a datagram with where it came from, and when. The Data belong to the
// reader. A package that provides a Link has its own type of this form.
type Packet interface {
	~struct {
		Data []byte
		From netip.AddrPort
		At   time.Time
	}
}

// MaxPacket is the size in bytes of the largest datagram that membership sends.
// With a hundred bytes for the Link's own it fits the smallest packet that IPv6
// allows (RFC 8200: 1280 bytes, 48 of them headers).
const MaxPacket = 1132

type packet struct {
	Data []byte
	From netip.AddrPort
	At   time.Time
}

// adapter makes a memberlist.Transport of a Link.
type adapter[P Packet] struct {
	link    Link[P]
	self    netip.AddrPort
	packets chan *memberlist.Packet
	streams chan net.Conn

	// life ends with Shutdown. memberlist hands no contexts down, so it is kept here.
	life  context.Context
	end   context.CancelFunc
	pumps sync.WaitGroup
}

var errStopped = errors.New("membership has stopped")

// adapt starts to read from the link.
func adapt[P Packet](link Link[P], self netip.AddrPort) memberlist.Transport {
	a := &adapter[P]{link: link, self: self, packets: make(chan *memberlist.Packet), streams: make(chan net.Conn)}
	a.life, a.end = context.WithCancel(context.Background())
	a.pumps.Go(func() {
		pump(a.life, link.Packets(), a.packets, func(p P) *memberlist.Packet {
			from := packet(p)
			return &memberlist.Packet{Buf: from.Data, From: net.UDPAddrFromAddrPort(from.From), Timestamp: from.At}
		})
	})
	a.pumps.Go(func() {
		pump(a.life, link.Streams(), a.streams, a.mortal)
	})
	return a
}

// pump moves what comes in until ctx ends, or the link closes its channel.
func pump[In, Out any](ctx context.Context, in <-chan In, out chan<- Out, convert func(In) Out) {
	for {
		select {
		case <-ctx.Done():
			return
		case item, ok := <-in:
			if !ok {
				return
			}
			select {
			case <-ctx.Done():
				return
			case out <- convert(item):
			}
		}
	}
}

// FinalAdvertiseAddr implements memberlist.Transport.
func (a *adapter[P]) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return a.self.Addr().AsSlice(), int(a.self.Port()), nil
}

// WriteTo implements memberlist.Transport.
func (a *adapter[P]) WriteTo(b []byte, address string) (time.Time, error) {
	if a.life.Err() != nil {
		return time.Time{}, errStopped
	}
	return a.link.WriteTo(b, address)
}

// PacketCh implements memberlist.Transport.
func (a *adapter[P]) PacketCh() <-chan *memberlist.Packet { return a.packets }

// DialTimeout implements memberlist.Transport.
func (a *adapter[P]) DialTimeout(address string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(a.life, timeout)
	defer cancel()
	conn, err := a.link.Dial(ctx, address)
	if err != nil {
		return nil, err
	}
	return a.mortal(conn), nil
}

// mortal closes a stream at the end of life, so that nobody waits for its
// deadline.
func (a *adapter[P]) mortal(c net.Conn) net.Conn {
	return &stream{Conn: c, forget: context.AfterFunc(a.life, func() { _ = c.Close() })}
}

type stream struct {
	net.Conn
	forget func() bool
}

// Close implements net.Conn.
func (s *stream) Close() error {
	s.forget()
	return s.Conn.Close()
}

// StreamCh implements memberlist.Transport.
func (a *adapter[P]) StreamCh() <-chan net.Conn { return a.streams }

// Shutdown implements memberlist.Transport. The link stays open.
func (a *adapter[P]) Shutdown() error {
	a.end()
	a.pumps.Wait()
	return nil
}
