package main

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/sluice-dev/sluice/internal/load"
)

// scenario is a load on a pool, and what is to come of it.
type scenario struct {
	name    string
	quota   quota
	clients int
	factor  float64 // demand of a client, as a multiple of its limit
	spread  spread
	kind    kind
	crash   time.Duration // after the warm-up; 0 for none
	only    int           // the one size of a pool that it is for; 0 for every

	warmUp, measure time.Duration // the least
}

// kind is what a scenario's steady figure is.
type kind int

const (
	// perClient looks at what each client was admitted; the worst counts.
	perClient kind = iota
	// together looks at all clients as one: each has too few tokens for a figure of
	// its own.
	together
	// under is demand under the limit: nothing is refused.
	under
	// recovery is perClient, from some seconds after a crash on.
	recovery
)

// window is the stretch of time in which admissions are bounded by rate and
// burst.
const window = 10 * time.Second

// copyLag is how old the copy of a book may be with which the successor of an enforcer
// that was killed goes on: what came in since may be admitted twice. Copies go out
// each lease.Interval while there is something to tell; a machine that is busy makes
// that some of them.
const copyLag = 50 * time.Millisecond

// quotas are the limits of the scenarios.
func (o *options) quotas() (main, share, low, lowest quota) {
	main = quota{domain: "main", requests: o.rate, per: "1s", seconds: 1, burst: o.rate}
	share = quota{domain: "share", requests: o.rate / 5, per: "1s", seconds: 1, burst: o.rate / 5}
	low = quota{domain: "low", requests: 20, per: "1s", seconds: 1, burst: 20}
	lowest = quota{domain: "lowest", requests: 5, per: "1m", seconds: 60, burst: 5}
	for _, q := range []*quota{&main, &share, &low, &lowest} {
		q.sharing = o.sharing
	}
	return main, share, low, lowest
}

// scenarios lists what accuracy looks at, the crash last: it costs a pod.
func (o *options) scenarios() []scenario {
	main, share, low, lowest := o.quotas()
	spreads := []struct {
		name string
		spread
	}{{"uniform", uniform}, {"skewed", skewed}, {"one pod", onePod}, {"hopping", hopping}}
	var all []scenario
	for _, factor := range []float64{3, 5, 10} {
		for _, s := range spreads {
			all = append(all, scenario{name: fmt.Sprintf("%d/s %gx %s", o.rate, factor, s.name), quota: main, clients: 1, factor: factor, spread: s.spread, kind: perClient})
		}
	}
	for _, factor := range []float64{3, 10} {
		for _, s := range spreads[:2] {
			all = append(all, scenario{name: fmt.Sprintf("20/s %gx %s", factor, s.name), quota: low, clients: 10, factor: factor, spread: s.spread, kind: perClient})
		}
	}
	for _, factor := range []float64{3, 10} {
		all = append(all, scenario{name: fmt.Sprintf("5/min %gx uniform", factor), quota: lowest, clients: 500, factor: factor, spread: uniform, kind: together, warmUp: 30 * time.Second, measure: 48 * time.Second})
	}
	for _, s := range spreads {
		all = append(all, scenario{name: fmt.Sprintf("%d/s 0.9x %s", o.rate, s.name), quota: main, clients: 1, factor: .9, spread: s.spread, kind: under})
	}
	return append(
		all,
		scenario{name: "20/s 0.9x uniform", quota: low, clients: 10, factor: .9, spread: uniform, kind: under},
		scenario{name: "5/min 0.9x uniform", quota: lowest, clients: 500, factor: .9, spread: uniform, kind: under},
		scenario{name: fmt.Sprintf("%d/s 5x, one of 3 killed", share.requests), quota: share, clients: 6, factor: 5, spread: uniform, kind: recovery, crash: 3 * time.Second, only: 3},
	)
}

// goals are the bounds of a scenario. The first three are parts of 1.
type goals struct {
	least, most float64
	window      float64
	beyond      int           // calls that no exact limiter can have admitted
	back        time.Duration // how soon after a crash the pool is to be as exact again
}

func (c *scenario) goals() goals {
	switch {
	case c.quota.sharing == exactSharing:
		g := goals{.98, math.Inf(1), 1.01, 0, 2 * time.Second}
		if c.kind == recovery {
			g.beyond = int(math.Ceil(c.quota.perSecond() * copyLag.Seconds()))
		}
		return g
	case c.kind == recovery:
		return goals{.98, 1.02, 1.01, math.MaxInt, 3 * time.Second}
	case c.quota.perSecond() < 50:
		return goals{.97, 1.03, 1.03, math.MaxInt, 0}
	default:
		return goals{.99, 1.01, 1.01, math.MaxInt, 0}
	}
}

// steady tells the bounds of the steady figure.
func (g *goals) steady() string {
	if math.IsInf(g.most, 1) {
		return fmt.Sprintf("≥ %.0f %%", 100*g.least)
	}
	return fmt.Sprintf("±%.0f %%", 100*(g.most-1))
}

// mostCalls tells a bound of calls, "" for none.
func mostCalls(n int) string {
	if n == math.MaxInt {
		return ""
	}
	return fmt.Sprintf("≤ %d", n)
}

// figures are what came of a scenario.
type figures struct {
	offered        float64 // calls answered, as a part of those that were meant to be made
	steady         float64 // admitted by the limit, of the worst client
	exact          float64 // admitted by what an exact limiter admits of the same calls, of the worst client
	window         float64 // admitted in the worst window by what it may hold, of the worst client
	beyond         int     // calls that no exact limiter can have admitted, of the worst client
	debt           float64 // tokens admitted beyond rate and burst by the times of answers, of the worst client
	refused        int
	failed         int
	median, slow   time.Duration // latency
	worstAfterKill float64       // worst two seconds of a client after goals.back, by the limit
}

// met says whether the goals are; a load that could not be offered meets none.
func (f *figures) met(c *scenario) bool {
	g := c.goals()
	switch {
	case f.offered < .9 || f.window > g.window || f.beyond > g.beyond:
		return false
	case c.kind == under:
		return f.refused == 0
	default:
		return f.exact >= g.least && f.exact <= g.most
	}
}

// figure takes the figures of what was offered, those of the steady state in
// [from, to).
func (c *scenario) figure(o *load.Offered, from, to time.Duration) figures {
	f := figures{failed: o.Failed, refused: o.Refused(), median: o.Latency(.5), slow: o.Latency(.99)}
	f.beyond, f.debt = slices.Max(o.Beyond(c.quota.limit(), c.clients)), slices.Max(o.Debt(c.quota.limit(), c.clients))
	rate := c.quota.perSecond()
	f.offered = float64(len(o.Answers)) / (c.factor * rate * float64(c.clients) * to.Seconds())
	exact, total, totalExact := o.Exact(c.quota.limit(), c.clients), 0, 0
	limit := rate * (to - from).Seconds()
	for i, times := range o.Admissions(c.clients) {
		n, best := load.Within(times, from, to), load.Within(exact[i], from, to)
		total, totalExact = total+n, totalExact+best
		f.steady, f.exact = load.Farther(f.steady, float64(n)/limit), load.Farther(f.exact, float64(n)/float64(max(1, best)))
		f.window = max(f.window, float64(load.WorstWindow(times, window))/(rate*window.Seconds()+float64(c.quota.burst)))
		for at := from; c.kind == recovery && at+2*time.Second <= to; at += 100 * time.Millisecond {
			f.worstAfterKill = load.Farther(f.worstAfterKill, float64(load.Within(times, at, at+2*time.Second))/(2*rate))
		}
	}
	if c.kind == together {
		f.steady, f.exact = float64(total)/(limit*float64(c.clients)), float64(total)/float64(max(1, totalExact))
	}
	return f
}
