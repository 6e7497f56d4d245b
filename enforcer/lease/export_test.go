package lease

import (
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/ring"
)

// Owns says whether a node decides on a key.
func (n *Node) Owns(k limit.Key) bool { return n.view.Load().mine.has(ring.Partition(k)) }

// Owner returns who owns a key to the node's knowledge.
func (n *Node) Owner(k limit.Key) limit.NodeID {
	v := n.view.Load()
	owner, _ := v.table.Owner(k)
	if owner == self {
		return n.name
	}
	if p := v.peers[owner]; p != nil {
		return p.Name
	}
	return ""
}
