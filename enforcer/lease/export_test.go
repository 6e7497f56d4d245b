package lease

import (
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/ring"
)

// Owns says whether a node decides on a key.
func (n *Node) Owns(k limit.Key) bool { return n.view.Load().mine.has(ring.Partition(k)) }
