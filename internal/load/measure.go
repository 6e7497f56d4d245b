package load

import (
	"cmp"
	"container/heap"
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
// admitted, whenever between its sending and its answer it decided each. In the order
// of their answers it gives each call the first token that has come since the call was
// sent: no other order, and no waiting, leaves more calls a token in time.
func (o *Offered) Beyond(limit Limit, clients int) []int {
	calls := make([][]Answer, clients)
	for _, a := range o.Answers {
		if a.Admitted {
			calls[a.Client] = append(calls[a.Client], a)
		}
	}
	beyond := make([]int, clients)
	for i, sent := range calls {
		slices.SortStableFunc(sent, func(a, b Answer) int { return cmp.Compare(a.Sent, b.Sent) })
		beyond[i] = late(sent, newBucket(limit))
	}
	return beyond
}

// late counts the calls, in the order of their sending, for which a bucket has no
// token before their answers.
func late(calls []Answer, b bucket) (n int) {
	var open deadlines // of calls that were sent, and have no token yet
	for at := time.Duration(0); len(calls) > 0 || len(open) > 0; {
		if len(open) == 0 {
			at = max(at, calls[0].Sent)
		}
		for len(calls) > 0 && calls[0].Sent <= at {
			heap.Push(&open, calls[0].Came)
			calls = calls[1:]
		}
		b.fill(at)
		switch wait := b.wait(); {
		case open[0] < at+wait:
			heap.Pop(&open)
			n++
		case wait > 0 && len(calls) > 0:
			at = min(at+wait, calls[0].Sent)
		case wait > 0:
			at += wait
		default:
			heap.Pop(&open)
			b.level--
		}
	}
	return n
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

// wait is how long from b.at on it takes until there is a token. What is missing of one
// by rounding counts as there.
func (b *bucket) wait() time.Duration {
	const rounding = 1e-6
	if b.level >= 1-rounding {
		return 0
	}
	return time.Duration(math.Ceil((1 - b.level) / b.PerSecond * float64(time.Second)))
}

// deadlines is a heap of times, the first one on top.
type deadlines []time.Duration

func (d deadlines) Len() int           { return len(d) }
func (d deadlines) Less(i, j int) bool { return d[i] < d[j] }
func (d deadlines) Swap(i, j int)      { d[i], d[j] = d[j], d[i] }
func (d *deadlines) Push(x any)        { *d = append(*d, x.(time.Duration)) }
func (d *deadlines) Pop() any {
	last := (*d)[len(*d)-1]
	*d = (*d)[:len(*d)-1]
	return last
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
