package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// garbagePercent is how much garbage there may be, in percent of what is in use.
	// With many policies memory is what a manager is short of, and time is what it has.
	garbagePercent = 20

	// overhead is what the runtime needs beside the heap, and what the heap loses
	// between objects, in bytes.
	overhead = 24 << 20

	// tuneEvery is how often the limit of memory follows what is in use.
	tuneEvery = time.Second
)

// stayLean has garbage collected early, and what is free given back to the system at
// once: Go would keep what a peak needed for minutes. It returns when ctx ends, or at
// once where GOGC or GOMEMLIMIT say what is wanted.
func stayLean(ctx context.Context) {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	debug.SetGCPercent(garbagePercent)
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	ticks := time.NewTicker(tuneEvery)
	defer ticks.Stop()
	for set := int64(0); ; {
		metrics.Read(live)
		// It stops everything for a moment, so small differences are left alone.
		if want := memoryLimit(int64(live[0].Value.Uint64())); want < set*19/20 || want > set*21/20 {
			debug.SetMemoryLimit(want)
			set = want
		}
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
	}
}

// memoryLimit is how much memory the runtime keeps while so many bytes are in use:
// what it needs until garbagePercent has it collect, so the limit itself does not.
func memoryLimit(live int64) int64 { return live + live*garbagePercent/100 + overhead }
