package transport_test

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/sluice-dev/sluice/enforcer/internal/transport"
)

func TestALinkIsBounded(t *testing.T) {
	for _, size := range []int{transport.MaxDatagram + 1, transport.MaxFrame} {
		l := transport.NewLink()
		pushed := 0
		for l.Push(make([]byte, size)) {
			pushed++
		}
		frames, bytes := l.Queued()
		if frames != pushed || bytes != pushed*size || frames > transport.MaxQueuedFrames || bytes > transport.MaxQueuedBytes {
			t.Errorf("%d frames of %d bytes were taken; queued are %d with %d bytes", pushed, size, frames, bytes)
		}
		if pushed < 30 {
			t.Errorf("%d frames of %d bytes were taken, want more", pushed, size)
		}
	}
}

func TestABrokenConnectionIsOpenedAgain(t *testing.T) {
	for _, bs := range [][]byte{nil, {1}} {
		a, b := says(transport.MaxFrame), says(transport.MaxFrame)
		ta, tb := run(t, a, keys(ring(t, bs...))), run(t, b, keys(ring(t, bs...)))
		introduce(ta, tb)
		for round := range 5 {
			said := a.said()
			eventually(t, fmt.Sprintf("frames arrive after %d cuts", round), func() bool {
				return b.has(ta.Addr(), a.said()-2) && a.said() > said+3
			})
			tb.Cut()
		}
	}
}

func TestAPeerThatRestartsIsCalledAgain(t *testing.T) {
	a, b := says(transport.MaxFrame), says()
	ta := run(t, a)
	tb := open(t, b)
	stop := start(t, tb)
	introduce(ta, tb)
	eventually(t, "b hears a", func() bool { return b.from(ta.Addr(), transport.MaxFrame) > 0 })
	stop()
	eventually(t, "frames to nobody are counted", func() bool { return ta.Stats().Dropped["unreachable"] > 3 })
	again := says()
	run(t, again, func(o *transport.Options) { o.Listen = tb.Addr().String() })
	eventually(t, "the new b hears a", func() bool { return again.from(ta.Addr(), transport.MaxFrame) > 3 })
}

// A peer that takes nothing costs the others nothing, and bounded memory.
func TestASlowPeerHoldsNobodyUp(t *testing.T) {
	slow, good := says(), says()
	slow.hold = make(chan struct{})
	a := says(8, transport.MaxFrame)
	a.each = 16
	ta, tslow, tgood := run(t, a), run(t, slow), run(t, good)
	t.Cleanup(func() { close(slow.hold) })
	introduce(ta, tslow, tgood)
	eventually(t, "frames to the slow one are dropped", func() bool { return ta.Stats().Dropped["queue_full"] > 0 })
	ticks, heard := a.ticked(), good.from(ta.Addr(), 8)
	eventually(t, "the others go on", func() bool {
		return a.ticked() > ticks+20 && good.from(ta.Addr(), 8) > heard+20 && good.from(ta.Addr(), transport.MaxFrame) > 20
	})
}

func TestAPeerThatLeavesIsHungUpOn(t *testing.T) {
	a, b := says(transport.MaxFrame), says()
	ta, tb := run(t, a), run(t, b)
	introduce(ta, tb)
	eventually(t, "b hears a", func() bool { return b.from(ta.Addr(), transport.MaxFrame) > 0 })
	a.meet(nil)
	ta.SetPeers(nil)
	eventually(t, "no connection is left", func() bool { return ta.Connections() == 0 && tb.Connections() == 0 })
}

// One key follows another while frames flow, and none is lost.
func TestAKeyRotatesWhileFramesFlow(t *testing.T) {
	ra, rb := ring(t, 1), ring(t, 1)
	sizes := []int{8, transport.MaxDatagram + 1}
	a, b := says(sizes...), says(sizes...)
	ta, tb := run(t, a, keys(ra)), run(t, b, keys(rb))
	introduce(ta, tb)
	eventually(t, "frames flow", func() bool {
		return b.from(ta.Addr(), sizes[1]) > 3 && a.from(tb.Addr(), sizes[1]) > 3
	})
	firstA, firstB := a.said(), b.said()
	flow := func() {
		t.Helper()
		saidA, saidB := a.said()+10, b.said()+10
		eventually(t, "frames flow on", func() bool {
			return b.has(ta.Addr(), saidA) && b.has(ta.Addr(), saidA+1) && a.has(tb.Addr(), saidB) && a.has(tb.Addr(), saidB+1)
		})
	}
	for _, step := range []func(){
		func() { set(t, ra, 1, 2) },
		func() { set(t, rb, 1, 2) },
		func() { set(t, ra, 2, 1) },
		func() { set(t, rb, 2, 1) },
		func() { set(t, ra, 2) },
		func() { set(t, rb, 2) },
	} {
		step()
		flow()
	}
	for number := firstA; number <= a.said()-4; number++ {
		eventually(t, fmt.Sprintf("frame %d of a arrives", number), func() bool { return b.has(ta.Addr(), number) })
	}
	for number := firstB; number <= b.said()-4; number++ {
		eventually(t, fmt.Sprintf("frame %d of b arrives", number), func() bool { return a.has(tb.Addr(), number) })
	}
	for _, tr := range []*transport.Transport{ta, tb} {
		for reason, count := range tr.Stats().Dropped {
			if count > 0 {
				t.Errorf("%d dropped as %s, want none", count, reason)
			}
		}
	}
	set(t, ra, 3)
	eventually(t, "a key that only one side has is counted", func() bool { return tb.Stats().Dropped["forged"] > 0 })
}

// What is sent to the TCP port by somebody else is counted and hung up on.
func TestStrangeConnections(t *testing.T) {
	var log safeBuffer
	ta := run(t, says(), keys(ring(t, 1)), logged(&log))
	plain := append([]byte{1, 1}, make([]byte, 18)...)
	for _, c := range []struct{ name, sent, reason string }{
		{"HTTP", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "other_version"},
		{"plain", string(plain), "unsealed"},
		{"no proof", "\x02\x01" + strings.Repeat("x", 18) + "\x00\x00\x00\x10" + strings.Repeat("x", 16), "forged"},
	} {
		before := ta.Stats().Dropped[c.reason]
		conn, err := net.Dial("tcp", ta.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		write(t, conn, []byte(c.sent))
		eventually(t, c.name+" is counted", func() bool { return ta.Stats().Dropped[c.reason] > before })
		eventually(t, c.name+" is hung up on", func() bool { return ta.Connections() == 0 })
		conn.Close()
	}
	if !strings.Contains(log.String(), "--gossip-key-file") {
		t.Errorf("the log does not say what to do:\n%s", log.String())
	}
}

func TestConnectionsThatSayNothingAreBounded(t *testing.T) {
	ta := run(t, says())
	eventually(t, "some are turned away", func() bool {
		conn, err := net.Dial("tcp", ta.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return ta.Stats().Dropped["too_many_connections"] > 0
	})
}
