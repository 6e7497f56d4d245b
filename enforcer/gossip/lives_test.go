package gossip_test

import (
	"testing"

	"github.com/sluice-dev/sluice/enforcer/gossip"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/share"
)

// A node that has been restarted counts anew, and what it took before stays
// taken. Late frames of its former life are not used.
func TestARestartedPeerIsANewNode(t *testing.T) {
	id := share.ID{Key: keyFor("a"), Limit: daily}
	say := func(h gossip.Header, taken int64, era uint16) []byte {
		return gossip.NewCounts(h, report(id, share.Report{Taken: taken, Level: float64(1000 - taken), Era: era, Fresh: true}))
	}
	n := newJoined(t)
	late := n.header(7)
	for _, step := range []struct {
		name  string
		frame []byte
		want  int // left at the home
	}{
		{"its first life", say(n.header(7), 600, 1), 400},
		{"its second", say(n.header(8), 100, 1), 300},
		{"more of its second", say(n.header(8), 150, 1), 250},
		{"a late frame of its first life", say(late, 10, 1), 250},
		{"one with a high number", say(gossip.Header{Settled: true, Life: 7, Seq: 1 << 30, Tag: poolSeed.Tag()}, 650, 1), 250},
		{"its third, in which numbers begin anew", say(gossip.Header{Settled: true, Life: 9, Seq: 1, Tag: poolSeed.Tag()}, 50, 1), 200},
		{"a late frame of its second life", say(n.header(8), 160, 1), 200},
	} {
		if err := n.receive(start, "b", step.frame); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		n.Tick(start, &n.out)
		if got := n.left(start, id.Key, daily); got != step.want {
			t.Errorf("%s: %d left, want %d", step.name, got, step.want)
		}
	}
}

func TestAnAddressThatAnotherNodeTakesOver(t *testing.T) {
	n := newJoined(t)
	// A counter whose home is this node, whoever the peers are.
	var id share.ID
	for i := uint64(0); ; i++ {
		if id = (share.ID{Key: key(i), Limit: daily}); owner(id.Key, "a", "b", "c") == "a" && owner(id.Key, "a", "d", "c") == "a" {
			break
		}
	}
	say := func(life uint64, taken int64) {
		t.Helper()
		frame := gossip.NewCounts(n.header(life), report(id, share.Report{Taken: taken, Level: float64(1000 - taken), Era: 1, Fresh: true}))
		if err := n.receive(start, "b", frame); err != nil {
			t.Fatal(err)
		}
		n.Tick(start, &n.out)
	}
	say(7, 600)
	n.SetView(start, gossip.View{Members: []gossip.Member{
		{Name: "d", Address: "b", State: gossip.Alive}, {Name: "c", Address: "c", State: gossip.Alive},
	}})
	say(7, 610) // late, of the node that was there
	if got := n.left(start, id.Key, daily); got != 400 {
		t.Errorf("%d left, want 400", got)
	}
	say(8, 50)
	if got := n.left(start, id.Key, daily); got != 350 {
		t.Errorf("%d left, want 350: another node took 50", got)
	}
	if peers := n.Peers(nil); len(peers) != 2 || peers[0].Name != "d" || peers[0].LastHeard != start || peers[1].Name != "c" {
		t.Errorf("Peers() = %+v", peers)
	}
}

// Those who take from a counter register with its home when that has been
// restarted, and it goes on where it was: what each of them may be wrong by, a
// tenth, is lost at most.
func TestARestartedHomeIsToldByThoseWhoTake(t *testing.T) {
	p := newPool(t, 1, 3)
	k := p.keyAt(0, 1)
	use := func(d limit.Span) (granted int) {
		for range d / (10 * limit.Millisecond) {
			granted += p.take(1, k, daily, 1) + p.take(2, k, daily, 1)
			p.Run(10 * limit.Millisecond)
		}
		return granted
	}
	granted := use(limit.Second)
	p.kill(0)
	granted += use(300 * limit.Millisecond)
	p.boot(0, p.Now())
	granted += use(10 * limit.Second)
	if granted < 990 || granted > 1100 {
		t.Errorf("%d of 1000 a day were granted across a restart of the home", granted)
	}
	for i, got := range p.lefts(k, daily) {
		if got != 0 {
			t.Errorf("%d left at node %d, want none", got, i)
		}
	}
}

// Requests still come to a node that leaves, until those who send them know: it
// tells these too, however few they are.
func TestWhatALeavingNodeTakesIsTold(t *testing.T) {
	const keys = 20
	p := newPool(t, 1, 3)
	p.Run(limit.Second)
	p.leaves[2] = true
	p.announce()
	p.until("all from before is told", limit.Second, p.nodes[2].Left)
	for range 10 {
		for i := range uint64(keys) {
			p.take(2, key(i), daily, 2)
		}
		p.Run(20 * limit.Millisecond)
	}
	p.until("it has left", limit.Second, p.nodes[2].Left)
	p.kill(2)
	p.announce()
	for i := range uint64(keys) {
		p.take(0, key(i), daily, 100)
	}
	p.Run(limit.Second)
	for i := range uint64(keys) {
		if got := p.left(0, key(i), daily); got != 880 {
			t.Errorf("counter %d has %d left, want 1000 but for 100 taken here, and 20 by the node that left", i, got)
		}
	}
}
