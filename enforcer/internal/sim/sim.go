// Package sim runs many nodes in one goroutine and in virtual time, with a
// network between them that delays, loses, repeats and reorders frames and can
// be cut in parts, and with nodes that stall, crash and have clocks of their
// own. A run is a function of the script and the seed: a failure is repeated by
// its seed, and Trace tells whether two runs were the same.
//
// It is made for thousands of nodes and tens of millions of events: a frame
// under way or a pending call is a slot in a table, and its room is used again.
package sim

import (
	"math/rand/v2"

	"github.com/sluice-dev/sluice/enforcer/limit"
)

// World is an event loop with a clock of its own and a network. It is not safe
// for concurrent use. Make one with New.
type World struct {
	now    limit.Instant
	queue  queue
	order  uint64
	calls  slots[call]
	frames slots[frame]
	rand   *rand.Rand
	trace  uint64

	nodes  []*Node
	byAddr map[string]*Node

	// Link says what the network does to a frame between two addresses; nil is
	// a perfect network without delay.
	Link func(from, to string) Link

	// Frames and Bytes were sent so far, whether or not they arrived.
	Frames, Bytes uint64
}

// New returns a World at a point in time.
func New(seed uint64, start limit.Instant) *World {
	return &World{now: start, rand: rand.New(rand.NewPCG(seed, 1)), byAddr: map[string]*Node{}}
}

// Now returns the virtual time: that of a perfect clock, which no node need have.
func (w *World) Now() limit.Instant { return w.now }

// Rand returns the World's source of randomness. What must not depend on how
// much the network used of it, such as the load, needs a source of its own.
func (w *World) Rand() *rand.Rand { return w.rand }

// At has f run at t, or now when t has passed; events of one instant run in the
// order in which they were asked for. Nothing is allocated for a func value that
// exists already.
func (w *World) At(t limit.Instant, f func()) { w.push(t, call{run: f}) }

// Every has f run at t and then once per period, until f returns false.
func (w *World) Every(t limit.Instant, period limit.Span, f func() bool) {
	var again func()
	again = func() {
		if f() {
			t = t.Add(period)
			w.At(t, again)
		}
	}
	w.At(t, again)
}

// Run lets time pass, by d.
func (w *World) Run(d limit.Span) {
	until := w.now.Add(d)
	for len(w.queue) > 0 && w.queue[0].at <= until {
		e := w.queue.pop()
		w.now = e.at
		if e.kind == frameArrives {
			w.deliver(e.slot)
		} else {
			w.call(e.slot)
		}
	}
	w.now = until
}

// call is a function that runs at some instant. When it belongs to a node, it
// waits while that stalls, and dies with it.
type call struct {
	run  func()
	node *Node  // nil: the World's own
	life uint64 // of node, when the call was asked for
}

func (w *World) push(t limit.Instant, c call) {
	w.queueAt(t, callDue, w.calls.put(c))
}

func (w *World) call(slot uint32) {
	c := *w.calls.at(slot)
	if n := c.node; n != nil {
		if c.life != n.life {
			w.calls.free(slot)
			return
		}
		if n.resumes > w.now {
			w.queueAt(n.resumes, callDue, slot)
			return
		}
		w.Note(uint64(n.index))
	}
	w.calls.free(slot)
	w.Note(uint64(w.now))
	c.run()
}
