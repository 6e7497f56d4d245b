package scenario

import (
	"encoding/binary"

	"github.com/sluice-dev/sluice/enforcer/limit"
)

// The naive algorithms are what one writes first: every node counts for itself,
// decides by the sum of all counts that it knows, and every 50 ms tells every
// other node its own. Distributed rate limiters in use work like one or the
// other. They say what the engine's figures are worth.

const naiveInterval = 50 * limit.Millisecond

// NaiveWindow counts by fixed windows, whatever the limit's algorithm.
func NaiveWindow(s *Scenario) (System, error) { return naive{s, true}, nil }

// NaiveBucket has a bucket on each node from which the counts of the others are
// taken, but never below empty: what was admitted too much is forgotten.
func NaiveBucket(s *Scenario) (System, error) { return naive{s, false}, nil }

type naive struct {
	scenario *Scenario
	windows  bool
}

func (naive) MaxNodes() int { return 1000 }

// Lawful: across the edge of a window twice the limit passes.
func (naive) Lawful() bool { return false }

func (n naive) Boot(id Identity) (Limiter, error) {
	life := binary.LittleEndian.Uint64(id.Secret[:])
	l := n.scenario.Limit
	node := &naiveNode{naive: n, id: id, keys: make([]naiveKey, n.scenario.Keys)}
	for i := range node.keys {
		node.keys[i] = naiveKey{life: life, bucket: newReferee(Limit{Requests: l.Requests, Per: l.Per, Burst: l.Burst}, id.Born).(*bucket), known: map[string]count{}}
	}
	return node, nil
}

type naiveNode struct {
	naive
	id      Identity
	peers   []string
	keys    []naiveKey
	entries uint64
	frame   []byte
}

// naiveKey is one counter. A window begins a new life of the counts.
type naiveKey struct {
	life      uint64 // windows: the number of the window
	own, sent int64  // tokens admitted here, in all or in this window
	known     map[string]count
	others    int64 // sum of known
	bucket    *bucket
}

type count struct {
	life uint64
	n    int64
}

// roll begins a new window when it is time.
func (n *naiveNode) roll(now limit.Instant, k *naiveKey) {
	if w := uint64(now) / uint64(n.scenario.Limit.Per); n.windows && w != k.life {
		k.life, k.own, k.sent, k.others = w, 0, 0, 0
		clear(k.known)
	}
}

func (n *naiveNode) Remaining(now limit.Instant, key int) limit.Amount {
	k := &n.keys[key]
	if n.windows {
		n.roll(now, k)
		return limit.Amount(max(0, n.scenario.Limit.Requests-k.own-k.others))
	}
	k.bucket.refill(now)
	return limit.Amount(k.bucket.level)
}

func (n *naiveNode) Decide(now limit.Instant, key int) bool {
	if n.Remaining(now, key) < n.scenario.Cost {
		return false
	}
	k := &n.keys[key]
	k.own += int64(n.scenario.Cost)
	k.bucket.level -= float64(n.scenario.Cost)
	return true
}

// Tick tells every other node each count that has changed: in a frame of its
// own, which costs a simulation nothing, and what counts is the entries.
func (n *naiveNode) Tick(now limit.Instant) limit.Span {
	for key := range n.keys {
		k := &n.keys[key]
		if n.roll(now, k); k.own == k.sent {
			continue
		}
		k.sent = k.own
		n.frame = binary.LittleEndian.AppendUint64(n.frame[:0], uint64(key))
		n.frame = binary.LittleEndian.AppendUint64(n.frame, k.life)
		n.frame = binary.LittleEndian.AppendUint64(n.frame, uint64(k.own))
		for _, to := range n.peers {
			n.id.Out.Send(to, n.frame)
		}
	}
	return naiveInterval
}

func (n *naiveNode) Receive(now limit.Instant, from string, frame []byte) error {
	n.entries++
	k := &n.keys[binary.LittleEndian.Uint64(frame)]
	heard := count{binary.LittleEndian.Uint64(frame[8:]), int64(binary.LittleEndian.Uint64(frame[16:]))}
	n.roll(now, k)
	if n.windows && heard.life != k.life {
		return nil
	}
	before := k.known[from]
	if before.life != heard.life {
		before.n = 0
	}
	if heard.n <= before.n {
		return nil
	}
	k.known[from] = heard
	k.others += heard.n - before.n
	k.bucket.refill(now)
	k.bucket.level = max(0, k.bucket.level-float64(heard.n-before.n))
	return nil
}

func (n *naiveNode) SetView(_ limit.Instant, v View) {
	n.peers = n.peers[:0]
	for _, m := range v.Members {
		if m.Address != n.id.Address {
			n.peers = append(n.peers, m.Address)
		}
	}
}

func (*naiveNode) Ready() bool { return true }

func (n *naiveNode) Stop(now limit.Instant) { n.Tick(now) }

func (n *naiveNode) Entries() uint64 { return n.entries }

func (*naiveNode) IsHome(int) bool { return false }
