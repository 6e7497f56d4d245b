package main

import (
	"slices"
	"time"
)

// window is the stretch of time in which admissions are bounded by rate and
// burst.
const window = 10 * time.Second

// admissions returns, for each client, when it was admitted, in order.
func (o *offered) admissions(clients int) [][]time.Duration {
	all := make([][]time.Duration, clients)
	for _, a := range o.answers {
		if a.admitted {
			all[a.client] = append(all[a.client], a.came)
		}
	}
	return all
}

// within counts the times in [from, to).
func within(times []time.Duration, from, to time.Duration) int {
	first, _ := slices.BinarySearch(times, from)
	last, _ := slices.BinarySearch(times, to)
	return last - first
}

// worstWindow is the most times in any stretch of the given length; times are in
// order.
func worstWindow(times []time.Duration, length time.Duration) int {
	most, first := 0, 0
	for last, t := range times {
		for times[first] <= t-length {
			first++
		}
		most = max(most, last-first+1)
	}
	return most
}

// exact returns what one exact limiter would have admitted of the calls answered
// in [from, to), each client for itself, had it decided each call when its answer
// came: on a machine that stalls, calls arrive late and together, and what a full
// bucket misses meanwhile no limiter gives back.
func (o *offered) exact(q quota, clients int, from, to time.Duration) []int {
	type bucket struct {
		level float64
		at    time.Duration
	}
	buckets, counts := make([]bucket, clients), make([]int, clients)
	for i := range buckets {
		buckets[i].level = float64(q.burst)
	}
	for _, a := range o.answers {
		b := &buckets[a.client]
		b.level, b.at = min(float64(q.burst), b.level+q.perSecond()*(a.came-b.at).Seconds()), a.came
		if b.level < 1 {
			continue
		}
		b.level--
		if a.came >= from && a.came < to {
			counts[a.client]++
		}
	}
	return counts
}

// refused counts the calls that were denied.
func (o *offered) refused() int {
	n := 0
	for _, a := range o.answers {
		if !a.admitted {
			n++
		}
	}
	return n
}

// latency returns a quantile of the time from a call to its answer.
func (o *offered) latency(quantile float64) time.Duration {
	all := make([]time.Duration, 0, len(o.answers))
	for _, a := range o.answers {
		all = append(all, a.came-a.sent)
	}
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[int(quantile*float64(len(all)-1))]
}
