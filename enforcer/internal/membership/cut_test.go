package membership_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// Two enforcers that do not reach each other, or of whom one does not reach the
// other, take each other for alive while a third one reaches both.
func TestABrokenLinkIsNoDeath(t *testing.T) {
	for _, size := range []int{3, 10} {
		for name, bothWays := range map[string]bool{"both ways": true, "one way": false} {
			t.Run(fmt.Sprintf("%s of %d enforcers", name, size), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					n := newNetwork(t, uint64(size))
					peers, _ := form(t, n, size)
					unchanged := watchViews(t, peers)
					a, b := peers[0].address, peers[1].address
					n.sever(func(from, to string) bool { return from == a && to == b || bothWays && from == b && to == a })
					time.Sleep(time.Minute) // of the clock of synctest
					unchanged("a link is broken")
				})
			})
		}
	}
}
