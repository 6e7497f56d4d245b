package gossip_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/sluice-dev/sluice/enforcer/gossip"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/share"
)

// passed is how many frames nodes have passed on.
func (p *pool) passed() (all uint64) {
	for _, n := range p.nodes {
		all += n.Stats().Passed
	}
	return all
}

// Node 0 and the home of a counter, node 1, do not reach each other, or one of them
// does not reach the other. They keep one counter all the same, for as long as there is
// somebody who reaches both, and do without him when the link is whole again.
func TestTheLinkToAHomeIsBroken(t *testing.T) {
	for _, c := range []struct {
		name  string
		nodes int
		links [][2]int
	}{
		{"both ways", 3, [][2]int{{0, 1}, {1, 0}}},
		{"to the home", 3, [][2]int{{0, 1}}},
		{"from the home", 3, [][2]int{{1, 0}}},
		{"and so are others", 5, [][2]int{{0, 1}, {1, 0}, {2, 1}, {1, 2}, {0, 3}, {3, 0}}}, // node 4 is left
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPool(t, 1, c.nodes)
			k := p.keyAt(1, -1)
			p.use(k, hot, 1, 3*limit.Second, 0, 2)
			for _, l := range c.links {
				p.Break(p.addrs[l[0]], p.addrs[l[1]])
			}
			if got := p.use(k, hot, 1, 2*limit.Second, 0, 2); got < 1900 || got > 2100 {
				t.Errorf("%d were granted in the first 2 s, want 2000", got)
			}
			if got := p.use(k, hot, 1, 10*limit.Second, 0, 2); got < 9950 || got > 10_050 {
				t.Errorf("%d were granted in 10 s, want 10000", got)
			}
			if p.passed() == 0 {
				t.Error("nothing was passed on")
			}
			p.Heal()
			p.Run(6 * limit.Second)
			before := p.passed()
			p.use(k, hot, 1, 4*limit.Second, 0, 2)
			if got := p.passed() - before; got > 0 {
				t.Errorf("%d frames are passed on after the link has healed", got)
			}
		})
	}
}

func TestNothingIsPassedOnWhileLinksAreWhole(t *testing.T) {
	p := newPool(t, 1, 3)
	p.use(p.keyAt(1, -1), hot, 1, 2*limit.Second, 0, 2)
	p.nodes[1].Tick(p.Now(), p.outbox(1))
	p.Run(10 * limit.Second)
	if got := p.passed(); got > 0 {
		t.Errorf("%d frames were passed on", got)
	}
}

// A frame is passed on as it is, and only by a node between the two.
func TestWhatIsPassedOn(t *testing.T) {
	for _, c := range []struct {
		name  string
		route gossip.Route
		lost  bool   // whom it is for cannot be reached
		to    string // who gets it
		want  error
	}{
		{name: "from the sender to another peer", route: gossip.RouteOf("b", "c"), to: "c"},
		{name: "from the sender to one that cannot be reached", route: gossip.RouteOf("b", "c"), lost: true},
		{name: "from the sender to nobody", route: gossip.RouteOf("b", "d")},
		{name: "from another one to another one", route: gossip.RouteOf("c", "b"), want: gossip.ErrStranger},
		{name: "from nobody to this node", route: gossip.RouteOf("d", "a"), want: gossip.ErrStranger},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newJoined(t)
			if c.lost {
				n.SetView(start, gossip.View{Members: []gossip.Member{
					{Name: "b", Address: "b", State: gossip.Alive}, {Name: "c", Address: "c", State: gossip.Unreachable},
				}})
			}
			h := n.header(7)
			h.Route = c.route
			frame := gossip.NewCounts(h, report(share.ID{Key: keyFor("a"), Limit: daily}, share.Report{Taken: 600, Era: 1, Fresh: true}))
			if err := n.receive(start, "b", frame); !errors.Is(err, c.want) {
				t.Errorf("Receive() = %v, want %v", err, c.want)
			}
			sent := n.out.take()
			if c.to == "" && len(sent) > 0 || c.to != "" && (len(sent) != 1 || sent[0].to != c.to || !bytes.Equal(sent[0].frame, frame)) {
				t.Errorf("sent %+v", sent)
			}
			if got := n.left(start, keyFor("a"), daily); got != 1000 {
				t.Errorf("%d left of the counter, want all 1000", got)
			}
		})
	}
}

// What came by way of another peer counts as that of the peer it is from.
func TestWhatCameByWayOfAnother(t *testing.T) {
	n := newJoined(t)
	id := share.ID{Key: keyFor("a"), Limit: daily}
	h := n.header(7)
	h.Route = gossip.RouteOf("b", "a")
	frame := gossip.NewCounts(h, report(id, share.Report{Taken: 600, Level: 400, Era: 1, Fresh: true}))
	if err := n.receive(start, "c", frame); err != nil {
		t.Fatal(err)
	}
	n.Tick(start, &n.out)
	if got := n.left(start, id.Key, daily); got != 400 {
		t.Errorf("%d left of the counter, want 400", got)
	}
}

// Nobody passes on for two nodes that hear nothing directly from a third one: it is
// told directly what it does not hear.
func TestWhoIsDeafToAll(t *testing.T) {
	n := newJoined(t)
	for i, from := range []string{"b", "c"} {
		h := n.header(uint64(7 + i))
		h.Deaf = true
		if err := n.receive(start, from, gossip.NewCounts(h)); err != nil {
			t.Fatal(err)
		}
	}
	n.Tick(start.Add(limit.Second), &n.out)
	sent := n.out.take()
	if len(sent) != 2 {
		t.Fatalf("sent %+v, want a hello to each peer", sent)
	}
	for _, l := range sent {
		if h, _, err := gossip.Decode(l.frame); err != nil || h.Route != (gossip.Route{}) {
			t.Errorf("sent %+v to %s, %v", h, l.to, err)
		}
	}
}
