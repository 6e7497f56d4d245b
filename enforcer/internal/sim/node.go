package sim

import "github.com/sluice-dev/sluice/enforcer/limit"

// Node is what is at one address: it has a clock of its own, can stall, and its
// traffic is counted. It stays when what runs there crashes and starts again.
type Node struct {
	world   *World
	address string
	index   int
	receive func(from string, frame []byte)
	life    uint64         // counts what was attached here
	group   int            // of Split; 0: in none
	broken  map[*Node]bool // links from here, of Break
	resumes limit.Instant  // the end of a stall
	traffic Traffic

	set    limit.Instant // when the clock was set
	offset limit.Span
	drift  float64
}

// Traffic counts what passed the network card of a node. What it sent to a node
// that did not get it counts as sent.
type Traffic struct{ FramesOut, BytesOut, FramesIn, BytesIn uint64 }

// Node returns the node at an address, and makes it if there is none.
func (w *World) Node(address string) *Node {
	n := w.byAddr[address]
	if n == nil {
		n = &Node{world: w, address: address, index: len(w.nodes)}
		w.nodes = append(w.nodes, n)
		w.byAddr[address] = n
	}
	return n
}

// Reaches says whether Split and Break let frames pass from n to another node.
func (n *Node) Reaches(o *Node) bool { return n.group == o.group && !n.broken[o] }

// Traffic returns the counts so far.
func (n *Node) Traffic() Traffic { return n.traffic }

// Now returns the time by the node's own clock.
func (n *Node) Now() limit.Instant {
	now := n.world.now
	if n.drift != 0 {
		now = now.Add(limit.Span(n.drift * float64(now.Sub(n.set))))
	}
	return now.Add(n.offset)
}

// SetClock steps the node's clock to offset from the true time, from which it
// then departs by drift seconds a second (100e-6 is a poor crystal). The zero
// values are a perfect clock.
func (n *Node) SetClock(offset limit.Span, drift float64) {
	n.set, n.offset, n.drift = n.world.now, offset, drift
}

// Pause stalls the node for d, as a garbage collector, a throttled container or
// a suspended machine does: frames and calls wait for its end, and then come in
// their order. The clock goes on.
func (n *Node) Pause(d limit.Span) { n.resumes = max(n.resumes, n.world.now.Add(d)) }

// Paused says whether the node stalls, and until when.
func (n *Node) Paused() (until limit.Instant, yes bool) {
	return n.resumes, n.resumes > n.world.now
}

// After has f run on the node when d has passed on its own clock: later if the
// node stalls, and never if what is attached to it has changed by then.
func (n *Node) After(d limit.Span, f func()) {
	n.world.push(n.world.now.Add(n.real(d)), call{run: f, node: n, life: n.life})
}

// Every has f run on the node after first, and then once per period of its own
// clock, until f returns false or the node crashes. Like a ticker, it drops what
// it misses in a stall.
func (n *Node) Every(first, period limit.Span, f func() bool) {
	var again func()
	again = func() {
		if f() {
			n.After(period, again)
		}
	}
	n.After(first, again)
}

// real returns how long the node's clock takes to go on by d.
func (n *Node) real(d limit.Span) limit.Span {
	if n.drift == 0 {
		return d
	}
	return limit.Span(float64(d) / (1 + n.drift))
}
