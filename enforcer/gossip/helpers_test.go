package gossip_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/sluice-dev/sluice/enforcer/gossip"
	"github.com/sluice-dev/sluice/enforcer/internal/sim"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

// tally is the simplest Counters: nothing is ever refilled, so what is gone from
// a counter is the sum of what all nodes took.
type tally struct {
	era     uint64
	limits  map[uint64]bool // known limits; nil: every one
	entries map[limit.Key]*gossip.Entry
	changed []limit.Key
	log     []string // what the protocol asked for
	resets  int
}

func newTally(era uint64) *tally {
	return &tally{era: era, entries: map[limit.Key]*gossip.Entry{}}
}

func (c *tally) entry(counter gossip.Counter) *gossip.Entry {
	e := c.entries[counter.Key]
	if e == nil {
		e = &gossip.Entry{Counter: counter, Era: c.era}
		c.entries[counter.Key] = e
	}
	return e
}

func (c *tally) take(key uint64, n limit.Amount) {
	e := c.entry(counter(key))
	e.Own += n
	e.Used += n
	if !slices.Contains(c.changed, e.Key) {
		c.changed = append(c.changed, e.Key)
	}
}

func (c *tally) used(key uint64) limit.Amount {
	if e := c.entries[counter(key).Key]; e != nil {
		return e.Used
	}
	return 0
}

func (c *tally) Changed(_ limit.Instant, n int, f func(gossip.Entry)) {
	n = min(n, len(c.changed))
	for _, k := range c.changed[:n] {
		f(*c.entries[k])
	}
	c.changed = c.changed[n:]
}

func (c *tally) known(counter gossip.Counter) bool { return c.limits == nil || c.limits[counter.Limit] }

func (c *tally) Debit(_ limit.Instant, counter gossip.Counter, n limit.Amount) bool {
	if !c.known(counter) {
		return false
	}
	c.log = append(c.log, fmt.Sprintf("debit %d: %d", counter.Key.Lo, n))
	c.entry(counter).Used += n
	return true
}

func (c *tally) Raise(_ limit.Instant, counter gossip.Counter, used limit.Amount) bool {
	if !c.known(counter) {
		return false
	}
	c.log = append(c.log, fmt.Sprintf("raise %d: %d", counter.Key.Lo, used))
	e := c.entry(counter)
	e.Used = max(e.Used, used)
	return true
}

func (c *tally) Has(key limit.Key) bool { return c.entries[key] != nil }

func (c *tally) Scan(_ limit.Instant, cursor uint64, n int, f func(gossip.Entry)) (uint64, bool) {
	keys := make([]uint64, 0, len(c.entries))
	for k := range c.entries {
		if k.Lo > cursor {
			keys = append(keys, k.Lo)
		}
	}
	slices.Sort(keys)
	for i, k := range keys {
		if i == n {
			return keys[i-1], false
		}
		f(*c.entries[counter(k).Key])
	}
	return 0, true
}

func (c *tally) Reset(limit.Instant) {
	c.resets++
	c.era++
	clear(c.entries)
	c.changed = nil
}

// counter names the counter of a small number; 0 is none.
func counter(key uint64) gossip.Counter {
	return gossip.Counter{Key: limit.Key{Hi: key << 60, Lo: key}, Limit: key % 3, Variant: uint16(key % 2)}
}

// node is one node of a simulated pool.
type node struct {
	*gossip.Node
	tally *tally
	errs  []error
}

// pool is nodes that all know each other, in one world.
type pool struct {
	*sim.World
	t     *testing.T
	addrs []string
	nodes []*node
	lives uint64
}

const start = limit.Instant(1_700_000_000_000_000_000)

// newPool starts n nodes that join at once.
func newPool(t *testing.T, seed uint64, n int) *pool {
	t.Helper()
	p := &pool{World: sim.New(seed, start), t: t, nodes: make([]*node, n)}
	for i := range n {
		p.addrs = append(p.addrs, fmt.Sprintf("10.0.0.%d:7946", i+1))
	}
	for i := range n {
		p.boot(i, start.Add(limit.Span(i)))
	}
	return p
}

// boot starts node i afresh, in place of the one that was there.
func (p *pool) boot(i int, born limit.Instant) {
	p.t.Helper()
	p.lives++
	n := &node{tally: newTally(p.lives << 32)}
	var err error
	n.Node, err = gossip.New(gossip.Options{
		Name: limit.NodeID(fmt.Sprintf("node-%d", i)), Counters: n.tally, MaxKeys: 1 << 16,
		Seed: gossip.Seed{Value: [16]byte{0: byte(i + 1), 15: byte(p.lives)}, Born: born},
	})
	if err != nil {
		p.t.Fatal(err)
	}
	p.nodes[i] = n
	out := p.Outbox(p.addrs[i])
	p.Attach(p.addrs[i], func(from string, frame []byte) {
		if err := n.Receive(p.Now(), from, frame, out); err != nil {
			n.errs = append(n.errs, err)
		}
	})
	n.SetPeers(p.Now(), p.addrs)
	n.Start(p.Now())
	phase := limit.Span(p.Rand().Int64N(int64(gossip.Interval)))
	p.Every(p.Now().Add(phase), gossip.Interval, func() bool {
		if p.nodes[i] != n {
			return false
		}
		n.Tick(p.Now(), out)
		return true
	})
}

// kill takes node i off the network.
func (p *pool) kill(i int) {
	p.nodes[i] = nil
	p.Attach(p.addrs[i], nil)
}

// join waits until every node has joined.
func (p *pool) join() {
	p.t.Helper()
	p.until("every node has joined", 2*limit.Second, func() bool {
		return !slices.ContainsFunc(p.nodes, func(n *node) bool { return n != nil && !n.Joined() })
	})
}

// until lets time pass until ok holds, and says how long that took.
func (p *pool) until(what string, within limit.Span, ok func() bool) limit.Span {
	p.t.Helper()
	began := p.Now()
	for !ok() {
		if p.Now().Sub(began) > within {
			p.t.Fatalf("after %v: not %s", within.Duration(), what)
		}
		p.Run(limit.Millisecond)
	}
	return p.Now().Sub(began)
}
