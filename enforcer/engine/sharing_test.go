package engine_test

import (
	"testing"

	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/policy"
)

// local has each node count a limit for itself.
func local(l policy.Limit) policy.Limit {
	l.Sharing = policy.Local.String()
	return l
}

// said is how many entries of counters the nodes of a pool have sent to each other.
func (p *pool) said() (entries uint64) {
	for _, e := range p.nodes {
		r := e.Report().Gossip
		entries += r.Reports + r.States
	}
	return entries
}

// setPolicy puts a snapshot in force on every node.
func (p *pool) setPolicy(s *policy.Snapshot) {
	for _, e := range p.nodes {
		e.SetPolicy(p.Now(), s)
	}
}

// each asks every node 200 times at once and returns how many each admitted.
func (p *pool) each(key string) (by []int) {
	for _, e := range p.nodes {
		by = append(by, admitted(e, p.Now(), client(key), 200))
	}
	return by
}

func wantEach(t *testing.T, what string, got []int, want int) {
	t.Helper()
	for node, n := range got {
		if n != want {
			t.Errorf("%s: node %d admitted %d, want %d", what, node, n, want)
		}
	}
}

// Each node grants all of a limit that it counts for itself, and the others hear of it
// neither while it is used, nor when a node starts or leaves.
func TestALocalLimitIsEachNodesOwn(t *testing.T) {
	p := newPool(t, 1, 2, lan, compile(t, local(perClient("client", 100, "1h", 100))))
	wantEach(t, "at first", p.each("a"), 100)
	p.Run(limit.Second)
	wantEach(t, "a second later", p.each("a"), 0)

	p.boot(1)
	p.join()
	if got := admitted(p.nodes[1], p.Now(), client("a"), 200); got != 100 {
		t.Errorf("a node that starts admitted %d, want 100", got)
	}
	leaving := p.view(0)
	leaving.Leaving = true
	p.nodes[0].SetView(p.Now(), leaving)
	for i := 0; i < 1000 && !p.nodes[0].Left(); i++ {
		p.Run(limit.Millisecond)
	}
	if !p.nodes[0].Left() {
		t.Error("a node with nothing to tell never leaves")
	}
	if entries := p.said(); entries != 0 {
		t.Errorf("%d entries were sent, want none", entries)
	}
	for i, e := range p.nodes {
		if r := e.Report(); r.Store.Shared != 0 || r.Gossip.Homes != 0 {
			t.Errorf("node %d shares %d counters and is the home of %d, want none", i, r.Store.Shared, r.Gossip.Homes)
		}
	}
}

// Limits of both kinds apply to one request, each as it is shared.
func TestALocalLimitBesideOneThatIsShared(t *testing.T) {
	p := newPool(t, 1, 2, lan, compile(t, local(perClient("own", 100, "1h", 100)), perClient("shared", 150, "1h", 150)))
	if got := admitted(p.nodes[0], p.Now(), client("a"), 200); got != 100 {
		t.Errorf("the first node admitted %d, want the 100 of its own limit", got)
	}
	p.Run(limit.Second)
	if got := admitted(p.nodes[1], p.Now(), client("a"), 200); got != 50 {
		t.Errorf("the second node admitted %d, want the 50 that are left of the shared limit", got)
	}
}

// What was used stays used when a limit comes to be shared in another way; a node that
// no longer shares it says no more of it, and does not listen to those that still do.
func TestALimitIsSharedInAnotherWay(t *testing.T) {
	shared := perClient("client", 100, "1h", 100)
	both := compile(t, shared)
	p := newPool(t, 1, 2, lan, both)
	admitted(p.nodes[0], p.Now(), client("a"), 60)
	admitted(p.nodes[0], p.Now(), client("b"), 60)
	p.Run(limit.Second)

	p.setPolicy(compile(t, local(shared)))
	before := p.said()
	wantEach(t, "after it became local", p.each("a"), 40)
	p.Run(20 * limit.Second)
	if entries := p.said() - before; entries != 0 {
		t.Errorf("%d entries were sent of a limit that is local by now, want none", entries)
	}

	p.nodes[1].SetPolicy(p.Now(), both) // the other one has not heard yet
	admitted(p.nodes[1], p.Now(), client("c"), 60)
	p.Run(limit.Second)
	if got := admitted(p.nodes[0], p.Now(), client("c"), 200); got != 100 {
		t.Errorf("a node that counts for itself admitted %d to a client of another node, want 100", got)
	}

	p.nodes[0].SetPolicy(p.Now(), both)
	p.Run(limit.Second)
	admitted(p.nodes[0], p.Now(), client("c"), 1)
	p.Run(limit.Second)
	wantEach(t, "shared again", p.each("c"), 0)
}

// A client of a limit that each node counts for itself is reset node by node.
func TestAClientOfALocalLimitIsReset(t *testing.T) {
	p := newPool(t, 1, 2, lan, compile(t, local(perClient("client", 100, "1h", 100))))
	name := policy.Name{Namespace: "shop", Policy: "web", Limit: "client"}
	p.each("a")
	p.nodes[0].Fill(p.Now(), name, []string{"a"})
	p.Run(limit.Second)
	if got := p.each("a"); got[0] != 100 || got[1] != 0 {
		t.Errorf("after one was reset the nodes admitted %d, want 100 and 0", got)
	}
}
