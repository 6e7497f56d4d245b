package engine_test

import (
	"fmt"
	"testing"

	"github.com/sluice-dev/sluice/enforcer/gossip"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/request"
)

// seeZones tells every node who is up, and which of three zones each is in.
func (p *pool) seeZones() {
	zone := func(i int) string { return fmt.Sprint("zone-", i%3) }
	for i, e := range p.nodes {
		if e == nil {
			continue
		}
		v := gossip.View{Expected: len(p.nodes), Zone: zone(i)}
		for j, addr := range p.addrs {
			m := gossip.Member{Name: nameOf(j), Address: addr, State: gossip.Alive, Zone: zone(j)}
			if p.nodes[j] == nil {
				m.State = gossip.Unreachable
			}
			if j != i {
				v.Members = append(v.Members, m)
			}
		}
		e.SetView(p.Now(), v)
	}
}

// All copies are in another zone, so one that is lost as a whole takes no counter along.
func TestAZoneIsLostAndNoCounterIs(t *testing.T) {
	const clients, burst = 100, 10
	p := newPool(t, 1, 6, lan, exactly(compile(t, perClient("client", burst, "1h", burst))))
	p.seeZones()
	p.Run(limit.Second)
	admitted := 0
	all := func() int {
		admitted = 0
		for i := range clients * burst {
			p.askExactly(1, client(fmt.Sprint(i%clients)), func(ans *request.Answer, _ limit.Span) {
				if ans.Outcome == request.Admitted {
					admitted++
				}
			})
		}
		p.Run(limit.Second)
		return admitted
	}
	if got := all(); got != clients*burst {
		t.Fatalf("%d requests were admitted, want all %d", got, clients*burst)
	}
	p.kill(0)
	p.kill(3)
	p.seeZones()
	p.Run(2 * limit.Second)
	if got := all(); got > 0 {
		t.Errorf("once a zone is gone, %d requests were admitted that others had been admitted for", got)
	}
}
