package membership_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"
)

// network carries datagrams and streams between sides, in memory. It belongs in a
// synctest bubble.
type network struct {
	delay time.Duration // one way

	mu     sync.Mutex
	loss   float64 // of datagrams, 0 to 1
	sides  map[string]*side
	cut    func(from, to string) bool // nil: nothing is cut
	random *rand.Rand
}

func newNetwork(t *testing.T, seed uint64) *network {
	// In a bubble time stands still once the test is over, and memberlist's probes
	// end by their timers.
	t.Cleanup(func() { time.Sleep(5 * time.Second) })
	return &network{delay: time.Millisecond, sides: map[string]*side{}, random: rand.New(rand.NewPCG(seed, 0))}
}

// split cuts the network between those for whom left is true and the others; nil
// heals it.
func (n *network) split(left func(address string) bool) {
	if left == nil {
		n.sever(nil)
		return
	}
	n.sever(func(from, to string) bool { return left(from) != left(to) })
}

// sever cuts the links for which cut is true.
func (n *network) sever(cut func(from, to string) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut = cut
}

// lose changes the loss.
func (n *network) lose(fraction float64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.loss = fraction
}

// datagram has the form that a Link's packets must have.
type datagram struct {
	Data []byte
	From netip.AddrPort
	At   time.Time
}

// side is the Link of one enforcer.
type side struct {
	network *network
	address string
	packets chan datagram
	streams chan net.Conn

	stalled time.Time // until then nothing comes in or goes out; guarded by network.mu
}

// listen makes a new side at address, instead of the one that was there.
func (n *network) listen(address string) *side {
	s := &side{network: n, address: address, packets: make(chan datagram, 1024), streams: make(chan net.Conn, 64)}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sides[address] = s
	return s
}

// close makes everything that is sent to or from s vanish.
func (s *side) close() {
	s.network.mu.Lock()
	defer s.network.mu.Unlock()
	if s.network.sides[s.address] == s {
		delete(s.network.sides, s.address)
	}
}

// stall holds everything to and from s for a while, like a process that is paused.
func (s *side) stall(d time.Duration) {
	s.network.mu.Lock()
	defer s.network.mu.Unlock()
	s.stalled = time.Now().Add(d)
}

// pause returns how long s is stalled still.
func (s *side) pause() time.Duration {
	s.network.mu.Lock()
	defer s.network.mu.Unlock()
	return max(0, time.Until(s.stalled))
}

// to returns the side at address if s can reach it.
func (s *side) to(address string) *side {
	s.network.mu.Lock()
	defer s.network.mu.Unlock()
	if s.network.sides[s.address] != s || s.network.cut != nil && s.network.cut(s.address, address) {
		return nil
	}
	return s.network.sides[address]
}

func (s *side) lost() bool {
	s.network.mu.Lock()
	defer s.network.mu.Unlock()
	return s.network.random.Float64() < s.network.loss
}

func (s *side) WriteTo(b []byte, address string) (time.Time, error) {
	if s.lost() {
		return time.Now(), nil
	}
	p := datagram{Data: append([]byte(nil), b...), From: netip.MustParseAddrPort(s.address)}
	var deliver func()
	deliver = func() {
		other := s.to(address)
		if other == nil {
			return
		}
		if wait := other.pause(); wait > 0 {
			time.AfterFunc(wait, deliver)
			return
		}
		p.At = time.Now()
		select {
		case other.packets <- p:
		default:
		}
	}
	time.AfterFunc(s.pause()+s.network.delay, deliver)
	return time.Now(), nil
}

func (s *side) Dial(ctx context.Context, address string) (net.Conn, error) {
	for {
		other := s.to(address)
		if other == nil { // nobody says that there is nobody
			<-ctx.Done()
			return nil, errors.New("no answer from " + address)
		}
		wait := max(s.pause(), other.pause())
		if wait == 0 {
			near, far := net.Pipe()
			other.streams <- far
			return near, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(wait + s.network.delay):
		}
	}
}

func (s *side) Packets() <-chan datagram { return s.packets }
func (s *side) Streams() <-chan net.Conn { return s.streams }
