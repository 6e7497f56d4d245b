// Package gossip shares counters between the enforcers of a pool. It is a state
// machine without I/O: time and frames go in by Tick and Receive, frames come
// out through an Outbox, and counters are reached through the small Counters
// interface. What is said of one counter, and when, is the arithmetic of package
// share; this package carries it.
//
// Each counter has a home among the nodes, its rendezvous peer, which every node
// finds by itself (package ring). A node that takes from a counter reports to the
// home, and only what the home would not have expected; the home keeps the one
// global level, and tells those whose view of it has become wrong. So the cost of
// a counter does not grow with the square of the nodes, and one that is far from
// its limit costs nothing.
//
// Reports and states are cumulative: a newer one replaces an older one, a repeated
// one changes nothing, and a lost one is mended by the next. No clocks are
// compared: what travels are counts, rates and ages.
package gossip

import (
	"errors"
	"fmt"

	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/ring"
	"github.com/sluice-dev/sluice/enforcer/share"
)

const (
	// Interval is how often a driver calls Tick while counters are shared.
	Interval = 5 * limit.Millisecond

	// Urgent is how often it does while requests are decided on them.
	Urgent = limit.Millisecond

	// Idle is how often it does while nothing is shared.
	Idle = 200 * limit.Millisecond

	// Delay is how long it takes in a cluster until what one node did has reached
	// the others by way of the home: two hops of half an Interval and 1.5 ms.
	Delay = 8 * limit.Millisecond

	// joinWait is how long a node waits for its peers' counts before it counts as
	// joined without them.
	joinWait = 3 * limit.Second

	// maxNodeName bounds a node's name on the wire; a pod's name fits.
	maxNodeName = 253
)

// Errors that Receive returns. The frame that caused one has had no effect.
var (
	// ErrStranger: the sender is not in the view.
	ErrStranger = errors.New("frame from an address that is not in the list of peers")

	// ErrMalformed: the frame is not one of this protocol and version.
	ErrMalformed = errors.New("malformed gossip frame")

	// ErrNameTaken: a peer has the name of this node, so neither can tell the
	// other's frames from its own.
	ErrNameTaken = errors.New("a peer uses the same node name: give every enforcer its own --node-name")
)

// Outbox takes the frames that a node wants to send.
type Outbox interface {
	// Send hands one frame to the network, which may lose it. It must not
	// block, and frame is valid during the call only.
	Send(to string, frame []byte)
}

// Counters are the node's counters. A Node calls them only from within its own
// methods. Functions that they are given run under a lock, and do not call back.
type Counters interface {
	// Changed hands over at most max shared counters (those with a Local) on which
	// requests were decided since they were last handed over. Where f returns
	// false the counter is shared no more: its Local is forgotten.
	Changed(now limit.Instant, max int, f func(*share.Counter) bool)

	// Sweep goes through at most max shared counters, others at each call, until it
	// begins anew, and hands over those whose Look has come, or all. Where f returns
	// false the counter is shared no more.
	Sweep(now limit.Instant, max int, all bool, f func(*share.Counter) bool)

	// Shared is how many counters are shared.
	Shared() int

	// With hands over one counter and makes it shared; it makes the counter, if
	// there is none and create is true. It returns false, and does nothing, where
	// there is none or its limit is not known here.
	With(now limit.Instant, id share.ID, create bool, f func(*share.Counter)) bool

	// Flush makes at most max counters shared of which this node took tokens
	// without a word, and returns whether those were all.
	Flush(now limit.Instant, max int) bool

	// Rule returns how to count a limit's variant, and to share it.
	Rule(now limit.Instant, id uint64, variant uint16) (*decide.Params, *share.Rule, bool)

	// SetPool says how many nodes the pool has.
	SetPool(nodes int)

	// Leave says that this node is going to stop: from now on Changed hands over
	// every token that it takes, so that all of them are told.
	Leave()

	// Reset forgets everything: the pool's hash seed changed, and with it every
	// key. The new one is Node.Seed.
	Reset(now limit.Instant)
}

// Options configure a Node.
type Options struct {
	// Name is this node's name in the pool, 1 to 253 bytes.
	Name limit.NodeID

	// Seed is what this node proposes as the pool's hash seed: random, made at
	// its start. Its last 8 bytes also tell this life of the node from earlier
	// ones.
	Seed Seed

	// Counters are the node's own; required.
	Counters Counters

	// MaxHomes bounds the counters that this node keeps the pool's books of. At
	// least 1.
	MaxHomes int
}

// Node is one enforcer's end of the protocol. It is not safe for concurrent
// use: its driver calls one method at a time. Make one with New.
type Node struct {
	name     limit.NodeID
	hash     uint64 // of name
	life     uint64
	seed     Seed
	counters Counters

	peers     []*peer // the other nodes, by number - 1; nil where one is gone
	byAddr    map[string]*peer
	filling   numbers // of peers that may have a frame which is being filled
	watched   numbers // of peers that may owe an acknowledgement, or are owed one
	ring      ring.Ring
	view      uint32 // of the pool, for share.HomeRef
	disturbed int    // Sweeps until every counter was looked at since view changed
	holding   bool   // some of the pool cannot be reached, and may be as many as we are
	heldSince limit.Instant
	fall      fall // of the node that went down last
	reached   int  // nodes that can be reached, this one included
	leaving   bool
	homes     homes
	round     uint32 // orders what this node tells itself
	others    int    // nodes that can be the home of a counter, but for this one
	alone     bool   // there is nobody to share with
	quiet     bool   // nothing has changed since the last Tick
	expected  int
	zone      string // of this node

	routineAt limit.Instant

	join     join
	in       frame
	scratch  writer
	audience audience
	stats    Stats
}

// New returns a Node that knows no peers yet.
func New(o Options) (*Node, error) {
	if o.Name == "" || len(o.Name) > maxNodeName {
		return nil, fmt.Errorf("node name %q: use 1 to %d bytes", o.Name, maxNodeName)
	}
	if o.Counters == nil || o.MaxHomes < 1 {
		return nil, errors.New("gossip needs Counters and MaxHomes of at least 1")
	}
	return &Node{
		name: o.Name, hash: ring.Hash(o.Name), life: max(1, o.Seed.life()), seed: o.Seed, counters: o.Counters,
		byAddr: map[string]*peer{}, homes: newHomes(o.MaxHomes), view: 1, expected: 1,
	}, nil
}

// Seed returns the hash seed that the pool agreed on, as far as this node knows.
func (n *Node) Seed() Seed { return n.seed }

// Tick does what time asks for: it tells what others would not expect, asks peers
// for their counters while it joins, and forgets what is no longer needed. It
// returns when a driver should call it again at the latest; sooner does no harm.
func (n *Node) Tick(now limit.Instant, out Outbox) (next limit.Span) {
	next = n.rest()
	n.quiet = true
	n.counters.Changed(now, maxChecks, func(c *share.Counter) bool {
		next, n.quiet = Urgent, false
		return n.check(now, c, true, out)
	})
	n.tickHomes(now, out)
	if now >= n.routineAt {
		n.routineAt = now.Add(Interval)
		n.routine(now, out)
	}
	n.flush(now, out)
	return next
}

// rest is when there is something to do if nothing happens.
func (n *Node) rest() limit.Span {
	if n.leaving || !n.join.settled || len(n.homes.list) > 0 || n.counters.Shared() > 0 {
		return Interval
	}
	for _, p := range n.peers {
		if p != nil && (p.ackAt != 0 || p.out.entries > 0 || p.serving.page < p.serving.pages) {
			return Interval
		}
	}
	return Idle
}

// routine is what Tick does once an Interval.
func (n *Node) routine(now limit.Instant, out Outbox) {
	n.greet(now, out)
	n.watch(now, out)
	n.tickJoin(now, out)
	n.sweepHomes(now, out)
	n.counters.Sweep(now, n.counters.Shared()/sweepTicks+1, n.disturbed > 0 || n.leaving, func(c *share.Counter) bool {
		return n.check(now, c, false, out)
	})
	n.disturbed = max(0, n.disturbed-1)
}

// Receive takes one frame from a peer. It returns ErrStranger, ErrMalformed or
// ErrNameTaken, possibly wrapped, for a frame that it did not use.
func (n *Node) Receive(now limit.Instant, from string, data []byte, out Outbox) error {
	n.stats.Frames++
	p := n.byAddr[from]
	if p == nil {
		n.stats.Strange++
		return fmt.Errorf("%w: %s", ErrStranger, from)
	}
	f := &n.in
	if err := f.decode(data); err != nil {
		n.stats.Malformed++
		return fmt.Errorf("from %s: %w", from, err)
	}
	p, err := n.sender(p, f, data, out)
	if p == nil {
		return err
	}
	if f.kind == kindHello && string(f.name) == string(n.name) {
		n.stats.Clashing++
		return fmt.Errorf("%w: %q at %s", ErrNameTaken, n.name, from)
	}
	if !n.hear(now, p, f, out) {
		return nil
	}
	switch f.kind {
	case kindHello: // hear has done it
	case kindPull:
		n.pulled(now, p, f)
	case kindPage:
		n.learn(now, p, f)
	case kindCounts:
		if n.arrived(now, p, f, out) {
			n.take(now, p, f)
		}
	}
	n.tickUrgent(now, out)
	n.flush(now, out)
	return nil
}

// take applies the entries of a frame.
func (n *Node) take(now limit.Instant, p *peer, f *frame) {
	for i := range f.entries {
		e := &f.entries[i]
		n.stats.Entries++
		if e.isState {
			n.hearState(now, p, f.seq, e)
		} else {
			n.hearReport(now, p, f.seq, e)
		}
	}
}
