package load

import (
	"slices"
	"time"
)

// Limit is what each client may use: so many tokens a second, and a bucket of
// Burst that is full at the start.
type Limit struct {
	PerSecond float64
	Burst     int
}

// Admissions returns, for each client, when it was admitted, in order.
func (o *Offered) Admissions(clients int) [][]time.Duration {
	all := make([][]time.Duration, clients)
	for _, a := range o.Answers {
		if a.Admitted {
			all[a.Client] = append(all[a.Client], a.Came)
		}
	}
	return all
}

// Within counts the times in [from, to).
func Within(times []time.Duration, from, to time.Duration) int {
	first, _ := slices.BinarySearch(times, from)
	last, _ := slices.BinarySearch(times, to)
	return last - first
}

// WorstWindow is the most times in any stretch of the given length; times are in
// order.
func WorstWindow(times []time.Duration, length time.Duration) int {
	most, first := 0, 0
	for last, t := range times {
		for times[first] <= t-length {
			first++
		}
		most = max(most, last-first+1)
	}
	return most
}

// Exact returns, for each client, when one exact limiter would have admitted it,
// in order, had it decided each call when its answer came: on a machine that
// stalls, calls arrive late and together, and what a full bucket misses meanwhile
// no limiter gives back.
func (o *Offered) Exact(limit Limit, clients int) [][]time.Duration {
	type bucket struct {
		level float64
		at    time.Duration
	}
	buckets, all := make([]bucket, clients), make([][]time.Duration, clients)
	for i := range buckets {
		buckets[i].level = float64(limit.Burst)
	}
	for _, a := range o.Answers {
		b := &buckets[a.Client]
		b.level, b.at = min(float64(limit.Burst), b.level+limit.PerSecond*(a.Came-b.at).Seconds()), a.Came
		if b.level >= 1 {
			b.level--
			all[a.Client] = append(all[a.Client], a.Came)
		}
	}
	return all
}

// Refused counts the calls that were denied.
func (o *Offered) Refused() int {
	n := 0
	for _, a := range o.Answers {
		if !a.Admitted {
			n++
		}
	}
	return n
}

// Latency returns a quantile of the time from a call to its answer.
func (o *Offered) Latency(quantile float64) time.Duration {
	all := make([]time.Duration, 0, len(o.Answers))
	for _, a := range o.Answers {
		all = append(all, a.Came-a.Sent)
	}
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[int(quantile*float64(len(all)-1))]
}

// Farther returns which of two is Farther from 1; 0 is none yet.
func Farther(a, b float64) float64 {
	if a == 0 || max(b-1, 1-b) > max(a-1, 1-a) {
		return b
	}
	return a
}
