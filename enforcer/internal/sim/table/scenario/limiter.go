package scenario

import (
	"github.com/sluice-dev/sluice/enforcer/internal/sim"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

// System is a way to share a limit between nodes. Engine, Exact, NaiveWindow and
// NaiveBucket make one.
type System interface {
	// MaxNodes is the size of a pool that is practical to simulate.
	MaxNodes() int

	// Lawful says that a node by itself never admits more than the whole limit.
	// A run fails when one does.
	Lawful() bool

	// Boot starts one node.
	Boot(Identity) (Limiter, error)
}

// Maker makes the System for a scenario.
type Maker func(*Scenario) (System, error)

// Identity is what a node knows of itself at its start.
type Identity struct {
	Name, Address string
	Born          limit.Instant // by its own clock
	Secret        [16]byte      // random, another one at each start
	Out           sim.Outbox
	Now           func() limit.Instant // by its own clock

	// Wake may be called within Decide, to have Tick called at once.
	Wake func()
}

// Limiter is one node. Time is that of the node's own clock.
type Limiter interface {
	// Decide takes the cost of one request from a key's counter, and says
	// whether it was admitted.
	Decide(now limit.Instant, key int) bool

	// Remaining is what the node would still admit of a key.
	Remaining(now limit.Instant, key int) limit.Amount

	// Tick returns when to call it again.
	Tick(now limit.Instant) limit.Span
	Receive(now limit.Instant, from string, frame []byte) error

	// SetView says who belongs to the pool. The node must not change the list.
	SetView(now limit.Instant, v View)

	// Ready says whether the node may be asked.
	Ready() bool

	// Stop is the last that a node does before its process ends as planned.
	Stop(now limit.Instant)

	// Entries is the number of key records received so far.
	Entries() uint64

	// IsHome says whether the node is the rendezvous peer of a key; false where
	// there is none.
	IsHome(key int) bool
}

// Patient is a Limiter that may have to ask another node before it decides.
type Patient interface {
	Limiter

	// Ask is Decide, and calls then with the answer: at once, or when the node has
	// it. After has a function run on the node when some time has passed.
	Ask(key int, after func(limit.Span, func()), then func(admitted bool))
}

// State is what a node believes of a member of its pool.
type State uint8

// The states of a member.
const (
	Absent State = iota // not a member
	Alive
	Leaving     // told to stop, still answers
	Unreachable // a member that does not answer
)

// Member is one node as another one sees it.
type Member struct {
	Name, Address string
	State         State
}

// View is all that a node believes of its pool, itself included.
type View struct {
	Members  []Member
	Expected int // how many nodes the pool should have: all that ever started, and were not retired
}
