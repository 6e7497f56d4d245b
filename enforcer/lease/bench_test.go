package lease_test

import (
	"fmt"
	"testing"

	"github.com/sluice-dev/sluice/enforcer/lease"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

// BenchmarkTake measures a decision: by the owner, by a lease, and one that the owner
// has denied. None of them allocates.
func BenchmarkTake(b *testing.B) {
	for _, c := range []struct {
		name  string
		burst limit.Amount
		owner bool
	}{
		{"owner", 1_000_000_000, true},
		{"leased", 1_000_000_000, false},
		{"denied", 1, false},
	} {
		b.Run(c.name, func(b *testing.B) {
			p := newPool(b, 1, 2, bucket(1_000_000, sec, c.burst))
			if c.burst == 1 {
				p.params = bucket(1, limit.Hour, 1)
			}
			m := p.nodes[0]
			if (m == p.owner(7)) != c.owner {
				m = p.nodes[1]
			}
			stop := p.load(1_000_000, oneKey, func(int) *member { return m })
			p.world.Run(200 * ms)
			stop()
			p.world.Run(2 * ms)
			charge := lease.Charge{ID: id(7), Params: &p.params, Cost: 1}
			now := m.sim.Now()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				m.node.Take(now, &charge, nil)
				if charge.Outcome == lease.Admitted {
					m.node.Undo(now, &charge)
				}
			}
		})
	}
}

// BenchmarkAtRest measures what a node costs that nobody asks, by the counters that it
// remembers: as a part of a core, when it is called as often as it wants to be.
func BenchmarkAtRest(b *testing.B) {
	for _, counters := range []int{100, 10_000, 100_000} {
		b.Run(fmt.Sprint(counters), func(b *testing.B) {
			p := newPool(b, 1, 1, bucket(1, limit.Hour, 100))
			m := p.nodes[0]
			for k := range uint64(counters) {
				m.request(k, 1)
			}
			p.world.Run(sec)
			now, rested := m.sim.Now(), limit.Span(0)
			for b.Loop() {
				next := m.node.Tick(now, p.world.Outbox(m.name))
				now, rested = now.Add(next), rested+next
			}
			b.ReportMetric(100*float64(b.Elapsed())/float64(rested.Duration()), "%core")
		})
	}
}

// BenchmarkSetPool measures what a change of the pool costs a node.
func BenchmarkSetPool(b *testing.B) {
	p := newPool(b, 1, 1, bucket(1000, sec, 1000))
	m := p.nodes[0]
	for i := range 1000 {
		p.nodes = append(p.nodes, &member{pool: p, name: string(rune('a'+i%26)) + string(rune('0'+i/26)), number: int32(i + 2), up: true})
	}
	for b.Loop() {
		m.see()
	}
}
