package load

import (
	"cmp"
	"math"
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
	buckets, all := make([]bucket, clients), make([][]time.Duration, clients)
	for i := range buckets {
		buckets[i] = newBucket(limit)
	}
	for _, a := range o.Answers {
		b := &buckets[a.Client]
		if b.fill(a.Came); b.level >= 1 {
			b.level--
			all[a.Client] = append(all[a.Client], a.Came)
		}
	}
	return all
}

// Excess is a part of a token, at most all of it, that was admitted and was not there.
type Excess struct {
	At     time.Duration
	Tokens float64
}

// Excess returns, in order, what strict buckets of the clients' limits would not have had
// when they were charged each admitted call as its answer came. They hold it against nobody
// later: what was not used before may be used now, and what was used before is forgiven.
func (o *Offered) Excess(limit Limit, clients int) (all []Excess) {
	buckets := make([]bucket, clients)
	for i := range buckets {
		buckets[i] = newBucket(limit)
	}
	for _, a := range o.Answers {
		if b := &buckets[a.Client]; a.Admitted {
			b.fill(a.Came)
			if b.level--; b.level < 0 {
				all = append(all, Excess{a.Came, -b.level})
				b.level = 0
			}
		}
	}
	return all
}

// Debt returns, for each client, how far below zero a bucket of its limit would have
// gone, in tokens, had it been charged each admitted call when its answer came: the
// most that was admitted in any stretch of time beyond the rate and the burst, by the
// times of the answers.
func (o *Offered) Debt(limit Limit, clients int) []float64 {
	debts := make([]float64, clients)
	for i, times := range o.Admissions(clients) {
		b := newBucket(limit)
		for _, at := range times {
			b.fill(at)
			b.level--
			debts[i] = max(debts[i], -b.level)
		}
	}
	return debts
}

// Beyond returns, for each client, how many admitted calls no exact limiter can have
// admitted, whenever between its sending and its answer it decided each: the most by
// which the calls that were both sent and answered within some stretch of time are more
// than its rate and burst allow.
func (o *Offered) Beyond(limit Limit, clients int) []int {
	calls := make([][]Answer, clients)
	for _, a := range o.Answers {
		if a.Admitted {
			calls[a.Client] = append(calls[a.Client], a)
		}
	}
	beyond := make([]int, clients)
	for i, mine := range calls {
		slices.SortFunc(mine, func(a, b Answer) int { return cmp.Compare(a.Came, b.Came) })
		for _, first := range mine {
			n := 0
			for _, last := range mine {
				if last.Sent < first.Sent {
					continue
				}
				n++
				allowed := float64(limit.Burst) + limit.PerSecond*(last.Came-first.Sent).Seconds()
				beyond[i] = max(beyond[i], int(math.Ceil(float64(n)-allowed-1e-6)))
			}
		}
	}
	return beyond
}

// bucket is a token bucket that may be owed to.
type bucket struct {
	Limit
	level float64
	at    time.Duration
}

func newBucket(l Limit) bucket { return bucket{Limit: l, level: float64(l.Burst)} }

// fill has come in what does until at.
func (b *bucket) fill(at time.Duration) {
	b.level, b.at = min(float64(b.Burst), b.level+b.PerSecond*(at-b.at).Seconds()), at
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
