package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// spareHeap is how much garbage there may be before it is collected, however small
	// the heap is: answering calls makes that much in about a second, and with Go's
	// default an enforcer of a few thousand clients would collect five times in it, a
	// tenth of all that it does.
	spareHeap = 32 << 20

	// tuneEvery is how often the collector is told what that means for the heap as it
	// is by then.
	tuneEvery = time.Second
)

// tuneCollector has the garbage collector run when garbage is as much as what is in
// use, as by default, or spareHeap, whichever is more. It returns when ctx ends, or
// at once where GOGC says what is wanted.
func tuneCollector(ctx context.Context) {
	if os.Getenv("GOGC") != "" {
		return
	}
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	ticks := time.NewTicker(tuneEvery)
	defer ticks.Stop()
	for set := 0; ; {
		metrics.Read(live)
		// It stops everything for a moment, so small differences are left alone.
		if want := gcPercent(live[0].Value.Uint64()); want < set*9/10 || want > set*11/10 {
			debug.SetGCPercent(want)
			set = want
		}
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
	}
}

// gcPercent is how much garbage there may be, in percent of the live bytes.
func gcPercent(live uint64) int {
	const least = 4 << 20 // what Go takes a smaller heap for
	return int(max(100, 100*spareHeap/max(live, least)))
}
