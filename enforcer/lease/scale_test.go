package lease_test

import (
	"flag"
	"math"
	"runtime"
	"testing"

	"github.com/sluice-dev/sluice/enforcer/limit"
)

// The size of the pool, and of what it counts, see make keys.
var (
	manyNodes = flag.Int("nodes", 100, "nodes of the larger pool in TestTheKeysAreSharedEvenly, more than 10")
	manyKeys  = flag.Int("keys", 100_000, "clients that ask it, each once")
)

// TestTheKeysAreSharedEvenly has many clients ask once each, at any node of a small pool and of
// a large one, and measures what a node has to do and to remember. That has to fall as the
// pool grows, and the busiest node must not be far from the mean.
func TestTheKeysAreSharedEvenly(t *testing.T) {
	few, many := measure(t, 10, *manyKeys), measure(t, *manyNodes, *manyKeys)
	if each := few.heap / (few.books + few.leases); each > 450 { // --max-keys says about 400
		t.Errorf("a book or a lease takes %.0f bytes, want at most 450", each)
	}
	if most := few.heap * 10 / float64(*manyNodes) * 1.5; many.heap > most {
		t.Errorf("a node of %d has %.0f bytes for them, and one of 10 %.0f: want at most %.0f", *manyNodes, many.heap, few.heap, most)
	}
}

// footprint is what a node has, in the mean of the pool, and the most that one has by that.
type footprint struct {
	load, busiest  float64 // calls decided as the owner
	books, fullest float64
	leases, heap   float64 // heap in bytes, of what was asked for
}

func measure(t *testing.T, nodes, keys int) footprint {
	p := poolOf(t, 1, nodes, bucket(10, limit.Hour, 10), 2*keys)
	before := heap()
	stop := p.load(500_000, func(i int) uint64 { return uint64(i % keys) }, p.anywhere)
	p.world.Run(limit.Span(float64(keys) / 500_000 * float64(sec)))
	stop()
	p.world.Run(sec) // until nobody waits, and copies are where they belong
	if asked, admitted := len(p.arrivals), len(p.admissions); admitted != asked {
		t.Errorf("%d nodes: %d of %d calls were admitted, all of which are within their limits", nodes, admitted, asked)
	}
	f, n := footprint{}, float64(nodes)
	p.history = history{}
	f.heap = float64(heap()-before) / n
	for _, m := range p.nodes {
		s := m.node.Stats()
		load, books := float64(s.Here+s.Answered), float64(s.Books)
		f.load, f.busiest = f.load+load/n, max(f.busiest, load)
		f.books, f.fullest = f.books+books/n, max(f.fullest, books)
		f.leases += float64(s.Leases) / n
	}
	f.busiest, f.fullest = f.busiest/f.load, f.fullest/f.books
	t.Logf("%4d nodes, %d clients: a node answers %.0f questions, the busiest %.2f times that; it remembers %.0f books and copies, the fullest %.2f times that, and %.0f leases, in %.0f KB",
		nodes, keys, f.load, f.busiest, f.books, f.fullest, f.leases, f.heap/1000)
	if f.busiest > 1.25 || f.fullest > 1.25 {
		t.Errorf("%d nodes: the busiest has %.3f times the mean to do, and %.3f times to remember, want at most 1.25", nodes, f.busiest, f.fullest)
	}
	if all := f.books * n; math.Abs(all-2*float64(keys)) > float64(keys)/1000 {
		t.Errorf("%d nodes remember %.0f books in all, want %d and as many copies", nodes, all, keys)
	}
	return f
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
