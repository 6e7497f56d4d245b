package lease

import (
	"fmt"
	"testing"

	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/ring"
)

// The copy of every book is in another zone than the book.
func TestCopiesAreInAnotherZone(t *testing.T) {
	n, err := New(Options{
		Name: "node-0", Life: 1, MaxKeys: 1000,
		Params: func(limit.Instant, uint64, uint16) *decide.Params { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	pool := Pool{Zone: "zone-0", Owns: true, Parts: 9}
	zones := map[int32]string{self: pool.Zone}
	for i := int32(1); i < 9; i++ {
		zones[i] = fmt.Sprint("zone-", i%3)
		name := fmt.Sprint("node-", i)
		pool.Peers = append(pool.Peers, Peer{Name: limit.NodeID(name), Number: i, Address: name, Zone: zones[i], Owns: true, Reachable: true})
	}
	n.SetPool(1, pool)
	for p := range ring.Partitions {
		if owner, successor := n.view.Load().table.At(uint16(p)); zones[owner] == zones[successor] {
			t.Fatalf("the books of partition %d are at %d, the copies at %d: both in %s", p, owner, successor, zones[owner])
		}
	}
}
