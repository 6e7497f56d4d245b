package gossip_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/gossip"
	"github.com/sluice-dev/sluice/enforcer/internal/sim"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

// use has some nodes ask for tokens, each for n a millisecond, and returns how
// many were granted.
func (p *pool) use(k limit.Key, id uint64, n int, d limit.Span, by ...int) (granted int) {
	for range d / limit.Millisecond {
		for _, i := range by {
			granted += p.take(i, k, id, n)
		}
		p.Run(limit.Millisecond)
	}
	return granted
}

// leave has node i leave the pool in good order.
func (p *pool) leave(i int) {
	p.t.Helper()
	p.leaves[i] = true
	p.announce()
	p.until("it has told all", limit.Second, p.nodes[i].Left)
	p.Run(5 * limit.Millisecond) // for what is under way
	p.kill(i)
	delete(p.leaves, i)
	p.announce()
}

// Counters that move to another home are not reset, whether the home goes or
// another node comes.
func TestCountersMoveWithTheirHome(t *testing.T) {
	const keys = 60
	for _, c := range []struct {
		name string
		move func(p *pool)
	}{
		{"a node joins", func(p *pool) {
			p.boot(3, p.Now())
			p.announce()
			p.join()
		}},
		{"a node leaves", func(p *pool) { p.leave(2) }},
		{"one leaves and another joins", func(p *pool) {
			p.leave(2)
			p.boot(3, p.Now())
			p.announce()
			p.join()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPool(t, 1, 4)
			p.leave(3)
			for i := range uint64(keys) {
				p.take(int(i%3), key(i), daily, 300+int(i))
			}
			p.Run(2 * limit.Second)
			c.move(p)
			p.Run(limit.Second)
			moved := 0
			for i := range uint64(keys) {
				if home, _ := p.homes(key(i)); home == 3 {
					moved++
				}
				p.take(0, key(i), daily, 50) // so much that the home hears of it, and tells what it knows
			}
			p.Run(100 * limit.Millisecond)
			for i := range uint64(keys) {
				// What its home said of a rate goes on for a while where nobody asks.
				if got, want := p.left(0, key(i), daily), 650-int(i); got < want-6 || got > want+1 {
					t.Errorf("%d left of counter %d, want %d", got, i, want)
				}
			}
			if p.nodes[3] != nil && moved == 0 {
				t.Error("the node that joined is home of no counter")
			}
		})
	}
}

func TestAnExhaustedCounterIsKnownToNodesThatNeverSawIt(t *testing.T) {
	p := newPool(t, 1, 5)
	home := 0
	k := p.keyAt(home, -1)
	if got := p.take(1, k, daily, 1200); got != 1000 {
		t.Fatalf("%d of 1000 were granted", got)
	}
	p.until("everybody knows it", 50*limit.Millisecond, func() bool {
		return !slices.ContainsFunc(p.lefts(k, daily), func(left int) bool { return left > 0 })
	})
	for i := range 5 {
		if got := p.take(i, k, daily, 10); got != 0 {
			t.Errorf("node %d granted %d of an exhausted limit", i, got)
		}
	}
	// Later as well, when nobody has asked for it for long.
	p.Run(30 * limit.Second)
	for i := range 5 {
		if got := p.take(i, k, daily, 10); got != 0 {
			t.Errorf("half a minute later node %d granted %d", i, got)
		}
	}
}

// Nobody but a node that crashes, and its home, saw a client. The next home has a
// copy, in steps of an eighth.
func TestTheHeirHasACopy(t *testing.T) {
	for _, taken := range []int{130, 400, 990} {
		t.Run(fmt.Sprintf("%d tokens", taken), func(t *testing.T) {
			p := newPool(t, 1, 4)
			k := p.keyAt(0, 1)
			p.take(0, k, daily, taken)
			p.Run(limit.Second)
			p.kill(0)
			p.announce()
			p.Run(limit.Second)
			if got, want := p.left(1, k, daily), 1000-taken; got < want || got > want+125 {
				t.Errorf("the heir believes that %d are left, want %d to %d", got, want, want+125)
			}
		})
	}
}

// A node that cannot be reached may be down, or on the other side of a split
// network. Those who reach most of the pool suppose that it is down.
func TestNodesThatCannotBeReached(t *testing.T) {
	for _, c := range []struct {
		name     string
		nodes    int
		side     []int // who goes on, with the home of the counter
		least    int   // tokens they are granted in a second of 1000
		most     int
		goneThat bool // the others are known to be gone
	}{
		{"most of the pool takes all", 3, []int{0, 1}, 950, 1050, false},
		{"the small side of a split takes its part", 3, []int{0}, 250, 450, false},
		{"one half of a split takes its part", 4, []int{0, 1}, 400, 600, false},
		{"one that knows that the others are gone takes all", 3, []int{0}, 950, 1050, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPool(t, 1, c.nodes)
			k := p.keyAt(0, -1)
			all := make([]int, c.nodes)
			for i := range all {
				all[i] = i
			}
			p.use(k, hot, 2, 3*limit.Second, all...)
			in := func(i int) bool { return slices.Contains(c.side, i) }
			p.Link = func(from, to string) sim.Link {
				if in(slices.Index(p.addrs, from)) != in(slices.Index(p.addrs, to)) {
					return sim.Link{Loss: 1}
				}
				return lan(from, to)
			}
			p.sees = func(i, j int) gossip.MemberState {
				switch {
				case in(i) == in(j):
					return gossip.Alive
				case c.goneThat:
					return 0
				}
				return gossip.Unreachable
			}
			p.announce()
			p.use(k, hot, 2, limit.Second, c.side...)
			if got := p.use(k, hot, 2, 2*limit.Second, c.side...) / 2; got < c.least || got > c.most {
				t.Errorf("%d of 1000 a second are granted, want %d to %d", got, c.least, c.most)
			}
			p.use(k, hot, 2, 10*limit.Second, c.side...) // what they said is relied on for so long
			if got := p.use(k, hot, 2, limit.Second, c.side...); got < c.least || got > c.most {
				t.Errorf("after that %d of 1000 a second are granted, want %d to %d", got, c.least, c.most)
			}
		})
	}
}

// A client below its limit notices nothing of a split that heals.
func TestNobodyStarvesAfterASplit(t *testing.T) {
	p := newPool(t, 1, 4)
	k := p.keyAt(0, -1)
	all := []int{0, 1, 2, 3}
	asked := func(d limit.Span) int { return int(d/limit.Millisecond) / 5 * 4 }
	use := func(d limit.Span) (granted int) { // 800 a second
		for range d / (5 * limit.Millisecond) {
			for _, i := range all {
				granted += p.take(i, k, hot, 1)
			}
			p.Run(5 * limit.Millisecond)
		}
		return granted
	}
	use(2 * limit.Second)
	side := func(addr string) bool { return addr < p.addrs[2] }
	p.Link = func(from, to string) sim.Link {
		if side(from) != side(to) {
			return sim.Link{Loss: 1}
		}
		return lan(from, to)
	}
	use(limit.Second) // until it is noticed
	p.sees = func(i, j int) gossip.MemberState {
		if i < 2 == (j < 2) {
			return gossip.Alive
		}
		return gossip.Unreachable
	}
	p.announce()
	if got, want := use(9*limit.Second), asked(9*limit.Second); got < want {
		t.Errorf("during the split %d of %d were granted", got, want)
	}
	p.Link, p.sees = lan, nil
	use(500 * limit.Millisecond) // until it is noticed
	p.announce()
	if got, want := use(5*limit.Second), asked(5*limit.Second); got < want {
		t.Errorf("after the split %d of %d were granted", got, want)
	}
}

// A hand-over that the network loses is mended before its sender is gone.
func TestALostHandOverIsMended(t *testing.T) {
	const keys = 100
	p := newPool(t, 1, 3)
	for i := range uint64(keys) {
		p.take(int(i%2), key(i), daily, 500)
	}
	p.Run(20 * limit.Second)
	lost := 0
	p.Link = func(from, to string) sim.Link {
		l := lan(from, to)
		if from == p.addrs[2] && lost < 4 {
			lost++
			l.Loss = 1
		}
		return l
	}
	p.leave(2)
	for i := range uint64(keys) {
		p.take(0, key(i), daily, 50)
	}
	p.Run(limit.Second)
	wrong := 0
	for i := range uint64(keys) {
		if got := p.left(0, key(i), daily); got > 460 {
			wrong++
		}
	}
	if wrong > 0 {
		t.Errorf("%d of %d counters were reset, with four frames lost", wrong, keys)
	}
}

// The home forgets its own part of a counter like any other node, and is told of
// the rest all the same.
func TestTheHomeItselfKnowsWhatIsLeft(t *testing.T) {
	const few = uint64(3)
	p := newPool(t, 1, 4)
	for _, n := range p.nodes {
		known := limits()
		known[few] = must(decide.TokenBucket(5, limit.Minute, 5))
		n.counters.know(p.Now(), known)
	}
	k := p.keyAt(0, 1)
	for _, by := range []int{0, 0, 1, 2, 3} { // half a token comes in each time
		if p.take(by, k, few, 1) != 1 {
			t.Fatal("the burst is not there")
		}
		p.Run(6 * limit.Second)
	}
	p.take(1, k, few, 1)
	p.Run(100 * limit.Millisecond)
	p.take(2, k, few, 1)
	p.Run(5 * limit.Second)
	if p.take(0, k, few, 1) != 0 {
		t.Error("the home admitted a token of which a tenth had not come in")
	}
}

// A node that only hears of a counter hears of it, whatever becomes of the first
// frame, and whether or not it could be reached then.
func TestWhoTakesNothingIsToldAgain(t *testing.T) {
	for _, away := range []bool{false, true} {
		p := newPool(t, 1, 4)
		k := p.keyAt(0, 1)
		p.Split([]string{p.addrs[3]})
		if away {
			p.sees = func(i, j int) gossip.MemberState {
				if i != j && (i == 3 || j == 3) {
					return gossip.Unreachable
				}
				return gossip.Alive
			}
			p.announce()
		}
		p.Run(20 * limit.Millisecond)
		p.take(2, k, daily, 700)
		p.Run(50 * limit.Millisecond)
		p.Heal()
		if away {
			p.sees = func(int, int) gossip.MemberState { return gossip.Alive }
			p.announce()
		}
		p.Run(500 * limit.Millisecond)
		if got := p.left(3, k, daily); got > 310 {
			t.Errorf("away %v: %d are left on the node that was not reached, want 300", away, got)
		}
	}
}

// The news that a home leaves comes to one node after the other. What each reports
// meanwhile to the one that it takes for the home is counted, once.
func TestNothingIsLostWhileAHomeMoves(t *testing.T) {
	for _, order := range [][]int{{0, 1}, {1, 0}} { // who hears first: the next home, or the other one
		p := newPool(t, 1, 3)
		k := p.keyAt(2, 0)
		granted := 0
		use := func(by ...int) {
			for range 10 {
				for _, i := range by {
					granted += p.take(i, k, daily, 3)
				}
				p.Run(10 * limit.Millisecond)
			}
		}
		use(0, 1, 2)
		use(0, 1, 2) // enough for the home to know of it
		p.leaves[2] = true
		for _, i := range append([]int{2}, order...) {
			p.nodes[i].SetView(p.Now(), p.view(i))
			use(0, 1, 2)
		}
		p.until("it has left", 2*limit.Second, p.nodes[2].Left)
		p.Run(5 * limit.Millisecond)
		p.kill(2)
		p.announce()
		p.Run(12 * limit.Second) // nobody expects anybody to go on
		for i := range 2 {
			granted += p.take(i, k, daily, 100)
			p.Run(100 * limit.Millisecond)
		}
		p.Run(500 * limit.Millisecond)
		for i := range 2 {
			if got, want := p.left(i, k, daily), 1000-granted; got < want-3 || got > want+3 {
				t.Errorf("the news came to %v: node %d has %d left, want %d", order, i, got, want)
			}
		}
	}
}
