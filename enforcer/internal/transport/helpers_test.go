package transport_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/binary"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/enforcer/gossip"
	"github.com/sluice-dev/sluice/enforcer/gossipkey"
	"github.com/sluice-dev/sluice/enforcer/internal/clock"
	"github.com/sluice-dev/sluice/enforcer/internal/seal"
	"github.com/sluice-dev/sluice/enforcer/internal/transport"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

// never is the span of a node that waits to be woken.
const never = 1000 * 3600 * limit.Second

// node is a Node that sends frames of certain sizes to its peers at every tick,
// each with a number, and writes down what it is given.
type node struct {
	span atomic.Int64  // until the next tick; 0 means gossip.Interval
	hold chan struct{} // Receive waits for it, unless nil

	mu      sync.Mutex
	sizes   []int // of the frames of a tick; at least 8
	each    int   // how many of each size
	next    uint64
	ticks   int
	peers   []string
	heard   map[string]map[uint64]int // by sender and number: the frame's size
	count   int                       // frames that were heard
	flushes int
	refused error
}

func (n *node) Tick(_ limit.Instant, out gossip.Outbox) limit.Span {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ticks++
	for _, size := range n.sizes {
		for range n.each {
			n.next++
			for _, p := range n.peers {
				out.Send(p, numbered(n.next, size))
			}
		}
	}
	return cmp.Or(limit.Span(n.span.Load()), gossip.Interval)
}

// numbered returns a frame with a number and a size.
func numbered(number uint64, size int) []byte {
	return append(binary.BigEndian.AppendUint64(nil, number), bytes.Repeat([]byte{byte(number)}, size-8)...)
}

func (n *node) Receive(_ limit.Instant, from string, frame []byte, _ gossip.Outbox) error {
	if n.hold != nil {
		<-n.hold
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.heard == nil {
		n.heard = map[string]map[uint64]int{}
	}
	if n.heard[from] == nil {
		n.heard[from] = map[uint64]int{}
	}
	n.count++
	if len(frame) >= 8 {
		number := binary.BigEndian.Uint64(frame)
		if bytes.Equal(frame, numbered(number, len(frame))) {
			n.heard[from][number] = len(frame)
		}
	}
	return n.refused
}

func (n *node) Flush(limit.Instant, gossip.Outbox) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.flushes++
}

// flushed returns how often the node was flushed.
func (n *node) flushed() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.flushes
}

// meet replaces the list of those that the node sends to.
func (n *node) meet(peers []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.peers = peers
}

// from returns how many different frames of a size were heard from a peer.
func (n *node) from(peer netip.AddrPort, size int) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	count := 0
	for _, s := range n.heard[peer.String()] {
		if s == size {
			count++
		}
	}
	return count
}

// has says whether a frame was heard from a peer.
func (n *node) has(peer netip.AddrPort, number uint64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, ok := n.heard[peer.String()][number]
	return ok
}

// said returns the number of the newest frame that was sent.
func (n *node) said() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.next
}

func (n *node) ticked() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ticks
}

func (n *node) received() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.count
}

// says returns a node that sends a frame of each size at every tick.
func says(sizes ...int) *node { return &node{sizes: sizes, each: 1} }

// every sets the time between its ticks.
func (n *node) every(span limit.Span) *node {
	n.span.Store(int64(span))
	return n
}

// open returns a transport that does not run yet.
func open(t testing.TB, n transport.Node, options ...func(*transport.Options)) *transport.Transport {
	t.Helper()
	o := transport.Options{Listen: "127.0.0.1:0", Node: n, Now: clock.New().Now, Log: slog.New(slog.DiscardHandler)}
	for _, option := range options {
		option(&o)
	}
	tr, err := transport.Listen(o)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// start runs a transport until the test ends, or stop is called.
func start(t testing.TB, tr *transport.Transport) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- tr.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run() = %v, want nil after its context ended", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// run opens and starts a transport.
func run(t testing.TB, n transport.Node, options ...func(*transport.Options)) *transport.Transport {
	t.Helper()
	tr := open(t, n, options...)
	start(t, tr)
	return tr
}

// keys is an option that puts keys in force.
func keys(r *seal.Ring) func(*transport.Options) {
	return func(o *transport.Options) { o.Keys = r }
}

// logged is an option that writes the log down.
func logged(log *safeBuffer) func(*transport.Options) {
	return func(o *transport.Options) { o.Log = slog.New(slog.NewTextHandler(log, nil)) }
}

// safeBuffer is a bytes.Buffer for several goroutines.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// ring returns a Ring of keys, each of which repeats a byte; nil for none.
func ring(t testing.TB, bs ...byte) *seal.Ring {
	t.Helper()
	if len(bs) == 0 {
		return nil
	}
	r, err := seal.NewRing(keyList(t, bs...)...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// set puts other keys into a ring.
func set(t testing.TB, r *seal.Ring, bs ...byte) {
	t.Helper()
	if err := r.Set(keyList(t, bs...)); err != nil {
		t.Fatal(err)
	}
}

func keyList(t testing.TB, bs ...byte) []gossipkey.Key {
	t.Helper()
	var text []byte
	for _, b := range bs {
		text = base64.StdEncoding.AppendEncode(text, bytes.Repeat([]byte{b}, gossipkey.Size))
		text = append(text, '\n')
	}
	list, err := gossipkey.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// introduce makes transports each other's peers.
func introduce(all ...*transport.Transport) {
	var list []string
	for _, t := range all {
		list = append(list, t.Addr().String())
	}
	for i, t := range all {
		others := slices.Delete(slices.Clone(list), i, i+1)
		t.Node().(*node).meet(others)
		t.SetPeers(others)
	}
}

// stranger returns a UDP socket that sends to a transport.
func stranger(t testing.TB, to *transport.Transport) *net.UDPConn {
	t.Helper()
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// write sends a datagram, or fails the test.
func write(t testing.TB, conn net.Conn, b []byte) {
	t.Helper()
	if _, err := conn.Write(b); err != nil {
		t.Fatal(err)
	}
}

// eventually waits until ok holds.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(30 * time.Second); !ok(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}
