package transport_test

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/enforcer/gossip"
	"github.com/sluice-dev/sluice/enforcer/internal/seal"
	"github.com/sluice-dev/sluice/enforcer/internal/transport"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

// The node says when it wants to be called again.
func TestTicksComeWhenTheNodeAsks(t *testing.T) {
	idle, busy, hasty := says().every(gossip.Idle), says().every(gossip.Interval), says().every(-1)
	for _, n := range []*node{idle, busy, hasty} {
		run(t, n)
	}
	eventually(t, "the idle one ticks", func() bool { return idle.ticked() >= 5 })
	if i, b := idle.ticked(), busy.ticked(); b < 2*i {
		t.Errorf("%d ticks of an idle node, %d of a busy one, want at least twice as many", i, b)
	}
	if b, h := busy.ticked(), hasty.ticked(); h < b {
		t.Errorf("%d ticks of a busy node, %d of one that asks for the past, want more", b, h)
	}
}

// A node that asks for no tick gets none but the first, so that whatever happens
// was caused by what woke it.
func TestWhatWakesANodeAtRest(t *testing.T) {
	a := says().every(never)
	ta := run(t, a)
	eventually(t, "the first tick", func() bool { return a.ticked() == 1 })

	ta.SetPeers([]string{"127.0.0.1:9"})
	eventually(t, "a list of peers", func() bool { list, _ := ta.Peers(); return len(list) == 1 })
	if got := a.ticked(); got != 1 {
		t.Errorf("%d ticks after a list of peers, want only the first", got)
	}
	ta.Wake()
	eventually(t, "Wake", func() bool { return a.ticked() == 2 })
	b := says(8, transport.MaxFrame).every(never)
	tb := open(t, b)
	introduce(ta, tb)
	start(t, tb)
	for _, size := range []int{8, transport.MaxFrame} {
		eventually(t, "frames", func() bool { return a.from(tb.Addr(), size) == 1 })
	}
	eventually(t, "a tick after a frame, which may have given the node something to do", func() bool { return a.ticked() > 2 })
}

// A node that ticks soon is not asked again for each frame.
func TestFramesDoNotHastenATickThatIsNear(t *testing.T) {
	a, b := says().every(gossip.Interval), says(8).every(gossip.Urgent)
	ta, tb := run(t, a), run(t, b)
	introduce(ta, tb)
	eventually(t, "frames", func() bool { return a.from(tb.Addr(), 8) > 200 })
	if ticks, said := a.ticked(), b.ticked(); ticks > said {
		t.Errorf("%d ticks, and its peer had %d at a fifth of the interval", ticks, said)
	}
}

// What somebody waits for is said after every Hurry, and after frames, without a tick.
func TestWhatIsWaitedForIsSaidBetweenTicks(t *testing.T) {
	a, b := says().every(gossip.Interval), says(8).every(gossip.Interval)
	ta, tb := run(t, a), run(t, b)
	for range 60 {
		before := a.flushed()
		ta.Hurry()
		eventually(t, "flushed, though it may tick instead", func() bool { ta.Hurry(); return a.flushed() > before })
	}
	introduce(ta, tb)
	before := a.flushed()
	eventually(t, "flushed after frames", func() bool { return a.flushed() > before+10 })

	idle := says().every(never)
	ti := run(t, idle)
	eventually(t, "the first tick", func() bool { return idle.ticked() == 1 })
	ti.Hurry()
	eventually(t, "flushed", func() bool { return idle.flushed() == 1 })
	if got := idle.ticked(); got != 1 {
		t.Errorf("%d ticks after Hurry, want none but the first", got)
	}
}

// Wake is called for every request, at the same time as anything else.
func TestNoWakeIsLost(t *testing.T) {
	for _, span := range []limit.Span{never, gossip.Idle, gossip.Interval, gossip.Urgent} {
		a := says().every(span)
		ta := open(t, a)
		ta.Wake() // before Run, too
		start(t, ta)
		var others sync.WaitGroup
		for round := range 60 {
			before := a.ticked()
			for range round % 4 {
				others.Go(func() {
					for range 50 {
						ta.Wake()
					}
				})
			}
			ta.Wake()
			eventually(t, "a tick", func() bool { return a.ticked() > before })
		}
		others.Wait()
	}
}

// bell is a Node that answers every ring with a tick. A ring that is not seen
// before the next one is a wake-up that was lost.
type bell struct {
	quiet
	rung atomic.Int64
	seen atomic.Int64
}

func (b *bell) Tick(limit.Instant, gossip.Outbox) limit.Span {
	b.seen.Store(b.rung.Load())
	return never
}

func TestWakesWhileTheDriverGoesToRest(t *testing.T) {
	b := &bell{}
	tr := run(t, b)
	for range 5000 {
		want := b.rung.Add(1)
		tr.Wake()
		// The next ring comes while the driver is about to wait.
		for deadline := time.Now().Add(30 * time.Second); b.seen.Load() < want; runtime.Gosched() {
			if time.Now().After(deadline) {
				t.Fatalf("ring %d was not heard within 30 s", want)
			}
		}
	}
}

func TestDatagramsThatNobodyReadsAreCounted(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	a := says()
	a.hold = make(chan struct{})
	ta := run(t, a)
	conn := stranger(t, ta)
	datagram := seal.NewSealer(nil).Seal(nil, seal.Gossip, make([]byte, transport.MaxDatagram))
	for range 20_000 { // more than the largest buffer holds
		write(t, conn, datagram)
	}
	close(a.hold)
	eventually(t, "the lost ones are counted", func() bool {
		write(t, conn, datagram) // it brings the count
		s := ta.Stats()
		return s.Dropped["socket_full"] > 0 && s.ReceivedUDP.Frames+s.Dropped["socket_full"] >= 20_000
	})
}

func TestLastWordsAreSaid(t *testing.T) {
	a, b := says(8, transport.MaxFrame), says()
	ta, tb := open(t, a), run(t, b)
	stop := start(t, ta)
	introduce(ta, tb)
	eventually(t, "b hears a", func() bool { return b.from(ta.Addr(), transport.MaxFrame) > 2 })
	stop()
	// The last ticks said both sizes; the long ones were waiting for the connection.
	last := a.said()
	for number := last - 5; number <= last; number++ {
		eventually(t, "the frames of the last ticks arrive", func() bool { return b.has(ta.Addr(), number) })
	}
	if got := ta.Connections(); got != 0 {
		t.Errorf("%d connections after the end, want none", got)
	}
}
