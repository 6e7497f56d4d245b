package ring_test

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/ring"
)

// candidate is a way to find the owner of a key. build also returns the bytes
// that a look-up needs.
type candidate struct {
	name  string
	build func([]ring.Member) (owner func(limit.Key) int32, bytes int)
}

var candidates = []candidate{
	{"rendezvous", rendezvous},
	{"ring of 160 points", virtualNodes},
	{"jump", jump},
	{"Maglev", maglev},
	{"2^14 partitions", partitions(1<<14, unbounded)},
	{"2^14 partitions, 1.125", partitions(1<<14, 1.125)},
	{"2^16 partitions", partitions(1<<16, unbounded)},
	{"2^16 partitions, 1.125", partitions(1<<16, 1.125)},
	{"Table, unbounded", table(unbounded)},
	{"Table, 1.05", table(1.05)},
	{"Table, 1.125", table(1.125)}, // what NewTable does
	{"Table, 1.2", table(1.2)},
}

const unbounded = math.MaxInt16

// BenchmarkCompare measures them beside each other with a million keys: a look-up
// and its memory, the time to build, how much the member with most keys has by
// the mean, and how many keys move when a member goes, by those that it had. The
// latter is the mean of three: the first, middle and last by name. Adding one
// again moves the same.
func BenchmarkCompare(b *testing.B) {
	const keys = 1_000_000
	for _, c := range candidates {
		for _, n := range []int{3, 10, 50, 1000} {
			b.Run(fmt.Sprintf("%s/%d", c.name, n), func(b *testing.B) {
				all := members(n, 1)
				start := time.Now()
				owner, bytes := c.build(all)
				built := time.Since(start)
				owners, count := make([]int32, keys), make([]int, n)
				for i := range owners {
					owners[i] = owner(key(uint64(i)))
					count[owners[i]]++
				}
				moved, had := 0, 0
				for _, gone := range []int{0, n / 2, n - 1} {
					had += count[gone]
					after, _ := c.build(without(all, gone))
					for i, o := range owners {
						if after(key(uint64(i))) != o {
							moved++
						}
					}
				}
				for i := uint64(0); b.Loop(); i++ {
					owner(key(i))
				}
				b.ReportMetric(float64(slices.Max(count))*float64(n)/keys, "max/mean")
				b.ReportMetric(float64(moved)/float64(had), "moved/had")
				b.ReportMetric(float64(built.Microseconds())/1000, "build-ms")
				b.ReportMetric(float64(bytes)/1024, "KB")
			})
		}
	}
}

// share is how many of size partitions each of n members may have.
func share(size, n int, bound float64) int { return int(math.Ceil(float64(size) / float64(n) * bound)) }

func table(bound float64) func([]ring.Member) (func(limit.Key) int32, int) {
	return func(all []ring.Member) (func(limit.Key) int32, int) {
		t := ring.NewTableWithin(all, share(ring.Partitions, len(all), bound))
		return func(k limit.Key) int32 { owner, _ := t.Owner(k); return owner }, 8 * ring.Partitions
	}
}

// weight is the finalizer of splitmix64, as in a Ring.
func weight(a, b uint64) uint64 {
	x := a ^ b
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// rendezvous is that of Thaler and Ravishankar (1998).
func rendezvous(all []ring.Member) (func(limit.Key) int32, int) {
	hashes := hashes(all)
	return func(k limit.Key) int32 {
		best, top := 0, uint64(0)
		for i, h := range hashes {
			if w := weight(h, k.Hi); w >= top {
				best, top = i, w
			}
		}
		return all[best].Number
	}, 16 * len(all)
}

// virtualNodes is the ring of Karger and others (1997).
func virtualNodes(all []ring.Member) (func(limit.Key) int32, int) {
	type point struct {
		at    uint64
		owner int32
	}
	var points []point
	for i, h := range hashes(all) {
		for v := range uint64(160) {
			points = append(points, point{weight(h, v<<32), all[i].Number})
		}
	}
	slices.SortFunc(points, func(a, b point) int { return cmp.Compare(a.at, b.at) })
	return func(k limit.Key) int32 {
		i, _ := slices.BinarySearchFunc(points, k.Hi, func(p point, at uint64) int { return cmp.Compare(p.at, at) })
		return points[i%len(points)].owner
	}, 16 * len(points)
}

// jump is that of Lamping and Veach (2014), over the members by name.
func jump(all []ring.Member) (func(limit.Key) int32, int) {
	return func(k limit.Key) int32 {
		h, b, j := k.Hi, int64(-1), int64(0)
		for j < int64(len(all)) {
			b = j
			h = h*2862933555777941757 + 1
			j = int64(float64(b+1) * (float64(int64(1)<<31) / float64(h>>33+1)))
		}
		return all[b].Number
	}, 4 * len(all)
}

// maglev is that of Eisenbud and others (2016), with their smaller table.
func maglev(all []ring.Member) (func(limit.Key) int32, int) {
	const size = 65537
	table := make([]int32, size)
	for i := range table {
		table[i] = -1
	}
	hashes, next := hashes(all), make([]uint64, len(all))
	for left := size; ; {
		for i, h := range hashes {
			at := func() uint64 { return (h>>32 + next[i]*(h&math.MaxUint32%(size-1)+1)) % size }
			for table[at()] >= 0 {
				next[i]++
			}
			table[at()] = all[i].Number
			if left--; left == 0 {
				return func(k limit.Key) int32 { return table[k.Hi%size] }, 4 * size
			}
		}
	}
}

// partitions deals out so many partitions, one after the other, each to the best
// by rendezvous that has room: Mirrokni, Thorup and Zadimoghaddam (2016).
func partitions(size int, bound float64) func([]ring.Member) (func(limit.Key) int32, int) {
	return func(all []ring.Member) (func(limit.Key) int32, int) {
		hashes, has, table := hashes(all), make([]int, len(all)), make([]int32, size)
		most := share(size, len(all), bound)
		for p := range table {
			best, top := -1, uint64(0)
			for i, h := range hashes {
				if w := weight(h, uint64(p)); has[i] < most && (best < 0 || w > top) {
					best, top = i, w
				}
			}
			has[best]++
			table[p] = all[best].Number
		}
		return func(k limit.Key) int32 { return table[k.Hi&uint64(size-1)] }, 4 * size
	}
}

func hashes(all []ring.Member) []uint64 {
	h := make([]uint64, len(all))
	for i, m := range all {
		h[i] = ring.Hash(m.Name)
	}
	return h
}

// members returns n members in so many zones, in the order of their names, which
// is that of their numbers.
func members(n, zones int) []ring.Member {
	all := make([]ring.Member, n)
	for i := range all {
		all[i] = ring.Member{Name: limit.NodeID(fmt.Sprintf("enforcer-%04d", i)), Number: int32(i)}
		if zones > 1 {
			all[i].Zone = fmt.Sprint("zone-", i%zones)
		}
	}
	return all
}

func without(all []ring.Member, i int) []ring.Member { return slices.Delete(slices.Clone(all), i, i+1) }
