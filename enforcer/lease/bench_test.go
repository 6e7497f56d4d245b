package lease_test

import (
	"fmt"
	"runtime"
	"slices"
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

// A large pool shares its keys evenly, and what one node remembers falls with the
// number of nodes.
func TestALargePoolSharesTheKeysEvenly(t *testing.T) {
	nodes, keys := 100, 100_000
	if testing.Short() || raceEnabled {
		nodes, keys = 20, 20_000
	}
	p := newPool(t, 1, nodes, bucket(1, limit.Hour, 10))
	p.keys = keys
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for k := range uint64(keys) {
		p.anywhere(0).request(k, 1)
		if k%1000 == 0 {
			p.world.Run(10 * ms)
			p.arrivals, p.admissions = p.arrivals[:0], p.admissions[:0]
		}
	}
	p.world.Run(200 * ms)
	runtime.GC()
	runtime.ReadMemStats(&after)
	var owned, answered []int
	for _, m := range p.nodes {
		s := m.node.Stats()
		owned, answered = append(owned, s.Books), append(answered, int(s.Answered))
	}
	t.Logf("%d nodes, %d keys: a node has %.0f books and copies on average, at most %d; it answered %.0f questions, at most %d; %d bytes a key in all",
		nodes, keys, mean(owned), slices.Max(owned), mean(answered), slices.Max(answered), (after.HeapAlloc-before.HeapAlloc)/uint64(keys))
	for what, of := range map[string][]int{"books": owned, "questions": answered} {
		if most := float64(slices.Max(of)); most > 1.25*mean(of) {
			t.Errorf("a node has %.0f %s, want at most 1.25 of the mean of %.0f", most, what, mean(of))
		}
	}
	if got := mean(owned); got > 2.1*float64(keys)/float64(nodes) {
		t.Errorf("a node remembers %.0f keys, want its part and as many copies", got)
	}
}

func mean(of []int) float64 {
	sum := 0
	for _, n := range of {
		sum += n
	}
	return float64(sum) / float64(len(of))
}
