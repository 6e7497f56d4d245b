package transport_test

import (
	"runtime"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/sluice-dev/sluice/enforcer/internal/seal"
	"github.com/sluice-dev/sluice/enforcer/internal/transport"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

// sleeper is a node that is idle when it is told so.
type sleeper struct {
	*node
	idle atomic.Bool
}

func (s *sleeper) Idle(limit.Instant) bool { return s.idle.Load() }

func TestAnIdleNodeTicksSeldom(t *testing.T) {
	idle, busy := &sleeper{node: says()}, &sleeper{node: says()}
	idle.idle.Store(true)
	run(t, idle)
	run(t, busy)
	eventually(t, "the idle one ticks", func() bool { return idle.ticked() >= 5 })
	if i, b := idle.ticked(), busy.ticked(); b < 2*i {
		t.Errorf("%d ticks of an idle node, %d of a busy one, want at least twice as many", i, b)
	}
}

// A driver that sleeps takes no ticks at all here, so that whatever happens was
// caused by what woke it.
func TestWhatWakesAnIdleNode(t *testing.T) {
	a, b := &sleeper{node: says()}, says(8, transport.MaxFrame)
	a.idle.Store(true)
	ta, tb := open(t, a), run(t, b)
	ta.NeverTickWhileIdle()
	stop := start(t, ta)

	ta.SetPeers([]string{tb.Addr().String()})
	eventually(t, "a list of peers", func() bool { return slices.Equal(a.current(), []string{tb.Addr().String()}) })
	tb.SetPeers([]string{ta.Addr().String()})
	for _, size := range []int{8, transport.MaxFrame} {
		eventually(t, "frames", func() bool { return a.from(tb.Addr(), size) >= 5 })
	}
	if got := a.ticked(); got > 0 {
		t.Errorf("%d ticks while the node was idle, want none", got)
	}
	for range 3 {
		before := a.ticked()
		a.idle.Store(false)
		ta.Wake()
		eventually(t, "Wake", func() bool { return a.ticked() > before+3 })
		a.idle.Store(true)
		eventually(t, "no more ticks", func() bool {
			before := a.ticked()
			for seen := a.received(); a.received() < seen+20; {
				runtime.Gosched()
			}
			return a.ticked() == before
		})
	}
	stop() // the end of the context, too
}

// Wake is called for every request, at the same time as anything else.
func TestNoWakeIsLost(t *testing.T) {
	a := &sleeper{node: says()}
	a.idle.Store(true)
	ta := open(t, a)
	ta.NeverTickWhileIdle()
	start(t, ta)
	for i := range 60 {
		before := a.ticked()
		a.idle.Store(false)
		ta.Wake()
		for range i % 7 * 30 {
			ta.Wake()
		}
		eventually(t, "a tick", func() bool { return a.ticked() > before })
		a.idle.Store(true)
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
