package main

import (
	"context"
	"os"
	"runtime/debug"

	"github.com/sluice-dev/sluice/internal/heap"
)

// spareHeap is how much garbage there may be before it is collected, however small
// the heap is: answering calls makes that much in about a second, and with Go's
// default an enforcer of a few thousand clients would collect five times in it, a
// tenth of all that it does.
const spareHeap = 32 << 20

// tuneCollector has the garbage collector run when garbage is as much as what is in
// use, as by default, or spareHeap, whichever is more. It returns when ctx ends, or
// at once where GOGC says what is wanted.
func tuneCollector(ctx context.Context) {
	if os.Getenv("GOGC") != "" {
		return
	}
	heap.Follow(ctx, 10, gcPercent, func(percent int64) { debug.SetGCPercent(int(percent)) })
}

// gcPercent is how much garbage there may be, in percent of the live bytes.
func gcPercent(live int64) int64 {
	const least = 4 << 20 // what Go takes a smaller heap for
	return max(100, 100*spareHeap/max(live, least))
}
