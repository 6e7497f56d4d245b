package ring

import (
	"iter"

	"github.com/sluice-dev/sluice/enforcer/limit"
)

// Partitions is the number of parts that a Table deals out. It and Partition are
// the same on all nodes and in all versions: who owns a key hangs on them.
const Partitions = 1 << 16

// Partition returns the part of all keys that k belongs to. It uses the lowest
// bits of the key's first half, because the highest number its shard in a store
// and the second half its place in there: a node's own keys fill both evenly.
func Partition(k limit.Key) uint16 { return uint16(k.Hi) }

// Member is a node as a Table sees it.
type Member struct {
	Name   limit.NodeID // what all nodes know it by
	Number int32        // the caller's, at least 0: what Owner answers
	Zone   string       // empty where it is not known; all of those count as one zone

	// Down says that the node does not answer, but has not left. It keeps its
	// place, and until it is back or left out its successors own its keys. No
	// other key has another owner for that.
	Down bool
}

// Table says who owns each key, and who succeeds that one: immutable, and safe for
// concurrent use. It takes 512 KB. The zero Table has no members.
//
// Owners have at most an eighth more partitions than the mean. The successor is in
// another zone than the owner if other zones have a fifth of all members, and one
// that is up.
type Table struct {
	places *[Partitions]place // nil: there are none
}

// place is who has a partition: numbers of members, or -1 for none.
type place struct{ owner, successor int32 }

// NewTable returns the Table of members, in an order that does not matter. Their
// names must differ. It takes some milliseconds, for ten members as for thousands.
func NewTable(members []Member) *Table { return newTable(members, most(len(members))) }

// most is how many partitions one of n members may own. A lower bound would move
// more when a member comes or goes, a higher one leaves no room for the unevenness
// of keys among partitions.
func most(n int) int {
	n = max(n, 1)
	return (9*Partitions + 8*n - 1) / (8 * n)
}

// Owner returns the numbers of the member that owns a key and of the one that
// holds a copy; -1 where there is none. Neither is down.
func (t *Table) Owner(k limit.Key) (owner, successor int32) { return t.At(Partition(k)) }

// At is Owner for all keys of a partition.
func (t *Table) At(partition uint16) (owner, successor int32) {
	if t.places == nil {
		return -1, -1
	}
	p := &t.places[partition]
	return p.owner, p.successor
}

// Changed yields, in ascending order, the partitions that have another owner or
// another successor in b than in a. A member must have the same number in both.
func Changed(a, b *Table) iter.Seq[uint16] {
	return func(yield func(uint16) bool) {
		for i := range Partitions {
			p := uint16(i)
			owner, successor := a.At(p)
			if o, s := b.At(p); (o != owner || s != successor) && !yield(p) {
				return
			}
		}
	}
}
