// Package ring answers which node is responsible for a key. Every node comes to the
// same answer on its own, and a node that comes or goes moves the keys that it gets
// or had, and hardly any others. There are two answers:
//
// A Ring has the home of a key, which counts what others took. It asks at most
// MaxOwners nodes of a large pool, by rendezvous hashing (highest random weight;
// Thaler and Ravishankar, 1998), is made in no time and looked up in that of a hash
// for each of those. Take it where something is asked once in a while for each key.
//
// A Table has the owner of a key, who alone may hand out its tokens. All nodes own
// keys, none many more than others; the successor, which has a copy, is in another
// zone; and a look-up takes three nanoseconds for any number of nodes. It takes
// milliseconds to make. Take it where every request asks, or a node's memory has to
// shrink as the pool grows.
package ring

import (
	"cmp"
	"slices"

	"github.com/sluice-dev/sluice/enforcer/limit"
)

// MaxOwners bounds how many nodes of a large pool are responsible for keys. It
// bounds the cost of a look-up, and how many nodes each one talks to.
const MaxOwners = 64

// Ring is a set of nodes: immutable, and safe for concurrent use. The zero Ring
// has none.
type Ring struct {
	owners []owner
}

type owner struct {
	hash uint64
	node int32
}

// Node is one candidate: its name, which all nodes know it by, and a number of
// the caller's.
type Node struct {
	Name   limit.NodeID
	Number int32
}

// New returns a Ring of nodes. Names must differ. Of more than MaxOwners those
// with the highest hashes are taken.
func New(nodes []Node) Ring {
	owners := make([]owner, 0, len(nodes))
	for _, n := range nodes {
		owners = append(owners, owner{Hash(n.Name), n.Number})
	}
	slices.SortFunc(owners, func(a, b owner) int { return cmp.Compare(b.hash, a.hash) })
	return Ring{owners[:min(len(owners), MaxOwners)]}
}

// Owner returns the number of the node that is responsible for a key, and of the
// one that would be if that one were gone; -1 where there is none.
func (r Ring) Owner(k limit.Key) (first, second int32) {
	first, second = -1, -1
	var top, next uint64
	for _, o := range r.owners {
		w := mix(o.hash ^ k.Hi)
		switch {
		case first < 0 || w > top:
			second, next = first, top
			first, top = o.node, w
		case second < 0 || w > next:
			second, next = o.node, w
		}
	}
	return first, second
}

// Hash is FNV-1a of 64 bits, mixed: it has to be the same on every node and in
// every version.
func Hash(name limit.NodeID) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 1099511628211
	}
	return mix(h)
}

// mix is the finalizer of splitmix64 (Steele, Lea and Flood, 2014).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
