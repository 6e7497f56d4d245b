// Package sim runs many nodes in one goroutine and in virtual time, with a
// network between them that delays, loses, repeats and reorders frames. A run is
// a function of the script and the seed: a failure is repeated by its seed.
package sim

import (
	"container/heap"
	"math/rand/v2"

	"github.com/sluice-dev/sluice/enforcer/limit"
)

// World is an event loop with a clock of its own and a network. It is not safe
// for concurrent use. Make one with New.
type World struct {
	now    limit.Instant
	events events
	order  uint64
	rand   *rand.Rand
	nodes  map[string]func(from string, frame []byte)

	// Link says what the network does to a frame between two addresses; nil is
	// a perfect network without delay.
	Link func(from, to string) Link

	// Frames and Bytes were sent so far, whether or not they arrived.
	Frames, Bytes uint64
}

// Link is the quality of one direction of one connection.
type Link struct {
	Loss, Repeat float64    // probabilities, 0 to 1
	Min, Max     limit.Span // delay, uniform; frames overtake each other when they differ
}

// New returns a World at a point in time.
func New(seed uint64, start limit.Instant) *World {
	return &World{now: start, rand: rand.New(rand.NewPCG(seed, 1)), nodes: map[string]func(string, []byte){}}
}

// Now returns the virtual time.
func (w *World) Now() limit.Instant { return w.now }

// Rand returns the run's only source of randomness.
func (w *World) Rand() *rand.Rand { return w.rand }

// At has f run at t, or now when t has passed; events of one instant run in the
// order in which they were asked for.
func (w *World) At(t limit.Instant, f func()) {
	w.order++
	heap.Push(&w.events, event{max(t, w.now), w.order, f})
}

// Every has f run at t and then once per period, until f returns false.
func (w *World) Every(t limit.Instant, period limit.Span, f func() bool) {
	w.At(t, func() {
		if f() {
			w.Every(t.Add(period), period, f)
		}
	})
}

// Run lets time pass, by d.
func (w *World) Run(d limit.Span) {
	until := w.now.Add(d)
	for len(w.events) > 0 && w.events[0].at <= until {
		e := heap.Pop(&w.events).(event)
		w.now = e.at
		e.run()
	}
	w.now = until
}

// Attach has frames to an address delivered to receive, in place of whatever
// was there; nil unplugs the address, and frames under way to it are lost.
func (w *World) Attach(address string, receive func(from string, frame []byte)) {
	w.nodes[address] = receive
}

// Outbox sends from one address; it fits every interface that wants
// Send(to string, frame []byte).
type Outbox struct {
	world *World
	from  string
}

// Outbox returns the sending end of an address.
func (w *World) Outbox(from string) Outbox { return Outbox{w, from} }

// Send puts a copy of frame on the network.
func (o Outbox) Send(to string, frame []byte) {
	w := o.world
	w.Frames++
	w.Bytes += uint64(len(frame))
	var link Link
	if w.Link != nil {
		link = w.Link(o.from, to)
	}
	copied := append([]byte(nil), frame...)
	for {
		if w.rand.Float64() >= link.Loss {
			delay := link.Min
			if link.Max > link.Min {
				delay += limit.Span(w.rand.Int64N(int64(link.Max - link.Min)))
			}
			w.At(w.now.Add(delay), func() {
				if receive := w.nodes[to]; receive != nil {
					receive(o.from, copied)
				}
			})
		}
		if w.rand.Float64() >= link.Repeat {
			return
		}
	}
}

type event struct {
	at    limit.Instant
	order uint64
	run   func()
}

// events is a heap, earliest first.
type events []event

func (e events) Len() int { return len(e) }

func (e events) Less(i, j int) bool {
	if e[i].at != e[j].at {
		return e[i].at < e[j].at
	}
	return e[i].order < e[j].order
}

func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }

func (e *events) Push(x any) { *e = append(*e, x.(event)) }

func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}
