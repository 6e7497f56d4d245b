package transport_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-dev/sluice/enforcer/internal/clock"
	"github.com/sluice-dev/sluice/enforcer/internal/seal"
	"github.com/sluice-dev/sluice/enforcer/internal/transport"
)

func TestNodesTalkOverLoopback(t *testing.T) {
	for _, c := range []struct {
		name string
		keys []byte
	}{{"plain", nil}, {"sealed", []byte{1, 2}}} {
		t.Run(c.name, func(t *testing.T) {
			sizes := []int{8, transport.MaxDatagram, transport.MaxDatagram + 1, transport.MaxFrame}
			a, b := says(sizes...), says(sizes...)
			ta, tb := run(t, a, keys(ring(t, c.keys...))), run(t, b, keys(ring(t, c.keys...)))
			introduce(ta, tb)
			for _, size := range sizes {
				eventually(t, fmt.Sprintf("each hears frames of %d bytes under the address in its list", size), func() bool {
					return a.from(tb.Addr(), size) >= 5 && b.from(ta.Addr(), size) >= 5
				})
			}
			s := ta.Stats()
			for name, traffic := range map[string]transport.Traffic{
				"sent by UDP": s.SentUDP, "sent by TCP": s.SentTCP, "received by UDP": s.ReceivedUDP, "received by TCP": s.ReceivedTCP,
			} {
				if traffic.Frames == 0 || traffic.Bytes < traffic.Frames*8 {
					t.Errorf("%s: %+v, want some", name, traffic)
				}
			}
			for reason, count := range s.Dropped {
				if count > 0 {
					t.Errorf("%d dropped as %s, want none", count, reason)
				}
			}
			if got := ta.Connections(); got != 2 {
				t.Errorf("%d connections, want one each way", got)
			}
		})
	}
}

func TestFramesThatAreTooLongAreNotSent(t *testing.T) {
	a, b := says(transport.MaxFrame+1, 8), says(8)
	ta, tb := run(t, a), run(t, b)
	introduce(ta, tb)
	eventually(t, "b hears the short ones", func() bool { return b.from(ta.Addr(), 8) > 3 })
	eventually(t, "the long ones are counted", func() bool { return ta.Stats().Dropped["too_long"] > 0 })
	if got := ta.Stats().SentTCP.Frames; got > 0 {
		t.Errorf("%d sent, want none", got)
	}
}

// Everybody may send to the port; what is not from a peer with the key is counted
// by reason, and the node does not see it.
func TestWhatIsNotFromAPeerIsDroppedAndCounted(t *testing.T) {
	sealed := func(r *seal.Ring, payload string) []byte {
		return seal.NewSealer(r).Seal(nil, seal.Gossip, []byte(payload))
	}
	again := sealed(ring(t, 1), "counts")
	for _, c := range []struct {
		name     string
		keys     []byte
		sent     [][]byte
		reason   string
		dropped  uint64
		received int
	}{
		{"noise", []byte{1}, [][]byte{[]byte("x"), {}, bytes.Repeat([]byte{2}, 30)}, "garbled", 3, 0},
		{"noise, without a key", nil, [][]byte{{1, 1, 0, 0, 0, 0, 'x'}}, "garbled", 1, 0},
		{"longer than a datagram may be", nil, [][]byte{seal.NewSealer(nil).Seal(nil, seal.Gossip, make([]byte, 2*transport.MaxDatagram))}, "garbled", 1, 0},
		{"another protocol", []byte{1}, [][]byte{[]byte("GET / HTTP/1.1")}, "other_version", 1, 0},
		{"forged", []byte{1}, [][]byte{sealed(ring(t, 2), "counts"), sealed(ring(t, 3), "counts")}, "forged", 2, 0},
		{"not sealed", []byte{1}, [][]byte{sealed(nil, "counts")}, "unsealed", 1, 0},
		{"sealed, without a key", nil, [][]byte{sealed(ring(t, 1), "counts")}, "no_key", 1, 0},
		{"repeated", []byte{1}, [][]byte{again, again, again}, "replayed", 2, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := says()
			ta := run(t, a, keys(ring(t, c.keys...)))
			conn := stranger(t, ta)
			for _, datagram := range c.sent {
				write(t, conn, datagram)
			}
			eventually(t, "they are counted", func() bool { return ta.Stats().Dropped[c.reason] == c.dropped })
			// What comes after them is heard.
			write(t, conn, sealed(ring(t, c.keys...), "more"))
			eventually(t, "a good one is heard", func() bool { return a.received() == c.received+1 })
			for reason, count := range ta.Stats().Dropped {
				if reason != c.reason && count > 0 {
					t.Errorf("%d dropped as %s, want none", count, reason)
				}
			}
		})
	}
}

func TestRefusedFramesAreCountedAndSeldomLogged(t *testing.T) {
	var log safeBuffer
	a := says()
	a.refused = errors.New("not for me")
	ta := run(t, a, logged(&log))
	conn, sealer := stranger(t, ta), seal.NewSealer(nil)
	eventually(t, "frames are refused", func() bool {
		_, _ = conn.Write(sealer.Seal(nil, seal.Gossip, []byte("x")))
		return ta.Stats().Refused >= 20
	})
	if got := strings.Count(log.String(), "not for me"); got > 3 {
		t.Errorf("%d lines of log, want one in ten seconds", got)
	}
}

func TestThatNothingIsAuthenticatedIsLoggedOnce(t *testing.T) {
	for _, c := range []struct {
		keys []byte
		want int
	}{{nil, 1}, {[]byte{1}, 0}} {
		var log safeBuffer
		a := says()
		ta := run(t, a, logged(&log), keys(ring(t, c.keys...)))
		for i := range 5 {
			list := []string{fmt.Sprintf("127.0.0.1:%d", i+1)}
			ta.SetPeers(list)
			eventually(t, "the list is in force", func() bool { got, _ := ta.Peers(); return slices.Equal(got, list) })
		}
		if got := strings.Count(log.String(), "gossip is not authenticated"); got != c.want {
			t.Errorf("%d keys: logged %d times, want %d:\n%s", len(c.keys), got, c.want, log.String())
		}
	}
}

func TestListenNamesTheAddressThatIsWrong(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, listen := range []string{"nonsense", "127.0.0.1:99999", "192.0.2.1:7946", taken.Addr().String()} {
		_, err := transport.Listen(transport.Options{Listen: listen, Node: says(), Now: clock.New().Now, Log: slog.New(slog.DiscardHandler)})
		if err == nil || !strings.Contains(err.Error(), listen) {
			t.Errorf("Listen(%q) = %v, want an error that names it", listen, err)
		}
	}
}

func TestBothProtocolsHaveOnePort(t *testing.T) {
	for _, listen := range []string{"127.0.0.1:0", "[::1]:0", ":0"} {
		tr := open(t, says(), func(o *transport.Options) { o.Listen = listen })
		port := tr.Addr().Port()
		addr := netip.AddrPortFrom(tr.Addr().Addr(), port)
		if addr.Addr().IsUnspecified() {
			addr = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)
		}
		conn, err := net.Dial("tcp", addr.String())
		if err != nil {
			t.Errorf("%s: no TCP on the port of UDP: %v", listen, err)
		} else {
			conn.Close()
		}
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
		if again, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(addr)); err != nil {
			t.Errorf("%s: Close left the port open: %v", listen, err)
		} else {
			again.Close()
		}
	}
}
