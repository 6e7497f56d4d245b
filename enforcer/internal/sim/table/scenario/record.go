package scenario

import "github.com/sluice-dev/sluice/enforcer/limit"

// bin is the resolution of a record.
const bin = limit.Millisecond

// recorder notes what came and what was admitted of the first key.
type recorder struct {
	limit    Limit
	warm     limit.Span
	requests int64

	// In tokens, by bin since the load began.
	arrived, admitted []int64

	// In tokens, by node, since the pool was warm.
	arrivedAt, admittedAt []int64

	// strict is given what is admitted at the instant at which it is, and above what
	// it would have refused of it.
	strict referee
	above  float64
}

func newRecorder(s *Scenario) recorder {
	n := int(s.Duration / bin)
	return recorder{
		limit: s.Limit, warm: s.Warm, arrived: make([]int64, n), admitted: make([]int64, n),
		arrivedAt: make([]int64, s.Nodes), admittedAt: make([]int64, s.Nodes),
		strict: newReferee(s.Limit, origin),
	}
}

// request notes one request: when it came, and when it was decided.
func (r *recorder) request(node int, came, now limit.Instant, cost int64, admitted bool) {
	r.requests++
	at, decided := int(came.Sub(origin)/bin), int(now.Sub(origin)/bin)
	if at < 0 || decided >= len(r.arrived) {
		return
	}
	r.arrived[at] += cost
	warm := now.Sub(origin) >= r.warm
	if warm {
		r.arrivedAt[node] += cost
	}
	if !admitted {
		return
	}
	r.admitted[decided] += cost
	r.above += r.strict.excess(now, cost)
	if warm {
		r.admittedAt[node] += cost
	}
}

// Result is what a run came to. Its methods compute the figures; intervals count
// from the instant at which the load began.
type Result struct {
	Scenario *Scenario
	Seed     uint64

	// Trace is the same for two runs exactly when they were the same.
	Trace uint64

	// Requests is how many were decided.
	Requests int64

	// Running sums in tokens: element i is what came, was admitted, would have
	// been admitted by one exact limiter that had all the arrivals, and what one
	// exact limiter that is given the admitted stream would have refused of it,
	// in the first i bins.
	arrived, admitted, ideal, excess []float64

	arrivedAt, admittedAt []int64
	above                 float64
	marks                 []mark
}

// mark is what had been sent at some point.
type mark struct {
	at                     limit.Span
	entries, frames, bytes uint64
}

// newResult computes the sums of a record.
func newResult(s *Scenario, r *recorder) *Result {
	res := &Result{Scenario: s, Requests: r.requests, arrivedAt: r.arrivedAt, admittedAt: r.admittedAt, above: r.above}
	n := len(r.arrived)
	sums := make([]float64, 4*(n+1))
	for i, sum := range []*[]float64{&res.arrived, &res.admitted, &res.ideal, &res.excess} {
		*sum = sums[i*(n+1) : (i+1)*(n+1)]
	}
	ideal, strict := newReferee(r.limit, origin), newReferee(r.limit, origin)
	for i := range n {
		now := origin.Add(limit.Span(i) * bin)
		res.arrived[i+1] = res.arrived[i] + float64(r.arrived[i])
		res.admitted[i+1] = res.admitted[i] + float64(r.admitted[i])
		res.ideal[i+1] = res.ideal[i] + float64(ideal.admit(now, r.arrived[i]))
		res.excess[i+1] = res.excess[i] + strict.excess(now, r.admitted[i])
	}
	return res
}
