package gossip_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/sluice-dev/sluice/enforcer/account"
	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/gossip"
	"github.com/sluice-dev/sluice/enforcer/internal/sim"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/share"
)

// guarded are Counters that tell when they are called back from within a function
// that they were given, which runs under a lock.
type guarded struct {
	*counters
	t     *testing.T
	under bool
}

func (g *guarded) enter(what string) {
	if g.under {
		g.t.Fatalf("%s is called under a lock", what)
	}
}

func (g *guarded) lock(f func(*share.Counter) bool) func(*share.Counter) bool {
	return func(c *share.Counter) bool {
		g.under = true
		defer func() { g.under = false }()
		return f(c)
	}
}

func (g *guarded) Changed(now limit.Instant, most int, f func(*share.Counter) bool) {
	g.counters.Changed(now, most, g.lock(f))
}

func (g *guarded) Sweep(now limit.Instant, most int, all bool, f func(*share.Counter) bool) {
	g.counters.Sweep(now, most, all, g.lock(f))
}

func (g *guarded) With(now limit.Instant, id share.ID, create bool, f func(*share.Counter)) bool {
	g.enter("With")
	return g.counters.With(now, id, create, func(c *share.Counter) {
		g.lock(func(c *share.Counter) bool { f(c); return true })(c)
	})
}

func (g *guarded) Rule(now limit.Instant, id uint64, variant uint16) (*decide.Params, *share.Rule, bool) {
	g.enter("Rule")
	return g.counters.Rule(now, id, variant)
}

// Rule may make a meter, and takes the locks of all shards for it.
func TestCountersAreNotCalledBackUnderALock(t *testing.T) {
	g := &guarded{counters: newCounters(t, limits()), t: t}
	n, err := gossip.New(gossip.Options{Name: "a", Counters: g, MaxHomes: 10, Seed: poolSeed})
	if err != nil {
		t.Fatal(err)
	}
	n.SetView(start, gossip.View{Members: []gossip.Member{{Name: "b", Address: "b", State: gossip.Alive}, {Name: "c", Address: "c", State: gossip.Alive}}})
	n.Start(start)
	g.take(start, keyFor("a"), daily, 600)
	for i := range 20 {
		n.Tick(start.Add(limit.Span(i)*gossip.Interval), &sent{})
	}
}

// A home crashes, or is restarted, when nobody else uses a counter any more. Its
// heir has a copy, and goes on with that.
func TestTheHeirsCopyCounts(t *testing.T) {
	for _, c := range []struct {
		name string
		next func(p *pool)
		asks int // the node that the client comes to next
	}{
		{"the client comes to the heir", func(*pool) {}, 1},
		{"the client comes to another node", func(*pool) {}, 2},
		{"the home is back, and the client comes to it", func(p *pool) { p.boot(0, p.Now()); p.announce(); p.join() }, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPool(t, 1, 3)
			k := p.keyAt(0, 1)
			p.take(0, k, daily, 400)
			p.Run(20 * limit.Second)
			p.kill(0)
			p.announce()
			p.Run(limit.Second)
			c.next(p)
			granted := 0
			for range 100 {
				granted += p.take(c.asks, k, daily, 20)
				p.Run(20 * limit.Millisecond)
			}
			if granted > 600+125+10 {
				t.Errorf("400 of 1000 a day were granted, and then %d more", granted)
			}
		})
	}
}

// A node that leaves has left when all is told, and not before.
func TestANodeThatHasLeftHasToldAll(t *testing.T) {
	const keys = 50
	p := newPool(t, 1, 3)
	for i := range uint64(keys) {
		p.take(2, key(i), daily, 30) // not worth a word yet
	}
	p.Run(limit.Second)
	p.leaves[2] = true
	p.announce()
	p.until("it has left", limit.Second, p.nodes[2].Left)
	p.kill(2)
	p.announce()
	for i := range uint64(keys) {
		p.take(0, key(i), daily, 100)
	}
	p.Run(limit.Second)
	untold := 0
	for i := range uint64(keys) {
		if got := p.left(0, key(i), daily); got > 870 {
			untold++
		}
	}
	if untold > 0 {
		t.Errorf("of %d counters %d were not told", keys, untold)
	}
}

func TestAPoolThatStopsAsAWholeLeaves(t *testing.T) {
	p := newPool(t, 1, 3)
	k := p.keyAt(0, 1)
	p.take(0, k, daily, 600)
	p.Run(limit.Second)
	for i := range 3 {
		p.leaves[i] = true
	}
	p.announce()
	p.until("all have left", 5*limit.Second, func() bool {
		return !slices.ContainsFunc(p.nodes, func(n *node) bool { return !n.Left() })
	})
}

// Those who are gone take nothing: the last node may use all of a limit at once,
// and forgets what it shared.
func TestANodeThatIsAloneAgain(t *testing.T) {
	p := newPool(t, 1, 2)
	k := p.keyAt(0, 1)
	p.use(k, hot, 2, 2*limit.Second, 0, 1)
	p.kill(0)
	p.announce()
	p.Run(50 * limit.Millisecond)
	if got := p.use(k, hot, 2, limit.Second, 1); got < 950 {
		t.Errorf("a node that is alone granted %d of 1000 a second", got)
	}
	p.Run(limit.Second)
	if got := p.nodes[1].counters.Shared(); got != 0 {
		t.Errorf("a node that is alone shares %d counters", got)
	}
}

// A node that is left alone goes on from what is left, whether or not it was the
// home.
func TestWhatIsLeftOfACounterWhenTheOthersAreGone(t *testing.T) {
	for home := range 2 {
		t.Run(fmt.Sprintf("home %d", home), func(t *testing.T) {
			p := newPool(t, 1, 2)
			k := p.keyAt(home, -1)
			granted := p.use(k, daily, 1, 300*limit.Millisecond, 0, 1)
			p.Run(20 * limit.Millisecond) // nothing is decided when they go
			p.kill(0)
			p.announce()
			p.Run(20 * limit.Millisecond)
			granted += p.use(k, daily, 1, 2*limit.Second, 1)
			if granted < 990 || granted > 1050 {
				t.Errorf("%d of 1000 a day were granted", granted)
			}
		})
	}
}

func TestWhatIsFullAgainIsForgotten(t *testing.T) {
	p := newPool(t, 1, 3)
	for i := range uint64(100) {
		for range 3 {
			p.take(int(i%3), key(i), hot, 50+p.Rand().IntN(100))
			p.Run(limit.Span(p.Rand().Int64N(int64(10 * limit.Millisecond))))
		}
	}
	for range 60 {
		p.Run(limit.Second)
		for _, n := range p.nodes {
			n.counters.Expire(p.Now(), 1000)
		}
	}
	for i, n := range p.nodes {
		if s := n.Stats(); s.Homes > 0 || s.Shared > 0 || n.counters.Stats().Keys > 0 {
			t.Errorf("a minute later node %d is home of %d counters, shares %d and has %d", i, s.Homes, s.Shared, n.counters.Stats().Keys)
		}
	}
}

// A cost that nobody grants does not spoil what is said of others.
func TestAHugeCostSpoilsNoFrame(t *testing.T) {
	p := newPool(t, 1, 3)
	k := p.keyAt(0, 1)
	p.take(2, k, hot, 300)
	p.Run(100 * limit.Millisecond)
	c := p.nodes[2].counters
	for range 50 {
		c.Charge(p.Now(), []account.Charge{{Key: k, Meter: c.refs[hot], Cost: math.MaxInt64 / 2}})
		p.take(2, k, hot, 50)
		p.Run(7 * limit.Millisecond)
	}
	for i, n := range p.nodes {
		if len(n.errs) > 0 {
			t.Errorf("node %d refused %d frames of its peers: %v", i, len(n.errs), n.errs[0])
		}
	}
}

func TestARestartedNodeJoinsAtOnce(t *testing.T) {
	p := newPool(t, 1, 3)
	for range 4 {
		p.kill(2)
		p.Run(limit.Second)
		p.boot(2, p.Now())
		if took := p.until("it has joined", 4*limit.Second, p.nodes[2].Joined); took > 50*limit.Millisecond {
			t.Errorf("it took %v to join", took.Duration())
		}
	}
}

// A cautious limit grants a share at first. What costs more is asked for, and
// granted then.
func TestACautiousLimitAsksForWhatItDoesNotGrant(t *testing.T) {
	p := newPool(t, 1, 3)
	for _, n := range p.nodes {
		refs := n.counters.SetMeters(p.Now(), []account.Meter{{Limit: hot, Params: must(decide.TokenBucket(10, limit.Second, 9)), Cautious: true}})
		n.counters.refs = map[uint64]account.Ref{hot: refs[0]}
	}
	k := p.keyAt(0, 1)
	granted := 0
	for range 20 {
		c := p.nodes[2].counters
		if c.Charge(p.Now(), []account.Charge{{Key: k, Meter: c.refs[hot], Cost: 5}}) {
			granted++
		}
		p.Run(limit.Second)
	}
	if granted < 19 {
		t.Errorf("%d of 20 costs of 5 were granted, one a second of 10 a second and a burst of 9", granted)
	}
}

// A node whose seed is zero can talk, or does not come into being.
func TestASeedOfZero(t *testing.T) {
	n, err := gossip.New(gossip.Options{Name: "b", Counters: newCounters(t, limits()), MaxHomes: 10})
	if err != nil {
		return
	}
	var out sent
	n.SetView(start, gossip.View{Members: []gossip.Member{{Name: "a", Address: "a", State: gossip.Alive}}})
	n.Tick(start, &out)
	for _, l := range out.take() {
		if err := newJoined(t).receive(start, "b", l.frame); err != nil {
			t.Errorf("its peer says: %v", err)
		}
	}
}

// A home tells a node that has forgotten a counter what it knows of its former
// era. That is as good as news of a new one.
func TestAStateForAFormerEra(t *testing.T) {
	n := newJoined(t)
	id := share.ID{Key: keyFor("b"), Limit: daily}
	frame := gossip.NewCounts(n.header(7), state(id, share.State{Level: 100, Line: true, Seen: 60, Era: 40_000, Exact: true}))
	if err := n.receive(start, "b", frame); err != nil {
		t.Fatal(err)
	}
	if got := n.left(start, id.Key, daily); got != 100 {
		t.Errorf("%d left, want 100", got)
	}
}

// The network may deliver a frame twice, and late.
func TestAFrameThatComesTwice(t *testing.T) {
	n := newJoined(t)
	id := share.ID{Key: keyFor("a"), Limit: hot}
	frame := gossip.NewCounts(n.header(7), report(id, share.Report{Taken: 900, Rate: 950, Demand: 950, Level: 100, Era: 1, Fresh: true}))
	left := func(at limit.Span) int {
		now := start.Add(at)
		if err := n.receive(now, "b", frame); err != nil {
			t.Fatal(err)
		}
		n.Tick(now, &n.out)
		return n.left(now, id.Key, hot)
	}
	first := left(0)
	if got := left(100 * limit.Millisecond); got > first+6 {
		t.Errorf("%d were left, and %d when the frame came again 100 ms later, want 5 more: 1000 a second come in and 950 are taken", first, got)
	}
}

func TestAReceiptBeginsWithAnyNumber(t *testing.T) {
	for _, first := range []uint32{1, 100, 1 << 31, math.MaxUint32 - 1} {
		var r gossip.Receipt
		r.Note(first)
		if !r.Has(first) || r.Has(first-1) {
			t.Errorf("the first frame is %d: has it %v, and the one before %v", first, r.Has(first), r.Has(first-1))
		}
	}
}

// Tokens come back after their counter has been forgotten where they were taken.
func TestTokensThatAreGivenBackLater(t *testing.T) {
	p := newPool(t, 1, 3)
	k := p.keyAt(0, 1)
	p.take(2, k, daily, 1000)
	p.Run(30 * limit.Second)
	c := p.nodes[2].counters
	c.Charge(p.Now(), []account.Charge{{Key: k, Meter: c.refs[daily], Cost: -400}})
	p.Run(10 * limit.Second)
	for i, got := range p.lefts(k, daily) {
		if got < 390 {
			t.Errorf("%d left at node %d after 400 were given back", got, i)
		}
	}
}

// A single node is replaced by another one, or joined by one: its counters are not
// reset, though it had nobody to tell.
func TestTheCountersOfANodeThatWasAlone(t *testing.T) {
	for _, leaves := range []bool{false, true} {
		t.Run(fmt.Sprintf("it leaves: %v", leaves), func(t *testing.T) {
			p := newPool(t, 1, 2)
			p.kill(1)
			p.announce()
			p.Run(15 * limit.Second)
			k := p.keyAt(0, -1)
			p.take(0, k, daily, 900)
			p.Run(limit.Second)
			p.boot(1, p.Now())
			p.announce()
			p.join()
			p.Run(limit.Second)
			if leaves {
				p.leave(0)
			}
			if got := p.take(1, k, daily, 1000); got > 150 {
				t.Errorf("900 of 1000 a day were granted, and then %d more", got)
			}
		})
	}
}

// A home that goes or comes while reports are under way costs what is under way,
// and no more.
func TestAHomeThatMovesUnderLoad(t *testing.T) {
	for seed := range uint64(5) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			p := newPool(t, seed, 4)
			p.Link = func(string, string) sim.Link { return sim.Link{Min: limit.Millisecond, Max: 4 * limit.Millisecond} }
			k := p.keyAt(3, -1)
			granted := p.use(k, daily, 1, 100*limit.Millisecond, 0, 1)
			p.leaves[3] = true
			p.announce()
			granted += p.use(k, daily, 1, 100*limit.Millisecond, 0, 1)
			p.kill(3)
			p.leaves[3] = false
			p.announce()
			granted += p.use(k, daily, 1, 100*limit.Millisecond, 0, 1)
			p.boot(3, p.Now())
			p.announce()
			granted += p.use(k, daily, 1, 2*limit.Second, 0, 1)
			if granted < 980 || granted > 1020 {
				t.Errorf("%d of 1000 were granted while the home went and came, want 980 to 1020", granted)
			}
		})
	}
}
