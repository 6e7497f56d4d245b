package gossip_test

import (
	"testing"

	"github.com/sluice-dev/sluice/enforcer/gossip"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/share"
)

func TestWhenANodeHasJoined(t *testing.T) {
	peer := gossip.Member{Name: "b", Address: "b", State: gossip.Alive}
	gone := gossip.Member{Name: "c", Address: "c", State: gossip.Unreachable}
	fresh := func(t *testing.T) (*gossip.Node, *sent) {
		n, err := gossip.New(gossip.Options{Name: "a", Counters: newCounters(t, limits()), MaxHomes: 1000, Seed: poolSeed})
		if err != nil {
			t.Fatal(err)
		}
		return n, &sent{}
	}
	t.Run("without peers at once", func(t *testing.T) {
		n, _ := fresh(t)
		n.Start(start)
		if n.Joined() {
			t.Error("joined before it knows whether there are peers")
		}
		n.SetView(start, gossip.View{})
		if !n.Joined() {
			t.Error("not joined")
		}
	})
	t.Run("peers that cannot be reached are not waited for", func(t *testing.T) {
		n, _ := fresh(t)
		n.Start(start)
		n.SetView(start, gossip.View{Members: []gossip.Member{gone}})
		if !n.Joined() {
			t.Error("not joined")
		}
	})
	t.Run("not before its limits are known, and three seconds later at the latest", func(t *testing.T) {
		n, out := fresh(t)
		n.SetView(start, gossip.View{Members: []gossip.Member{peer}})
		n.Tick(start.Add(limit.Minute), out)
		if n.Joined() {
			t.Error("joined before its limits are known")
		}
		began := start.Add(limit.Hour)
		n.Start(began)
		n.Tick(began.Add(3*limit.Second-1), out)
		if n.Joined() {
			t.Error("joined before three seconds are over")
		}
		n.Tick(began.Add(3*limit.Second+gossip.Interval), out)
		if !n.Joined() {
			t.Error("not joined after three seconds")
		}
		n.SetView(began.Add(limit.Minute), gossip.View{Members: []gossip.Member{peer, {Name: "d", Address: "d", State: gossip.Alive}}})
		n.Start(began.Add(limit.Minute))
		if !n.Joined() {
			t.Error("a new peer made it unready")
		}
	})
	t.Run("as many as are expected are waited for", func(t *testing.T) {
		n, out := fresh(t)
		n.Start(start)
		n.SetView(start, gossip.View{Expected: 2})
		n.Tick(start.Add(limit.Second), out)
		if n.Joined() {
			t.Error("joined before it met the other one")
		}
		n.SetView(start.Add(limit.Second), gossip.View{Expected: 1})
		if !n.Joined() {
			t.Error("not joined when nobody is expected any more")
		}
	})
	t.Run("peers that appear meanwhile are waited for", func(t *testing.T) {
		n, out := fresh(t)
		n.SetView(start, gossip.View{Members: []gossip.Member{peer}})
		n.Start(start)
		n.SetView(start.Add(limit.Second), gossip.View{Members: []gossip.Member{peer, {Name: "d", Address: "d", State: gossip.Alive}}})
		n.Tick(start.Add(limit.Second), out)
		asked := map[string]bool{}
		for _, l := range out.take() {
			if l.frame[1] == 3 {
				asked[l.to] = true
			}
		}
		if !asked["b"] || !asked["d"] {
			t.Errorf("it asked %v, want both", asked)
		}
	})
}

// Pages may come in any order, twice, and late; what is missing is asked for
// again.
func TestPagesOfAHandOver(t *testing.T) {
	page := func(n *lone, from uint64, number, index, pages uint32, k limit.Key, level float64) []byte {
		return gossip.NewPage(n.header(from), number, index, pages, state(share.ID{Key: k, Limit: daily}, share.State{Level: level}))
	}
	n := newJoiner(t, start)
	theirs := keyFor("b")
	mine := keyFor("a") // and b's before
	for i := 1; owner(mine, "b", "c") != "b"; i++ {
		mine = keysFor("a", i)
	}
	deliver := func(at limit.Span, from string, life uint64, number, index, pages uint32, k limit.Key) {
		t.Helper()
		if err := n.receive(start.Add(at), from, page(n, life, number, index, pages, k, 250)); err != nil {
			t.Fatal(err)
		}
	}
	ms := limit.Millisecond
	deliver(0, "c", 8, 1, 0, 1, keyFor("c"))
	deliver(ms, "b", 7, 1, 2, 3, mine)
	deliver(2*ms, "b", 7, 1, 0, 3, theirs)
	deliver(3*ms, "b", 7, 1, 0, 3, theirs)
	deliver(4*ms, "b", 7, 99, 1, 3, theirs) // of another question
	if n.Joined() {
		t.Fatal("joined without the second page of three")
	}
	for _, k := range []limit.Key{mine, theirs, keyFor("c")} {
		if got := n.left(start, k, daily); got != 250 {
			t.Errorf("%d left of a counter that came, want 250", got)
		}
	}
	n.out.take()
	n.Tick(start.Add(201*ms), &n.out)
	if n.Joined() || countKind(n.out.take(), 3) > 0 {
		t.Error("it asked again within 200 ms of the last page")
	}
	n.Tick(start.Add(206*ms), &n.out)
	if got := countKind(n.out.take(), 3); got != 1 {
		t.Errorf("it asked %d peers again, want the one whose page is missing", got)
	}
	deliver(210*ms, "b", 7, 2, 0, 1, theirs)
	if !n.Joined() {
		t.Error("not joined with all pages of the second answer")
	}
}

// countKind counts frames of a kind.
func countKind(letters []letter, kind byte) (n int) {
	for _, l := range letters {
		if l.frame[1] == kind {
			n++
		}
	}
	return n
}

// A node that starts knows, before it is ready, of every client that is near its
// limit.
func TestANodeThatJoinsKnowsWhoIsNearTheLimit(t *testing.T) {
	const keys = 300
	p := newPool(t, 1, 3)
	for i := range uint64(keys) { // at nodes that stay
		p.take(int(i%2), key(i), daily, 300)
	}
	p.Run(limit.Second)
	p.kill(2)
	p.announce()
	p.Run(100 * limit.Millisecond)
	p.boot(2, p.Now())
	p.announce()
	p.until("it has joined", limit.Second, p.nodes[2].Joined)
	p.Run(100 * limit.Millisecond) // for what is its own from now on
	for i := range uint64(keys) {
		if got := p.left(2, key(i), daily); got < 630 || got > 770 {
			t.Errorf("%d left of counter %d, want 700 and at most a tenth off", got, i)
		}
	}
}

// A peer that joins gets what is below three quarters, and nothing else.
func TestWhatIsHandedToANodeThatJoins(t *testing.T) {
	n := newLone(t)
	for i, taken := range []int64{200, 300, 900} {
		frame := gossip.NewCounts(n.header(7), report(share.ID{Key: keysFor("a", i), Limit: daily}, share.Report{Taken: taken, Level: float64(1000 - taken), Era: 1, Fresh: true}))
		if err := n.receive(start, "b", frame); err != nil {
			t.Fatal(err)
		}
	}
	n.out.take()
	for range 3 { // asked again while it is being answered
		if err := n.receive(start, "c", gossip.NewPull(n.header(8), 1)); err != nil {
			t.Fatal(err)
		}
	}
	n.Tick(start.Add(gossip.Interval), &n.out)
	n.Tick(start.Add(2*gossip.Interval), &n.out)
	var levels []float64
	pages := 0
	for _, l := range n.out.take() {
		if l.to != "c" || l.frame[1] != 4 {
			continue
		}
		pages++
		_, entries, err := gossip.Decode(l.frame)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			levels = append(levels, e.State.Level)
		}
	}
	if pages != 1 || len(levels) != 2 || levels[0] != 700 || levels[1] != 100 {
		t.Errorf("%d pages with levels %v, want one with 700 and 100", pages, levels)
	}
}
