//go:build !race

package transport_test

import (
	"testing"

	"github.com/sluice-dev/sluice/enforcer/internal/transport"
)

// The race detector allocates, so this is not run with it.
func TestAFrameAllocatesNothing(t *testing.T) {
	for _, bs := range [][]byte{nil, {1, 2}} {
		n := &quiet{}
		tr := open(t, n, keys(ring(t, bs...)))
		defer tr.Close()
		d, to, frame := transport.NewDriver(tr), tr.Addr().String(), make([]byte, transport.MaxDatagram)
		allocs := testing.AllocsPerRun(500, func() {
			d.Send(to, frame)
			for n.received = 0; n.received == 0; {
				if _, err := d.Drain(); err != nil {
					t.Fatal(err)
				}
			}
		})
		if allocs != 0 {
			t.Errorf("%d keys: %v allocations for a frame, want none", len(bs), allocs)
		}
	}
}
