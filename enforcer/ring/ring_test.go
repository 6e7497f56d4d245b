package ring_test

import (
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/ring"
)

func nodes(n int) []ring.Node {
	all := make([]ring.Node, n)
	for i := range all {
		all[i] = ring.Node{Name: limit.NodeID(fmt.Sprintf("enforcer-%d", i)), Number: int32(i)}
	}
	return all
}

// key returns the i-th of a sequence of keys that look like hashes.
func key(i uint64) limit.Key {
	x := i * 0x9e3779b97f4a7c15
	x = (x ^ x>>29) * 0xbf58476d1ce4e5b9
	return limit.Key{Hi: x ^ x>>32, Lo: i}
}

func TestARingWithoutNodesHasNoOwners(t *testing.T) {
	if first, second := (ring.Ring{}).Owner(key(1)); first != -1 || second != -1 {
		t.Errorf("Owner() = %d, %d, want -1, -1", first, second)
	}
	if first, second := ring.New(nodes(1)).Owner(key(1)); first != 0 || second != -1 {
		t.Errorf("Owner() of one node = %d, %d, want 0, -1", first, second)
	}
}

func TestKeysAreSpreadEvenly(t *testing.T) {
	const keys = 100_000
	for _, n := range []int{2, 3, 10, 50} {
		count := make([]int, n)
		r := ring.New(nodes(n))
		for i := range uint64(keys) {
			first, _ := r.Owner(key(i))
			count[first]++
		}
		mean := float64(keys) / float64(n)
		for node, got := range count {
			if off := math.Abs(float64(got)-mean) / math.Sqrt(mean); off > 5 {
				t.Errorf("%d nodes: node %d has %d keys, %.1f standard deviations from %.0f", n, node, got, off, mean)
			}
		}
	}
}

func TestOnlyKeysOfANodeThatGoesMove(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 40).Draw(t, "nodes")
		gone := int32(rapid.IntRange(0, n-1).Draw(t, "gone"))
		all := nodes(n)
		before := ring.New(all)
		after := ring.New(append(append([]ring.Node{}, all[:gone]...), all[gone+1:]...))
		for range 100 {
			k := key(rapid.Uint64().Draw(t, "key"))
			first, second := before.Owner(k)
			want := first
			if first == gone {
				want = second
			}
			if got, _ := after.Owner(k); got != want {
				t.Fatalf("without %d the owner of %v is %d, want %d", gone, k, got, want)
			}
		}
	})
}

func TestALargePoolHasABoundedNumberOfOwners(t *testing.T) {
	r := ring.New(nodes(1000))
	seen := map[int32]bool{}
	for i := range uint64(20_000) {
		first, _ := r.Owner(key(i))
		seen[first] = true
	}
	if len(seen) != ring.MaxOwners {
		t.Errorf("%d of 1000 nodes own keys, want %d", len(seen), ring.MaxOwners)
	}
}

func BenchmarkOwner(b *testing.B) {
	for _, n := range []int{3, 10, 64} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r := ring.New(nodes(n))
			for i := uint64(0); b.Loop(); i++ {
				r.Owner(key(i))
			}
		})
	}
}
