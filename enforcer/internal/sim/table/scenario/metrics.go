package scenario

import (
	"math"

	"github.com/sluice-dev/sluice/enforcer/limit"
)

// Never is what Settled and PaidBack return when that did not happen.
var Never = math.Inf(1)

// horizon is how long Settled and PaidBack look.
const horizon = 10 * limit.Second

// index is the number of bins in t, within the record.
func (r *Result) index(t limit.Span) int { return min(max(0, int(t/bin)), len(r.arrived)-1) }

// most returns the largest growth of a running sum over width within [from, to].
func most(sum []float64, from, to, width int) float64 {
	largest := 0.0
	width = min(width, to-from)
	for i := from + width; i <= to; i++ {
		largest = max(largest, sum[i]-sum[i-width])
	}
	return largest
}

// Over returns the worst sum of violations of a strict limiter in any stretch of
// the given width within [from, to], in percent of what is refilled in it: an
// ideal pool has 0.
func (r *Result) Over(width, from, to limit.Span) float64 {
	tokens := most(r.excess, r.index(from), r.index(to), int(width/bin))
	return 100 * tokens / math.Max(1, r.Scenario.Limit.Rate()*seconds(width))
}

// Over1 is Over of one second of the whole run: the worst strict excess.
func (r *Result) Over1() float64 { return r.Over(limit.Second, 0, r.Scenario.Duration) }

// OverTokens is the same in tokens.
func (r *Result) OverTokens() float64 {
	return most(r.excess, 0, len(r.excess)-1, int(limit.Second/bin))
}

// Admitted returns how many tokens were admitted in all.
func (r *Result) Admitted() float64 { return last(r.admitted) }

// Net returns by how much more was admitted, since the load began, than the limit
// and its burst allow, in percent of what was refilled; at or below 0 there is no
// long-run over-admission.
func (r *Result) Net() float64 {
	refilled := r.Scenario.Limit.Rate() * seconds(r.Scenario.Duration-r.Scenario.Load.Begins)
	allowed := refilled
	if r.Scenario.Limit.bucket() {
		allowed += r.Scenario.Limit.Depth()
	}
	return 100 * (last(r.admitted) - allowed) / refilled
}

// Under returns how much less was admitted within [from, to] than one exact
// limiter would have, in percent of that; negative when it was more.
func (r *Result) Under(from, to limit.Span) float64 {
	a, b := r.index(from), r.index(to)
	ideal := r.ideal[b] - r.ideal[a]
	if ideal == 0 {
		return 0
	}
	return 100 * (ideal - (r.admitted[b] - r.admitted[a])) / ideal
}

// Lost returns by how many tokens less was admitted than one exact limiter would
// have; negative when it was more.
func (r *Result) Lost() float64 { return last(r.ideal) - last(r.admitted) }

// Settled returns the seconds from a change of the load until what is admitted
// stays, for as long as it looks (10 s), within 15 % of the rate of what one
// exact limiter admits, in stretches of 200 ms.
func (r *Result) Settled(change limit.Span) float64 {
	const width = int(200 * limit.Millisecond / bin)
	from, to := r.index(change), r.index(change+horizon)
	most := .15*r.Scenario.Limit.Rate()*float64(width)*seconds(bin) + 1
	settled := from
	for i := from + width; i <= to; i += 10 {
		if math.Abs((r.admitted[i]-r.admitted[i-width])-(r.ideal[i]-r.ideal[i-width])) > most {
			settled = i
		}
	}
	return r.orNever(settled, from, to)
}

// PaidBack returns the seconds from a change of the load until a bucket that may
// be in debt, given the admitted stream, is out of it for as long as it looks
// (10 s), but for a hundredth of a second's refill.
func (r *Result) PaidBack(change limit.Span) float64 {
	rate, depth := r.Scenario.Limit.Rate(), r.Scenario.Limit.Depth()
	from, to := r.index(change), r.index(change+horizon)
	level, paid := depth, from
	for i := range to {
		level = math.Min(depth, level+rate*seconds(bin)) - (r.admitted[i+1] - r.admitted[i])
		if i >= from && level < -math.Max(1, rate/100) {
			paid = i
		}
	}
	return r.orNever(paid, from, to)
}

// orNever turns the last bin at which something was wrong into seconds.
func (r *Result) orNever(bad, from, to int) float64 {
	if bad > from && to-bad <= int(100*limit.Millisecond/bin) {
		return Never
	}
	return seconds(limit.Span(bad-from) * bin)
}

// Course returns what was admitted within [from, to], as a part of the limit's
// rate: on average, and in the second in which it was least and most.
func (r *Result) Course(from, to limit.Span) (average, least, most float64) {
	const width = int(limit.Second / bin)
	a, b := r.index(from), r.index(to)
	rate := r.Scenario.Limit.Rate()
	average = (r.admitted[b] - r.admitted[a]) / (seconds(limit.Span(b-a)*bin) * rate)
	least = math.Inf(1)
	w := min(width, b-a)
	for i := a + w; i <= b; i += 10 {
		x := (r.admitted[i] - r.admitted[i-w]) / (seconds(limit.Span(w)*bin) * rate)
		least, most = math.Min(least, x), math.Max(most, x)
	}
	return average, least, most
}

// Windows returns by how much the fullest fixed window, and the mean one, were
// above the limit, in percent of it.
func (r *Result) Windows() (worst, mean float64) {
	l := r.Scenario.Limit
	width := int(l.Per / bin)
	n := (len(r.admitted) - 1) / width
	worst = math.Inf(-1)
	for i := 1; i <= n; i++ {
		worst = math.Max(worst, r.admitted[i*width]-r.admitted[(i-1)*width])
	}
	percent := func(tokens float64) float64 { return 100 * (tokens/float64(l.Requests) - 1) }
	return percent(worst), percent(r.admitted[n*width] / float64(n))
}

// Fairness is Jain's index over the nodes' ratios of admitted to arrived, since
// the pool was warm: 1 when a client fares the same at every node. Nodes with
// fewer than 20 arrivals say nothing.
func (r *Result) Fairness() float64 {
	var n, sum, squares float64
	for i, arrived := range r.arrivedAt {
		if arrived >= 20 {
			x := float64(r.admittedAt[i]) / float64(arrived)
			n, sum, squares = n+1, sum+x, squares+x*x
		}
	}
	if squares == 0 {
		return 1
	}
	return sum * sum / (n * squares)
}

// Cost is what a pool sent, per second.
type Cost struct{ Entries, Frames, Bytes float64 }

// Cost returns what the whole pool sent from one of its marks on: the begin of
// the run, of the load or of the steady state.
func (r *Result) Cost(from limit.Span) Cost {
	end := r.marks[len(r.marks)-1]
	begin := r.marks[0]
	for _, m := range r.marks[:len(r.marks)-1] {
		if m.at <= from {
			begin = m
		}
	}
	per := seconds(end.at - begin.at)
	return Cost{
		Entries: float64(end.entries-begin.entries) / per,
		Frames:  float64(end.frames-begin.frames) / per,
		Bytes:   float64(end.bytes-begin.bytes) / per,
	}
}

// EntriesPerNode returns the key records a second that each node sent for each
// key, since the load began.
func (r *Result) EntriesPerNode() float64 {
	s := r.Scenario
	return r.Cost(s.Load.Begins).Entries / float64(s.Nodes) / float64(s.Keys)
}

func seconds(d limit.Span) float64 { return float64(d) / float64(limit.Second) }

func last(sum []float64) float64 { return sum[len(sum)-1] }

// Above is how many tokens of those that were admitted one exact limiter would have
// refused at that instant, which it does not hold against what follows.
func (r *Result) Above() float64 { return r.above }

// Part is what was admitted by what one exact limiter would have admitted of the same
// requests.
func (r *Result) Part() float64 { return r.admitted[len(r.admitted)-1] / r.ideal[len(r.ideal)-1] }
