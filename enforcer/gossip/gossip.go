// Package gossip tells the other enforcers of a pool what this one admitted, and
// takes their consumption from its own counters. It is a state machine without
// I/O: time and frames go in by Tick and Receive, frames come out through an
// Outbox, and counters are reached through the small Counters interface, which
// is also the seam at which a better protocol replaces this one.
//
// This first protocol is a full mesh. Every Interval a node sends, for each
// counter that it took tokens from, the cumulative number of tokens it admitted
// there; whoever hears it debits the difference to what it had heard before. A
// state message replaces and never adds, so frames may be lost, repeated and
// reordered: the next one mends what is missing. Each value is sent in three
// rounds, so that one that never changes again survives the loss of two frames.
// Decisions do not wait for the network, so pods admit too much together for as
// long as a frame travels; the debits then drive the counters into debt, which
// is repaid before anything more is admitted.
package gossip

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/sluice-dev/sluice/enforcer/limit"
)

const (
	// Interval is how often a driver calls Tick. Two of them and the network
	// lie between a decision and its arrival at the other nodes.
	Interval = 20 * limit.Millisecond

	// joinWait is how long a node waits for its peers' counts before it counts
	// as joined without them.
	joinWait = 3 * limit.Second

	// silence after which a peer is out of step: what it said meanwhile is lost,
	// so its counters are asked for again instead of being added up.
	silence = limit.Second

	// pulse is the longest time between two frames to a peer, and between two
	// attempts to get an answer from it.
	pulse = 100 * limit.Millisecond

	// maxNodeName bounds a node's name on the wire; a pod's name fits.
	maxNodeName = 253
)

// Errors that Receive returns. The frame that caused one has had no effect.
var (
	// ErrStranger: the sender is not in the list of peers.
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

// Counter names one counter in the same way on every node of a pool.
type Counter struct {
	Key     limit.Key
	Limit   uint64 // the limit's stable id
	Variant uint16 // which of its rates applies to the key
}

// Entry is what a node knows of one of its counters.
type Entry struct {
	Counter

	// Own is the number of tokens that this node admitted since Era, which
	// names a life of the counter: a counter that was dropped and made again
	// has another Era and counts from 0.
	Era uint64
	Own limit.Amount

	// Used is the number of tokens that are gone from the counter by all that
	// this node knows, never negative; above the burst when in debt.
	Used limit.Amount
}

// Counters are the node's counters. A Node calls them only from within its own
// methods.
type Counters interface {
	// Changed hands over at most max counters from which this node has taken
	// tokens since they were last handed over.
	Changed(now limit.Instant, max int, f func(Entry))

	// Debit takes n tokens that a peer admitted, whether or not they are there,
	// or gives them back when n is negative. It returns false, and does
	// nothing, when the counter's limit is not known here.
	Debit(now limit.Instant, c Counter, n limit.Amount) bool

	// Raise makes sure that at least used tokens are gone; false as for Debit.
	Raise(now limit.Instant, c Counter, used limit.Amount) bool

	// Has says whether there is a counter for key.
	Has(key limit.Key) bool

	// Scan hands over at most max counters from a cursor on, 0 at first, and
	// returns the next cursor, and whether that was the last page. A counter
	// that exists during a whole scan is handed over at least once.
	Scan(now limit.Instant, cursor uint64, max int, f func(Entry)) (next uint64, done bool)

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

	// MaxKeys bounds what is remembered of each peer, in counters. At least 1.
	MaxKeys int
}

// Node is one enforcer's end of the protocol. It is not safe for concurrent
// use: its driver calls one method at a time. Make one with New.
type Node struct {
	name     limit.NodeID
	life     uint64
	seed     Seed
	counters Counters
	maxKeys  int

	peers []*peer // sorted by address
	round uint32  // number of Ticks; orders the frames of one life
	queue waves

	listed   bool // SetPeers was called
	loaded   bool // Start was called
	settled  bool
	joining  limit.Instant // since when both; valid when listed and loaded
	lastSent limit.Instant

	out   writer
	in    frame
	stats Stats
}

// New returns a Node that knows no peers yet.
func New(o Options) (*Node, error) {
	if o.Name == "" || len(o.Name) > maxNodeName {
		return nil, fmt.Errorf("node name %q: use 1 to %d bytes", o.Name, maxNodeName)
	}
	if o.Counters == nil || o.MaxKeys < 1 {
		return nil, errors.New("gossip needs Counters and MaxKeys of at least 1")
	}
	return &Node{
		name: o.Name, life: o.Seed.life(), seed: o.Seed, counters: o.Counters, maxKeys: o.MaxKeys,
		queue: newWaves(), lastSent: math.MinInt64,
	}, nil
}

// Seed returns the hash seed that the pool agreed on, as far as this node knows.
func (n *Node) Seed() Seed { return n.seed }

// Joined says whether the node has its peers' counts, or has waited for them
// long enough. Once true it stays true: a peer that goes away or comes back
// later is no reason to send requests elsewhere.
func (n *Node) Joined() bool { return n.settled }

// Start says that the limits are known, so that peers' counts can be taken
// over. It is called again when the limits changed: a node that still joins
// then asks its peers once more.
func (n *Node) Start(now limit.Instant) {
	if !n.loaded {
		n.loaded, n.joining = true, now
	}
	if !n.settled {
		for _, p := range n.peers {
			p.restart()
		}
	}
	n.settle(now)
}

// SetPeers replaces the list of the other nodes' addresses; this node's own may
// be among them. What is known of peers that stay is kept.
func (n *Node) SetPeers(now limit.Instant, addresses []string) {
	addresses = slices.Compact(slices.Sorted(slices.Values(addresses)))
	peers := make([]*peer, 0, len(addresses))
	for _, a := range addresses {
		p := n.peer(a)
		if p == nil {
			p = &peer{address: strings.Clone(a), lastHeard: math.MinInt64, askAt: math.MinInt64, ledger: ledger{max: n.maxKeys}}
		}
		peers = append(peers, p)
	}
	n.peers = peers
	if !n.listed {
		n.listed, n.joining = true, now
	}
	n.settle(now)
}

func (n *Node) peer(address string) *peer {
	i, ok := slices.BinarySearchFunc(n.peers, address, func(p *peer, a string) int { return strings.Compare(p.address, a) })
	if !ok {
		return nil
	}
	return n.peers[i]
}

// settle notes that the node has joined, once it has.
func (n *Node) settle(now limit.Instant) {
	if n.settled || !n.listed || !n.loaded {
		return
	}
	missing := slices.ContainsFunc(n.peers, func(p *peer) bool { return !p.skip() && !p.synced })
	n.settled = !missing || now.Sub(n.joining) >= joinWait
}

// Tick does what time asks for: it sends what changed, asks peers that are out
// of step for their counters, and forgets what is no longer needed. A driver
// calls it every Interval.
func (n *Node) Tick(now limit.Instant, out Outbox) {
	n.round++
	for _, p := range n.peers {
		p.served = 0
		if p.synced && now.Sub(p.lastHeard) > silence {
			p.restart()
		}
		p.ledger.sweep(sweepBudget, n.counters.Has)
	}
	n.ask(now, out)
	n.spread(now, out)
	n.settle(now)
}

// Receive takes one frame from a peer. It returns ErrStranger, ErrMalformed or
// ErrNameTaken, possibly wrapped, for a frame that it did not use.
func (n *Node) Receive(now limit.Instant, from string, data []byte, out Outbox) error {
	n.stats.Frames++
	p := n.peer(from)
	if p == nil {
		n.stats.Strange++
		return fmt.Errorf("%w: %s", ErrStranger, from)
	}
	f := &n.in
	if err := f.decode(data); err != nil {
		n.stats.Malformed++
		return fmt.Errorf("from %s: %w", from, err)
	}
	if string(f.node) == string(n.name) {
		p.self = f.life == n.life
		if !p.self {
			n.stats.Clashing++
			return fmt.Errorf("%w: %q at %s", ErrNameTaken, n.name, from)
		}
		return nil
	}
	if p.alias = n.aliased(now, p, f); p.alias || !p.hear(now, f) || !n.agree(now, f) {
		return nil
	}
	switch f.kind {
	case kindCounts:
		for i := range f.entries {
			n.take(now, p, f, &f.entries[i])
		}
	case kindAsk:
		n.serve(now, p, f.cursor, out)
	case kindPage:
		n.learn(now, p, f, out)
	}
	return nil
}
