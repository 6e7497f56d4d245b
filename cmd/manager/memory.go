package main

import (
	"context"
	"os"
	"runtime/debug"

	"github.com/sluice-dev/sluice/internal/heap"
)

const (
	// garbagePercent is how much garbage there may be, in percent of what is in use.
	// With many policies memory is what a manager is short of, and time is what it has.
	garbagePercent = 20

	// overhead is what the runtime needs beside the heap, and what the heap loses
	// between objects, in bytes.
	overhead = 24 << 20
)

// stayLean has garbage collected early, and what is free given back to the system at
// once: Go would keep what a peak needed for minutes. It returns when ctx ends, or at
// once where GOGC or GOMEMLIMIT say what is wanted.
func stayLean(ctx context.Context) {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	debug.SetGCPercent(garbagePercent)
	heap.Follow(ctx, 20, memoryLimit, func(bytes int64) { debug.SetMemoryLimit(bytes) })
}

// memoryLimit is how much memory the runtime keeps while so many bytes are in use:
// what it needs until garbagePercent has it collect, so the limit itself does not.
func memoryLimit(live int64) int64 { return live + live*garbagePercent/100 + overhead }
