package gossip_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/sluice-dev/sluice/enforcer/account"
	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/gossip"
	"github.com/sluice-dev/sluice/enforcer/internal/sim"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/ring"
	"github.com/sluice-dev/sluice/enforcer/share"
)

const start = limit.Instant(1_760_000_000_000_000_000)

// daily is the limit that most tests use: nothing of it comes back while they
// run, so what is gone is what was taken.
const daily, hot = uint64(1), uint64(2)

func limits() map[uint64]decide.Params {
	return map[uint64]decide.Params{
		daily: must(decide.FixedWindow(1000, limit.Day)),
		hot:   must(decide.TokenBucket(1000, limit.Second, 1000)),
	}
}

func must(p decide.Params, err error) decide.Params {
	if err != nil {
		panic(err)
	}
	return p
}

// counters shows a store to the protocol, as package engine does.
type counters struct {
	*account.Store
	refs   map[uint64]account.Ref
	resets int
}

func newCounters(t testing.TB, known map[uint64]decide.Params) *counters {
	t.Helper()
	store, err := account.New(account.Options{MaxKeys: 100_000})
	if err != nil {
		t.Fatal(err)
	}
	c := &counters{Store: store}
	c.know(start, known)
	return c
}

// know sets the limits that the node knows.
func (c *counters) know(now limit.Instant, known map[uint64]decide.Params) {
	ids := slices.Sorted(maps.Keys(known))
	all := make([]account.Meter, len(ids))
	for i, id := range ids {
		all[i] = account.Meter{Limit: id, Params: known[id]}
	}
	c.refs = map[uint64]account.Ref{}
	for i, ref := range c.SetMeters(now, all) {
		c.refs[ids[i]] = ref
	}
}

func (c *counters) With(now limit.Instant, id share.ID, create bool, f func(*share.Counter)) bool {
	ref, ok := c.refs[id.Limit]
	return ok && c.Store.With(now, id.Key, ref, create, f)
}

func (c *counters) Rule(_ limit.Instant, id uint64, _ uint16) (*decide.Params, *share.Rule, bool) {
	ref, ok := c.refs[id]
	if !ok {
		return nil, nil, false
	}
	p, r := c.Store.Rule(ref)
	return p, r, true
}

// take asks for n tokens, one by one, and returns how many were granted.
func (c *counters) take(now limit.Instant, k limit.Key, id uint64, n int) (granted int) {
	for range n {
		if c.Charge(now, []account.Charge{{Key: k, Meter: c.refs[id], Cost: 1}}) {
			granted++
		}
	}
	return granted
}

// left is the largest cost that would be granted.
func (c *counters) left(now limit.Instant, k limit.Key, id uint64) int {
	charge := []account.Charge{{Key: k, Meter: c.refs[id], Shadow: true}}
	c.Charge(now, charge)
	return int(charge[0].Reading.Remaining)
}

func (c *counters) SetPool(nodes int) { c.Store.SetPool(nodes, gossip.Delay) }

func (c *counters) Reset(limit.Instant) {
	c.resets++
	c.Store.Reset()
}

// node is one node of a simulated pool.
type node struct {
	*gossip.Node
	counters *counters
	errs     []error
}

// pool is nodes in one world, with the membership that each of them sees.
type pool struct {
	*sim.World
	t     testing.TB
	addrs []string
	nodes []*node // nil where one is down
	lives byte
	trace *bytes.Buffer // nil: frames are not written down

	// sees is how node i sees node j; 0 is not at all. leaves says who has been
	// told to stop.
	sees   func(i, j int) gossip.MemberState
	leaves map[int]bool
}

// lan is the network within a cluster.
func lan(string, string) sim.Link { return sim.Link{Max: limit.Millisecond} }

// newPool starts n nodes and has them join.
func newPool(t testing.TB, seed uint64, n int) *pool {
	t.Helper()
	p := startPool(t, seed, n)
	p.join()
	return p
}

// startPool starts n nodes.
func startPool(t testing.TB, seed uint64, n int) *pool {
	t.Helper()
	p := &pool{World: sim.New(seed, start), t: t, nodes: make([]*node, n), leaves: map[int]bool{}}
	p.Link = lan
	for i := range n {
		p.addrs = append(p.addrs, fmt.Sprintf("10.0.0.%d:7946", i+1))
	}
	for i := range n {
		p.boot(i, p.Now().Add(limit.Span(i)))
	}
	p.announce()
	return p
}

// boot starts node i afresh, in place of the one that was there.
func (p *pool) boot(i int, born limit.Instant) {
	p.t.Helper()
	p.lives++
	n := &node{counters: newCounters(p.t, limits())}
	var err error
	n.Node, err = gossip.New(gossip.Options{
		Name: nameOf(i), Counters: n.counters, MaxHomes: 10_000,
		Seed: gossip.Seed{Value: [16]byte{0: byte(i + 1), 15: p.lives}, Born: born},
	})
	if err != nil {
		p.t.Fatal(err)
	}
	p.nodes[i] = n
	out := p.outbox(i)
	p.Attach(p.addrs[i], func(from string, frame []byte) {
		if err := n.Receive(p.Now(), from, frame, out); err != nil {
			n.errs = append(n.errs, err)
		}
	})
	n.SetView(p.Now(), p.view(i))
	n.Start(p.Now())
	p.Every(p.Now().Add(limit.Span(p.Rand().Int64N(int64(gossip.Interval)))), gossip.Interval, func() bool {
		if p.nodes[i] != n {
			return false
		}
		n.Tick(p.Now(), out)
		return true
	})
}

// outbox is node i's end of the network. It checks what is sent.
func (p *pool) outbox(i int) gossip.Outbox { return checked{p, i, p.Outbox(p.addrs[i])} }

type checked struct {
	p   *pool
	i   int
	out gossip.Outbox
}

func (c checked) Send(to string, frame []byte) {
	if len(frame) > gossip.MaxFrame {
		c.p.t.Errorf("a frame of %d bytes, want at most %d", len(frame), gossip.MaxFrame)
	}
	if c.p.trace != nil {
		fmt.Fprintf(c.p.trace, "%d %d -> %s %x\n", c.p.Now(), c.i, to, frame)
	}
	c.out.Send(to, frame)
}

// view is the pool as node i sees it.
func (p *pool) view(i int) gossip.View {
	v := gossip.View{Leaving: p.leaves[i]}
	for _, n := range p.nodes {
		if n != nil {
			v.Expected++
		}
	}
	for j, addr := range p.addrs {
		state := gossip.Alive
		switch {
		case p.sees != nil:
			state = p.sees(i, j)
		case p.nodes[j] == nil:
			state = 0
		case p.leaves[j]:
			state = gossip.Leaving
		}
		if j != i && state != 0 {
			v.Members = append(v.Members, gossip.Member{Name: nameOf(j), Address: addr, State: state})
		}
	}
	return v
}

func nameOf(i int) limit.NodeID { return limit.NodeID(fmt.Sprintf("node-%d", i)) }

// announce shows every node the pool as it is now.
func (p *pool) announce() {
	for i, n := range p.nodes {
		if n != nil {
			n.SetView(p.Now(), p.view(i))
		}
	}
}

// kill takes node i off the network, without a word.
func (p *pool) kill(i int) {
	p.nodes[i] = nil
	p.Attach(p.addrs[i], nil)
}

// join waits until every node has joined, and has the pool's seed.
func (p *pool) join() {
	p.t.Helper()
	p.until("every node has joined", 4*limit.Second, func() bool {
		return !slices.ContainsFunc(p.nodes, func(n *node) bool { return n != nil && !n.Joined() })
	})
	p.until("all have one seed", 2*limit.Second, p.agreed)
}

// agreed says whether all nodes have one seed.
func (p *pool) agreed() bool {
	seeds := map[gossip.Seed]bool{}
	for _, n := range p.nodes {
		if n != nil {
			seeds[n.Seed()] = true
		}
	}
	return len(seeds) == 1
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

// take asks node i for n tokens, one by one, and returns how many it granted.
func (p *pool) take(i int, k limit.Key, id uint64, n int) int {
	return p.nodes[i].counters.take(p.Now(), k, id, n)
}

// left is what node i would grant at most.
func (p *pool) left(i int, k limit.Key, id uint64) int {
	return p.nodes[i].counters.left(p.Now(), k, id)
}

// lefts is what each node that is up would grant at most.
func (p *pool) lefts(k limit.Key, id uint64) (all []int) {
	for i, n := range p.nodes {
		if n != nil {
			all = append(all, p.left(i, k, id))
		}
	}
	return all
}

// homes returns the home and the heir of a key among the nodes that are up.
func (p *pool) homes(k limit.Key) (home, heir int) {
	var up []ring.Node
	for i, n := range p.nodes {
		if n != nil && !p.leaves[i] {
			up = append(up, ring.Node{Name: nameOf(i), Number: int32(i)})
		}
	}
	first, second := ring.New(up).Owner(k)
	return int(first), int(second)
}

// owner returns which of the names is the home of a key.
func owner(k limit.Key, names ...limit.NodeID) string {
	nodes := make([]ring.Node, len(names))
	for i, name := range names {
		nodes[i] = ring.Node{Name: name, Number: int32(i)}
	}
	first, _ := ring.New(nodes).Owner(k)
	return string(names[first])
}

// key returns the i-th of a sequence of keys that look like hashes.
func key(i uint64) limit.Key {
	x := (i + 1) * 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return limit.Key{Hi: x ^ x>>31, Lo: x * 0x9e3779b97f4a7c15}
}

// keyAt returns a key whose home is the given node, and whose heir is another.
func (p *pool) keyAt(home, heir int) limit.Key {
	for i := range uint64(10_000) {
		if a, b := p.homes(key(i)); a == home && (heir < 0 || b == heir) {
			return key(i)
		}
	}
	p.t.Fatalf("no key has its home at %d and its heir at %d", home, heir)
	return limit.Key{}
}
