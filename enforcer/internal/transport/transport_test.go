package transport_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-dev/sluice/enforcer/gossip"
	"github.com/sluice-dev/sluice/enforcer/internal/clock"
	"github.com/sluice-dev/sluice/enforcer/internal/transport"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

// echo is a Node that writes down what it is given, and at every tick sends a
// greeting to its peers.
type echo struct {
	hold chan struct{} // Receive waits for it, unless nil

	mu      sync.Mutex
	name    string
	peers   []string
	heard   map[string]string // the last frame by sender
	lists   int
	refused error
}

func (e *echo) Tick(_ limit.Instant, out gossip.Outbox) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, p := range e.peers {
		out.Send(p, []byte(e.name))
	}
}

func (e *echo) Receive(_ limit.Instant, from string, frame []byte, _ gossip.Outbox) error {
	if e.hold != nil {
		<-e.hold
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heard[from] = string(frame)
	return e.refused
}

func (e *echo) SetPeers(_ limit.Instant, peers []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.peers = peers
	e.lists++
}

func (e *echo) said(from netip.AddrPort) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.heard[from.String()]
}

func (e *echo) current() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.peers)
}

// run starts a transport that stops with the test.
func run(t *testing.T, node *echo, options func(*transport.Options)) *transport.Transport {
	t.Helper()
	node.heard = map[string]string{}
	o := transport.Options{Listen: "127.0.0.1:0", Node: node, Now: clock.New().Now, Log: slog.New(slog.DiscardHandler)}
	if options != nil {
		options(&o)
	}
	tr, err := transport.Listen(o)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- tr.Run(t.Context()) }()
	t.Cleanup(func() {
		if err := <-done; err != nil {
			t.Errorf("Run() = %v, want nil after its context ended", err)
		}
	})
	return tr
}

// eventually waits until ok holds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(10 * time.Second); !ok(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

func TestNodesTalkOverLoopback(t *testing.T) {
	a, b := &echo{name: "a"}, &echo{name: "b"}
	ta, tb := run(t, a, nil), run(t, b, nil)
	ta.SetPeers([]string{tb.Addr().String()})
	tb.SetPeers([]string{ta.Addr().String()})
	eventually(t, "a hears b under the address in its list", func() bool { return a.said(tb.Addr()) == "b" })
	eventually(t, "b hears a under the address in its list", func() bool { return b.said(ta.Addr()) == "a" })
	if s := ta.Stats(); s.Sent == 0 || s.Received == 0 || s.Dropped != 0 {
		t.Errorf("Stats() = %+v, want some sent and received, none dropped", s)
	}
}

func TestALongerDatagramIsNotCutToAFrame(t *testing.T) {
	a := &echo{name: "a"}
	ta := run(t, a, nil)
	conn, err := net.Dial("udp", ta.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(bytes.Repeat([]byte("x"), 2*gossip.MaxFrame)); err != nil {
		t.Fatal(err)
	}
	from := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	eventually(t, "the datagram arrives longer than a frame", func() bool { return len(a.said(from)) > gossip.MaxFrame })
}

func TestFramesThatNobodyTakesAreDroppedAndCounted(t *testing.T) {
	a := &echo{name: "a", hold: make(chan struct{})}
	ta := run(t, a, nil)
	t.Cleanup(func() { close(a.hold) })
	conn, err := net.Dial("udp", ta.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	eventually(t, "frames are dropped", func() bool {
		for range 50 {
			_, _ = conn.Write([]byte("x"))
		}
		return ta.Stats().Dropped > 0
	})
}

func TestRefusedFramesAreCountedAndSeldomLogged(t *testing.T) {
	var log bytes.Buffer
	a := &echo{name: "a", refused: errors.New("not for me")}
	ta := run(t, a, func(o *transport.Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	conn, err := net.Dial("udp", ta.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	eventually(t, "frames are refused", func() bool {
		_, _ = conn.Write([]byte("x"))
		return ta.Stats().Refused >= 20
	})
	t.Cleanup(func() {
		if got := strings.Count(log.String(), "not for me"); got > 2 {
			t.Errorf("%d lines of log, want one in ten seconds", got)
		}
	})
}

func TestNamesAreResolvedAgain(t *testing.T) {
	// The bubble owns the time between two look-ups; no socket is involved.
	synctest.Test(t, func(t *testing.T) {
		var answer atomic.Pointer[[]netip.Addr] // nil: the resolver is away
		lookup := func(_ context.Context, host string) ([]netip.Addr, error) {
			if found := answer.Load(); found != nil && host == "pod-1.sluice" {
				return *found, nil
			}
			return nil, errors.New("no such host")
		}
		var log bytes.Buffer
		lists := transport.RunResolver(t, lookup, netip.MustParseAddr("10.0.0.9"), slog.New(slog.NewTextHandler(&log, nil)))

		lists.Set("pod-1.sluice:7946", "10.0.0.1:7946", "[::ffff:10.0.0.2]:7946")
		lists.Want("pod-1.sluice:7946 without address", "10.0.0.1:7946", "10.0.0.2:7946")

		answer.Store(&[]netip.Addr{netip.MustParseAddr("10.0.0.5"), netip.MustParseAddr("fd00::5")})
		lists.Want("10.0.0.1:7946", "10.0.0.2:7946", "10.0.0.5:7946")

		answer.Store(&[]netip.Addr{netip.MustParseAddr("10.0.0.6")})
		lists.Want("10.0.0.1:7946", "10.0.0.2:7946", "10.0.0.6:7946")

		answer.Store(nil)
		<-time.After(time.Hour) // a resolver that is away changes nothing
		lists.Set("pod-1.sluice:7946")
		lists.Want("10.0.0.6:7946")

		lists.Set()
		lists.Want()
		if got := strings.Count(log.String(), "cannot resolve"); got != 2 {
			t.Errorf("%d complaints, want one each time that it began to fail:\n%s", got, log.String())
		}
	})
}

func TestOnlyReachableFamiliesAreUsed(t *testing.T) {
	both := []netip.Addr{netip.MustParseAddr("10.0.0.5"), netip.MustParseAddr("fd00::5")}
	lookup := func(context.Context, string) ([]netip.Addr, error) { return both, nil }
	for _, c := range []struct {
		local string
		want  []string
	}{
		{"127.0.0.1", []string{"10.0.0.5:1"}},
		{"0.0.0.0", []string{"10.0.0.5:1"}},
		{"::1", []string{"[fd00::5]:1"}},
		{"::", []string{"10.0.0.5:1", "[fd00::5]:1"}},
	} {
		t.Run(fmt.Sprintf("a socket bound to %s", c.local), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				lists := transport.RunResolver(t, lookup, netip.MustParseAddr(c.local), slog.New(slog.DiscardHandler))
				lists.Set("name:1")
				lists.Want(c.want...)
			})
		})
	}
}

func TestPeersAreReplacedWhileRunning(t *testing.T) {
	a := &echo{name: "a"}
	ta := run(t, a, nil)
	for i := range 50 {
		ta.SetPeers([]string{fmt.Sprintf("127.0.0.1:%d", i+1)})
	}
	eventually(t, "the last list is in force", func() bool { return slices.Equal(a.current(), []string{"127.0.0.1:50"}) })
}

func TestListenNamesTheAddressThatIsWrong(t *testing.T) {
	for _, listen := range []string{"nonsense", "127.0.0.1:99999", "192.0.2.1:7946"} {
		_, err := transport.Listen(transport.Options{Listen: listen, Node: &echo{}, Now: clock.New().Now, Log: slog.New(slog.DiscardHandler)})
		if err == nil || !strings.Contains(err.Error(), listen) {
			t.Errorf("Listen(%q) = %v, want an error that names it", listen, err)
		}
	}
}
