package main

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// traffic is one client's requests in an open loop: they come at their rate,
// whatever the answers are.
type traffic struct {
	domain, apiKey string
	perSecond      int
	length         time.Duration
	share          []int // requests out of 100 to each enforcer
}

// tally is what one enforcer answered.
type tally struct{ admitted, limited, failed int }

func (t tally) total() int { return t.admitted + t.limited + t.failed }

// send sends the traffic and returns a tally for each enforcer.
func (t traffic) send(ctx context.Context, pool []*enforcer) ([]tally, error) {
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	defer client.CloseIdleConnections()

	var (
		mu      sync.Mutex
		tallies = make([]tally, len(pool))
		asked   sync.WaitGroup
	)
	total := int(t.length.Seconds() * float64(t.perSecond))
	gap := time.Second / time.Duration(t.perSecond)
	began := time.Now()
	for i := range total {
		if err := sleepUntil(ctx, began.Add(time.Duration(i)*gap)); err != nil {
			return nil, err
		}
		to := t.pick(i)
		asked.Go(func() {
			code, err := pool[to].ask(ctx, client, t.domain, t.apiKey)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil && code == http.StatusOK:
				tallies[to].admitted++
			case err == nil && code == http.StatusTooManyRequests:
				tallies[to].limited++
			default:
				tallies[to].failed++
			}
		})
	}
	asked.Wait()
	for i, got := range tallies {
		if got.failed > 0 {
			return tallies, fmt.Errorf("%s failed to answer %d of %d requests", pool[i].name, got.failed, got.total())
		}
	}
	return tallies, nil
}

// pick spreads request i over the enforcers by their shares: multiplying by a
// number that is prime to 100 mixes the order without dice.
func (t traffic) pick(i int) int {
	at := i * 37 % 100
	for e, share := range t.share {
		if at < share {
			return e
		}
		at -= share
	}
	return len(t.share) - 1
}

func sleepUntil(ctx context.Context, when time.Time) error {
	wait := time.Until(when)
	if wait <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// sum adds tallies up.
func sum(all []tally) (total tally) {
	for _, t := range all {
		total.admitted += t.admitted
		total.limited += t.limited
		total.failed += t.failed
	}
	return total
}
