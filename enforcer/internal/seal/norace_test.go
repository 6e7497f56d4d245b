//go:build !race

package seal_test

import (
	"testing"

	"github.com/sluice-dev/sluice/enforcer/internal/seal"
)

// The race detector allocates, so this is not run with it.
func TestADatagramAllocatesNothing(t *testing.T) {
	for _, r := range []*seal.Ring{nil, ring(t, 1, 2)} {
		s, o := seal.NewSealer(r), seal.NewOpener(r)
		payload := make([]byte, 1200)
		buf := make([]byte, 0, len(payload)+seal.Overhead)
		allocs := testing.AllocsPerRun(1000, func() {
			if _, _, err := o.Open(s.Seal(buf, seal.Gossip, payload)); err != nil {
				t.Fatal(err)
			}
		})
		if allocs != 0 {
			t.Errorf("%d keys: %v allocations for a datagram, want none", len(r.Keys()), allocs)
		}
	}
}
