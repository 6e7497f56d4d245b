package ring_test

import (
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/ring"
)

// pool draws members with names that nobody chose, in one to four zones of any
// sizes. Some are down if so asked, at least one is not.
func pool(t *rapid.T, most int, down bool) []ring.Member {
	all := make([]ring.Member, rapid.IntRange(1, most).Draw(t, "members"))
	seed := rapid.Uint64().Draw(t, "seed")
	zones := rapid.SliceOfN(rapid.IntRange(1, 10), 1, 4).Draw(t, "sizes of zones")
	var ofTen []string
	for z, size := range zones {
		for range size {
			ofTen = append(ofTen, fmt.Sprint("zone-", z))
		}
	}
	for i := range all {
		random := key(seed + uint64(i)).Hi
		all[i] = ring.Member{Name: limit.NodeID(fmt.Sprintf("enforcer-%x", random)), Number: int32(i), Zone: ofTen[random%uint64(len(ofTen))]}
		all[i].Down = down && i > 0 && random>>32%3 == 0
	}
	return all
}

// loads returns how many partitions each of n members owns, and has copies of.
func loads(t *ring.Table, n int) (owned, copied []int) {
	owned, copied = make([]int, n), make([]int, n)
	for p := range ring.Partitions {
		owner, successor := t.At(uint16(p))
		owned[owner]++
		if successor >= 0 {
			copied[successor]++
		}
	}
	return owned, copied
}

func TestATableWithoutMembersHasNoOwners(t *testing.T) {
	one := members(1, 1)
	for what, c := range map[string]struct {
		table               *ring.Table
		wantOwner, wantCopy int32
	}{
		"the zero Table":   {&ring.Table{}, -1, -1},
		"no member":        {ring.NewTable(nil), -1, -1},
		"one that is down": {ring.NewTable([]ring.Member{{Name: "a", Down: true}}), -1, -1},
		"one":              {ring.NewTable(one), 0, -1},
		"one of two is up": {ring.NewTable(append(one, ring.Member{Name: "a", Number: 7, Down: true})), 0, -1},
	} {
		for i := range uint64(100) {
			if owner, successor := c.table.Owner(key(i)); owner != c.wantOwner || successor != c.wantCopy {
				t.Fatalf("%s: Owner() = %d, %d, want %d, %d", what, owner, successor, c.wantOwner, c.wantCopy)
			}
		}
	}
}

func TestOwnersAreTheSameInEveryVersion(t *testing.T) {
	for _, c := range []struct {
		n, zones int
		want     uint64
	}{{3, 1, 0x5d854b715b13a65d}, {10, 3, 0x8d9bc8ebef7c2961}, {1000, 3, 0x29c2de74b0a9204f}} {
		h := fnv.New64a()
		table := ring.NewTable(members(c.n, c.zones))
		for p := range ring.Partitions {
			owner, successor := table.At(uint16(p))
			fmt.Fprintln(h, owner, successor)
		}
		if got := h.Sum64(); got != c.want {
			t.Errorf("%d members in %d zones: the hash of owners and successors is %#x, want %#x: two versions in one pool would both own a key", c.n, c.zones, got, c.want)
		}
	}
}

func TestAThousandMembersOwnAMillionKeysEvenly(t *testing.T) {
	const n, keys = 1000, 1_000_000
	table, count := ring.NewTable(members(n, 3)), make([]int, n)
	for i := range uint64(keys) {
		owner, _ := table.Owner(key(i))
		count[owner]++
	}
	if got := float64(slices.Max(count)) * n / keys; got > 1.25 {
		t.Errorf("one member owns %.3f times the mean, want at most 1.25", got)
	}
}

func TestNobodyOwnsMuchMoreThanOthers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := pool(t, 1000, false)
		mean := float64(ring.Partitions) / float64(len(all))
		owned, copied := loads(ring.NewTable(all), len(all))
		for i := range all {
			if got := float64(owned[i]); got < mean/4 || got > math.Ceil(mean*9/8) {
				t.Fatalf("member %d of %d owns %d partitions, mean %.1f", i, len(all), owned[i], mean)
			}
			if got := float64(copied[i]); got > 10*mean {
				t.Fatalf("member %d of %d has copies of %d partitions, mean %.1f", i, len(all), copied[i], mean)
			}
		}
	})
}

func TestTheSuccessorIsAnotherInAnotherZone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := pool(t, 100, true)
		var up int
		members, upIn := map[string]int{}, map[string]int{}
		for _, m := range all {
			members[m.Zone]++
			if !m.Down {
				up++
				upIn[m.Zone]++
			}
		}
		table := ring.NewTable(all)
		for p := range ring.Partitions {
			o, s := table.At(uint16(p))
			if all[o].Down || s >= 0 && all[s].Down || o == s || s < 0 && up > 1 {
				t.Fatalf("partition %d: owner %d, successor %d of %d members that are up", p, o, s, up)
			}
			zone := all[o].Zone
			elsewhere := up > upIn[zone] && 5*(len(all)-members[zone]) >= len(all)
			if elsewhere && all[s].Zone == zone {
				t.Fatalf("partition %d: owner and successor are in %s, where %d of %d members are", p, zone, members[zone], len(all))
			}
		}
	})
}

func TestTheOrderOfMembersDoesNotMatter(t *testing.T) {
	all := members(100, 3)
	all[10].Down = true
	want := ring.NewTable(all)
	for _, turn := range []int{1, 50, 99} {
		other := slices.Concat(all[turn:], all[:turn])
		slices.Reverse(other[:50])
		for p := range ring.Changed(want, ring.NewTable(other)) {
			t.Fatalf("partition %d has another owner or successor", p)
		}
	}
}

// What a member had goes to its successors when it is down, and nothing else
// moves, whoever else is down. Of several zones that is so for what is its own: it
// may own for another that is down, and the next for that one need not be its own.
func TestTheSuccessorOwnsWhatAMemberThatIsDownHad(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := pool(t, 100, true)
		before := ring.NewTable(all)
		gone, _ := before.At(0)
		all[gone].Down = true
		after := ring.NewTable(rapid.Permutation(all).Draw(t, "order"))
		oneZone := !slices.ContainsFunc(all, func(m ring.Member) bool { return m.Zone != all[0].Zone })
		for i := range all {
			all[i].Down = false
		}
		home := ring.NewTable(all)
		for p := range ring.Partitions {
			o, s := before.At(uint16(p))
			got, _ := after.At(uint16(p))
			first, _ := home.At(uint16(p))
			switch {
			case o != gone && got != o:
				t.Fatalf("partition %d went from %d to %d when %d went down", p, o, got, gone)
			case o == gone && got != s && (first == gone || oneZone):
				t.Fatalf("partition %d of %d went to %d, its successor was %d", p, gone, got, s)
			}
		}
	})
}

// A member that comes moves keys to itself. The bound on what others own moves
// some more, in pools of hundreds. The same move back when it goes.
func TestAMemberThatComesMovesItsOwnKeys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := pool(t, 1000, false)
		n := len(all)
		before, after := ring.NewTable(all[:n-1]), ring.NewTable(all)
		strays := 0
		for p := range ring.Partitions {
			from, _ := before.At(uint16(p))
			if to, _ := after.At(uint16(p)); to != from && int(to) != n-1 {
				strays++
			}
		}
		if mean := float64(ring.Partitions) / float64(n); float64(strays) > mean*float64(n)/500 {
			t.Fatalf("member %d moved %d partitions between others, and has about %.0f", n, strays, mean)
		}
	})
}

func TestTheSuccessorMostlyOwnsWhatAMemberThatIsGoneHad(t *testing.T) {
	for _, c := range []struct {
		n, zones int
		want     float64
	}{
		{3, 1, 1}, {50, 1, 1}, {1000, 1, 0.97}, // but for the bound
		{3, 3, 1}, {50, 3, 0.6}, {1000, 3, 0.6}, // but for the next of the same zone
	} {
		if got := takenOver(c.n, c.zones); got < c.want {
			t.Errorf("%d members in %d zones: successors own %.3f of it, want at least %v", c.n, c.zones, got, c.want)
		}
	}
}

// takenOver is the part of the keys of a member that its successors own when it is
// no longer among the members, as the mean of three.
func takenOver(n, zones int) float64 {
	all := members(n, zones)
	before := ring.NewTable(all)
	had, took := 0, 0
	for _, gone := range []int{0, n / 2, n - 1} {
		after := ring.NewTable(without(all, gone))
		for p := range ring.Partitions {
			if o, s := before.At(uint16(p)); int(o) == gone {
				had++
				if to, _ := after.At(uint16(p)); to == s {
					took++
				}
			}
		}
	}
	return float64(took) / float64(had)
}

func TestChangedYieldsThePartitionsToHandOver(t *testing.T) {
	a, b := ring.NewTable(members(10, 2)), ring.NewTable(members(11, 2))
	var want []uint16
	for p := range ring.Partitions {
		ao, as := a.At(uint16(p))
		if bo, bs := b.At(uint16(p)); ao != bo || as != bs {
			want = append(want, uint16(p))
		}
	}
	if got := slices.Collect(ring.Changed(a, b)); !slices.Equal(got, want) {
		t.Errorf("Changed() yields %d partitions, want %d", len(got), len(want))
	}
	for range ring.Changed(a, b) {
		break // an iterator that goes on after this panics
	}
	if got := len(slices.Collect(ring.Changed(&ring.Table{}, a))); got != ring.Partitions {
		t.Errorf("Changed() from no members yields %d partitions, want all", got)
	}
}

// BenchmarkNewTable also measures what part of a member's keys its successors own
// once it is gone, and the copies of the member that has most.
func BenchmarkNewTable(b *testing.B) {
	for _, zones := range []int{1, 2, 3} {
		for _, n := range []int{3, 10, 50, 1000, 5000} {
			b.Run(fmt.Sprintf("zones=%d/%d", zones, n), func(b *testing.B) {
				all := members(n, zones)
				_, copied := loads(ring.NewTable(all), n)
				took := takenOver(n, zones)
				b.ReportAllocs()
				for b.Loop() {
					ring.NewTable(all)
				}
				b.ReportMetric(took, "taken-over")
				b.ReportMetric(float64(slices.Max(copied))*float64(n)/ring.Partitions, "copies/mean")
			})
		}
	}
}
