package engine_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/sluice-dev/sluice/enforcer/gossip"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/policy"
	"github.com/sluice-dev/sluice/enforcer/request"
)

func TestCountersThroughAPolicyChange(t *testing.T) {
	before := perClient("client", 10, "1h", 10)
	for _, c := range []struct {
		name  string
		after policy.Limit
		want  int // of 100 requests, after 6 before the change
	}{
		{"a limit that did not change keeps its counters", perClient("client", 10, "1h", 10), 4},
		{"a higher rate: what is used stays used", perClient("client", 50, "1h", 50), 44},
		{"a lower rate: nothing is left, and there is no debt", perClient("client", 3, "1h", 3), 0},
		{"another key begins afresh", total("client", 10, "1h"), 10},
		{"another name begins afresh", perClient("user", 10, "1h", 10), 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEngine(t, compile(t, total("other", 1000, "1s"), before))
			admitted(e, start, client("a"), 6)
			e.SetPolicy(start, compile(t, c.after, total("other", 1000, "1s")))
			if got := admitted(e, start, client("a"), 100); got != c.want {
				t.Errorf("%d of 100 requests were admitted, want %d", got, c.want)
			}
		})
	}
	t.Run("a limit that is taken out and put back keeps what is not yet refilled", func(t *testing.T) {
		e := newEngine(t, compile(t, before))
		admitted(e, start, client("a"), 6)
		e.SetPolicy(start, compile(t, total("other", 1000, "1s")))
		e.SetPolicy(start.Add(limit.Second), compile(t, before))
		if got := admitted(e, start.Add(limit.Second), client("a"), 100); got != 4 {
			t.Errorf("%d requests were admitted, want 4", got)
		}
	})
}

// nowhere is an Outbox that drops everything.
type nowhere struct{}

func (nowhere) Send(string, []byte) {}

// While policies change and gossip runs, every request sees one whole policy, and
// of one client's requests no more are admitted than there are tokens.
func TestDecisionsRaceWithPolicyChanges(t *testing.T) {
	even := compile(t, perClient("client", 100, "24h", 100), total("even", 1e9, "1s"))
	odd := compile(t, total("odd", 1e9, "1s"), perClient("client", 100, "24h", 100))
	e := newEngine(t, even)
	var callers sync.WaitGroup
	yes := make([]int, 4)
	for i := range yes {
		callers.Go(func() {
			req, ans := client("a"), request.Answer{}
			for range 5000 {
				e.Decide(start, req, &ans)
				if ans.Outcome == request.Admitted {
					yes[i]++
				}
				if len(ans.Applied) != 2 {
					t.Errorf("%d limits applied, want 2", len(ans.Applied))
					return
				}
			}
		})
	}
	callers.Go(func() {
		for i := range 200 {
			e.SetPolicy(start, []*policy.Snapshot{even, odd}[i%2])
			e.Tick(start, nowhere{})
			e.SetView(start, gossip.View{Members: []gossip.Member{{Name: limit.NodeID(fmt.Sprint(i)), Address: fmt.Sprint(i), State: gossip.Alive}}})
			_ = e.Receive(start, fmt.Sprint(i), []byte("no frame"), nowhere{})
			e.Report()
		}
	})
	callers.Wait()
	if sum := yes[0] + yes[1] + yes[2] + yes[3]; sum != 100 {
		t.Errorf("%d requests were admitted, want 100", sum)
	}
	var _ gossip.Outbox = nowhere{}
}
