package lease_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/lease"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

// wire carries frames between two nodes; to is told who sent.
type wire struct{ frames [][]byte }

func (w *wire) Send(_ string, frame []byte) {
	w.frames = append(w.frames, append([]byte(nil), frame...))
}

// Take, Undo and Owner are called from many goroutines while the drivers work: nothing is
// admitted twice, and the race detector finds nothing.
func TestRequestsBesideTheDriver(t *testing.T) {
	params := bucket(1, limit.Hour, 1000)
	var nodes [2]*lease.Node
	for i := range nodes {
		n, err := lease.New(lease.Options{
			Name: limit.NodeID('a' + rune(i)), Life: uint64(i + 1), MaxKeys: 1000,
			Params: func(limit.Instant, uint64, uint16) *decide.Params { return &params },
		})
		if err != nil {
			t.Fatal(err)
		}
		nodes[i] = n
	}
	meet := func(at limit.Instant) {
		for i, n := range nodes {
			o := 1 - i
			n.SetPool(at, lease.Pool{Owns: true, Parts: 2, Peers: []lease.Peer{
				{Name: limit.NodeID('a' + rune(o)), Number: 1, Address: "peer", Life: uint64(o + 1), Owns: true, Reachable: true},
			}})
		}
	}
	meet(start)
	var now atomic.Int64
	now.Store(int64(start))
	var wires [2]wire // by sender
	pass := func(ticks int) {
		for range ticks {
			at := limit.Instant(now.Add(int64(limit.Millisecond)))
			for i, n := range nodes {
				n.Tick(at, &wires[i])
			}
			for i, n := range nodes {
				frames := wires[1-i].frames
				wires[1-i].frames = nil
				for _, frame := range frames {
					if err := n.Receive(at, "peer", frame, &wires[i]); err != nil {
						t.Error(err)
					}
				}
				n.Flush(at, &wires[i])
			}
		}
	}
	pass(100) // one of them owns the key now
	var asked, admitted atomic.Int64
	done := make(chan struct{})
	var asking sync.WaitGroup
	for g := range 8 {
		asking.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				c := lease.Charge{ID: id(7), Params: &params, Cost: 1}
				at := limit.Instant(now.Load())
				nodes[g%2].Take(at, &c, nil)
				if by := nodes[g%2].Owner(id(7).Key); by != "a" && by != "b" {
					t.Errorf("%q keeps the count", by)
				}
				asked.Add(1)
				switch {
				case c.Outcome == lease.Admitted && i%5 == 0:
					nodes[g%2].Undo(at, &c)
				case c.Outcome == lease.Admitted:
					admitted.Add(1)
				}
			}
		})
	}
	for asked.Load() < 50_000 { // on one processor it is long until others get a turn
		pass(100)
		meet(limit.Instant(now.Load()))
	}
	pass(1000)
	close(done)
	asking.Wait()
	if got := admitted.Load(); got > 1000 || got < 900 {
		t.Errorf("%d of 1000 tokens were admitted", got)
	}
}
