// Package scenario runs a pool of limiters in virtual time against a load, a
// network and faults, and computes from the stream of what was admitted how far
// the pool was from one exact limiter. The limiters are the project's own
// engine, or a naive algorithm to compare it with.
//
// All of it is a function of the Scenario and the seed. Arrivals are a Poisson
// process of a random source of their own, so that every algorithm faces the
// same requests at the same instants.
package scenario

import (
	"errors"
	"fmt"

	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/policy"
)

// Scenario describes one run, up to its seed. Times count from the instant at
// which the load begins; the pool has then been up and idle for Lead.
type Scenario struct {
	// Name tells it from others.
	Name string

	// Nodes is the size of the pool, at least 1. The last Later of them are not
	// there at first: a Fault boots them.
	Nodes, Later int

	// Limit is what every key may use.
	Limit Limit

	// Keys is the number of clients, each with a counter of its own; 0 means 1.
	// All have the same load, but for the part Hot of them, from the first one on,
	// that has ten times as much. The figures of admission are those of the first
	// key, the costs those of all.
	Keys int
	Hot  float64

	// Cost is what one request takes, in tokens; 0 means 1.
	Cost limit.Amount

	// Load says how much arrives, Spread at which nodes. Every arrival brings
	// Train requests to the same node at the same instant; 0 means 1.
	Load   Load
	Spread Spread
	Train  int

	// Network is what lies between the nodes.
	Network Network

	// Skew and Drift are the largest amounts by which a node's clock is wrong,
	// either way, and runs too fast or too slow (seconds a second).
	Skew  limit.Span
	Drift float64

	// Faults happen to the pool, and Liveness is how it learns of them.
	Faults   []Fault
	Liveness Liveness

	// Duration is how long the load lasts, and Warm how long the pool may take
	// to find its balance: figures of the steady state are taken from then on.
	Duration, Warm limit.Span
}

// Lead is how long a pool is up before its load begins.
const Lead = 5 * limit.Second

// Fault is something that happens to the pool.
type Fault struct {
	At limit.Span
	Do func(*Pool)
}

// Limit is what one key may use.
type Limit struct {
	// Algorithm is policy.TokenBucket, FixedWindow or SlidingWindow; empty means
	// TokenBucket.
	Algorithm string

	// Requests tokens each Per; Per is at least a millisecond.
	Requests int64
	Per      limit.Span

	// Burst is the depth of a token bucket; 0 means Requests. Windows have none.
	Burst int64
}

// PerSecond returns a token bucket of n tokens a second that holds n.
func PerSecond(n int64) Limit { return Limit{Requests: n, Per: limit.Second} }

// Rate returns the tokens a second.
func (l Limit) Rate() float64 { return float64(l.Requests) * float64(limit.Second) / float64(l.Per) }

// Depth returns how much can be taken at once.
func (l Limit) Depth() float64 {
	if l.Burst > 0 {
		return float64(l.Burst)
	}
	return float64(l.Requests)
}

func (l Limit) bucket() bool { return l.algorithm() == policy.TokenBucket }

func (l Limit) algorithm() string {
	if l.Algorithm == "" {
		return policy.TokenBucket
	}
	return l.Algorithm
}

// Network is what lies between two nodes. The zero value is a local network: one
// to five milliseconds from node to node, and nothing is lost.
type Network struct {
	Min, Max limit.Span // delay one way, uniform; both 0: 1 to 5 ms

	// Loss and Repeat are the probabilities that a frame is lost, and that it
	// comes once more; Stall, that it takes 50 to 250 ms longer.
	Loss, Repeat, Stall float64

	// Zones is the number of zones, of nodes with neighbouring numbers, and
	// ZoneMin and ZoneMax are the delay from one to another; 0 or 1: one zone.
	Zones            int
	ZoneMin, ZoneMax limit.Span
}

// Liveness is how fast the nodes learn of each other's comings and goings. The
// zero value stands for the defaults.
type Liveness struct {
	// Detect is how long after a crash, a cut or the end of a cut the nodes
	// notice, each up to 50 ms later than the first; default 700 ms.
	Detect limit.Span

	// Gone is how long after a crash the node is off the list of members;
	// default 2 s.
	Gone limit.Span

	// News is the longest time after which a node learns of a planned leave or
	// of a new node, at least 50 ms and on each node another; default 200 ms.
	News limit.Span

	// Drain is how long a node goes on after it was told to stop; default 300 ms.
	Drain limit.Span
}

func (s *Scenario) setDefaults() {
	orInt(&s.Keys, 1)
	orInt(&s.Train, 1)
	or(&s.Cost, 1)
	if s.Network.Max == 0 {
		s.Network.Min, s.Network.Max = limit.Millisecond, 5*limit.Millisecond
	}
	or(&s.Liveness.Detect, 700*limit.Millisecond)
	or(&s.Liveness.Gone, 2*limit.Second)
	or(&s.Liveness.News, 200*limit.Millisecond)
	or(&s.Liveness.Drain, 300*limit.Millisecond)
}

func or[T ~int64](v *T, otherwise T) {
	if *v == 0 {
		*v = otherwise
	}
}

func orInt(v *int, otherwise int) {
	if *v == 0 {
		*v = otherwise
	}
}

func (s *Scenario) validate() error {
	var all []error
	refuse := func(wrong bool, format string, args ...any) {
		if wrong {
			all = append(all, fmt.Errorf("scenario %q: "+format, append([]any{s.Name}, args...)...))
		}
	}
	refuse(s.Nodes < 1, "%d nodes: use at least 1", s.Nodes)
	refuse(s.Later < 0 || s.Later >= s.Nodes && s.Nodes > 0, "%d of %d nodes come later: use less", s.Later, s.Nodes)
	refuse(s.Limit.Requests < 1 || s.Limit.Per < limit.Millisecond, "limit of %d each %v: use at least 1 each 1ms", s.Limit.Requests, s.Limit.Per.Duration())
	refuse(s.Limit.Burst != 0 && !s.Limit.bucket(), "burst belongs to a token bucket")
	refuse(s.Load.times == nil, "no load: use Constant, Step, OnOff or Flash")
	refuse(s.Spread.weights == nil, "no spread: use Uniform, Zipf, One or Hop")
	refuse(s.Duration < limit.Second, "a duration of %v: use at least 1s", s.Duration.Duration())
	refuse(s.Network.Max < s.Network.Min || s.Network.Min < 0, "delay from %v to %v", s.Network.Min.Duration(), s.Network.Max.Duration())
	refuse(s.Liveness.News < shortestNews, "news after %v: use at least %v", s.Liveness.News.Duration(), shortestNews.Duration())
	return errors.Join(all...)
}
