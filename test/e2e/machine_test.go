//go:build e2e

package e2e

import (
	"context"
	"time"
)

// watchMachine finds out how much of a stretch of time this process was held up at most,
// as a part of 1, by looking at the clock every few milliseconds until ctx ends. All nodes are
// on this machine and wait for the same processors: what enforcers answered then is late.
func watchMachine(ctx context.Context) <-chan float64 {
	const every = 5 * time.Millisecond
	most := make(chan float64, 1)
	go func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		var h heldUp
		for last := time.Now(); ctx.Err() == nil; {
			<-tick.C
			now := time.Now()
			h.add(now, now.Sub(last)-2*every)
			last = now
		}
		most <- h.most.Seconds() / stretch.Seconds()
	}()
	return most
}

// heldUp adds up the pauses of the last stretch.
type heldUp struct {
	pauses    []pause
	sum, most time.Duration
}

type pause struct {
	until time.Time
	took  time.Duration
}

// add adds a pause that ends now, if it took any time.
func (h *heldUp) add(now time.Time, took time.Duration) {
	for len(h.pauses) > 0 && now.Sub(h.pauses[0].until) > stretch {
		h.sum -= h.pauses[0].took
		h.pauses = h.pauses[1:]
	}
	if took > 0 {
		h.pauses, h.sum = append(h.pauses, pause{now, took}), h.sum+took
		h.most = max(h.most, min(h.sum, stretch))
	}
}
