// Package heap tunes Go's garbage collector by how much of the heap is in use.
package heap

import (
	"context"
	"runtime/metrics"
	"time"
)

// lookEvery is how often the setting follows what is in use.
const lookEvery = time.Second

// Follow calls set with what want makes of the bytes of the heap that are in use: at
// once, and when a look each second finds it another by more than one in parts, which
// is at least 2. Setting stops the program for a moment, so small differences are left
// alone. It returns when ctx ends.
func Follow(ctx context.Context, parts int64, want func(live int64) int64, set func(int64)) {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	ticks := time.NewTicker(lookEvery)
	defer ticks.Stop()
	for last := int64(0); ; {
		metrics.Read(live)
		if next := want(int64(live[0].Value.Uint64())); next < last*(parts-1)/parts || next > last*(parts+1)/parts {
			set(next)
			last = next
		}
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
	}
}
