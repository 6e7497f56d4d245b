package lease_test

import (
	"flag"
	"math"
	"runtime"
	"slices"
	"testing"

	"github.com/sluice-dev/sluice/enforcer/limit"
)

// The size of the pool, and of what it counts, see make keys.
var (
	manyNodes = flag.Int("nodes", 100, "nodes of the larger pool in TestALargePoolSharesTheKeysEvenly, more than 10")
	manyKeys  = flag.Int("keys", 100_000, "clients that ask it, each once, at most 1000000")
)

// A large pool shares its keys evenly, and what one node remembers falls with the
// number of nodes.
func TestALargePoolSharesTheKeysEvenly(t *testing.T) {
	few, many := askOnce(t, 10, *manyKeys), askOnce(t, *manyNodes, *manyKeys)
	if each := few.heap / few.remembered; each > 450 { // --max-keys says about 400
		t.Errorf("a book or a lease takes %.0f bytes, want at most 450", each)
	}
	if most := few.heap * 10 / float64(*manyNodes) * 1.5; many.heap > most {
		t.Errorf("a node of %d has %.0f bytes for them, and one of 10 %.0f: want at most %.0f", *manyNodes, many.heap, few.heap, most)
	}
}

// footprint is what a node has in the mean: books, copies and leases, and the bytes of the
// heap that came with them.
type footprint struct{ remembered, heap float64 }

// askOnce has each client ask once, at any node.
func askOnce(t *testing.T, nodes, keys int) footprint {
	p := newPool(t, 1, nodes, bucket(10, limit.Hour, 10))
	before := heap()
	stop := p.load(500_000, func(i int) uint64 { return uint64(i % keys) }, p.anywhere)
	p.world.Run(limit.Span(float64(keys) / 500_000 * float64(sec)))
	stop()
	p.world.Run(sec) // until nobody waits, and copies are where they belong
	if asked, admitted := len(p.arrivals), len(p.admissions); admitted != asked {
		t.Errorf("%d nodes: %d of %d calls were admitted, all of which are within their limits", nodes, admitted, asked)
	}
	p.history = history{}
	perNode := float64(heap()-before) / float64(nodes)
	var books, leases, questions, decided []int
	for _, m := range p.nodes {
		s := m.node.Stats()
		books, leases = append(books, s.Books), append(leases, s.Leases)
		questions, decided = append(questions, int(s.Answered)), append(decided, int(s.Here+s.Answered))
	}
	t.Logf("%4d nodes, %d clients: a node answers %.0f questions, at most %d; it remembers %.0f books and copies, at most %d, and %.0f leases, in %.0f KB",
		nodes, keys, mean(questions), slices.Max(questions), mean(books), slices.Max(books), mean(leases), perNode/1000)
	for what, of := range map[string][]int{"books": books, "questions": questions, "calls to decide": decided} {
		if most := float64(slices.Max(of)); most > 1.25*mean(of) {
			t.Errorf("%d nodes: one has %.0f %s, want at most 1.25 of the mean of %.0f", nodes, most, what, mean(of))
		}
	}
	if all := mean(books) * float64(nodes); math.Abs(all-2*float64(keys)) > float64(keys)/1000 {
		t.Errorf("%d nodes remember %.0f books in all, want %d and as many copies", nodes, all, keys)
	}
	return footprint{mean(books) + mean(leases), perNode}
}

func mean(of []int) float64 {
	sum := 0
	for _, n := range of {
		sum += n
	}
	return float64(sum) / float64(len(of))
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
