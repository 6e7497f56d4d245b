package main

import (
	"math"

	"github.com/sluice-dev/sluice/enforcer/internal/sim/table/scenario"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/policy"
)

// failures are the goals for when something breaks.
func failures() []row {
	return []row{partitionRow(), linkRow(), crashRow(), rollingRow(), replaceRow()}
}

const (
	breaks = 10 * second // when it breaks
	heals  = 20 * second
)

func partitionRow() row {
	halves := func(heals limit.Span) func(*scenario.Scenario) {
		return func(s *scenario.Scenario) {
			s.Duration = heals + 20*second
			s.Faults = []scenario.Fault{
				{At: breaks, Do: func(p *scenario.Pool) { p.Cut([]int{0, 1, 2, 3, 4}) }},
				{At: heals, Do: (*scenario.Pool).Heal},
			}
		}
	}
	cut := func(x float64, spread scenario.Spread) scenario.Scenario {
		return with(pool(10, constant(x), spread), "cut", halves(heals))
	}
	const healsLate = breaks + 30*second
	long := func(x float64, spread scenario.Spread) scenario.Scenario {
		return with(pool(10, constant(x), spread), "cut 30 s", halves(healsLate))
	}
	return row{"partition", "10 s in two halves, N=10", []measure{
		{
			what: "part of the limit admitted meanwhile, at 10x", goal: between(.95, 1.02),
			cases: []scenario.Scenario{cut(10, uniform), cut(10, zipf)},
			of: func(r *scenario.Result) float64 {
				average, _, _ := r.Course(breaks, heals)
				return average
			},
		},
		{
			what: "lost in 5 s after it, at 0.9x", unit: "%", goal: atMost(0).within(.05), held: true,
			cases: []scenario.Scenario{cut(.9, uniform), cut(.9, zipf)},
			of:    func(r *scenario.Result) float64 { return math.Max(0, r.Under(heals, heals+5*second)) },
		},
		{
			what: "most in 1 s after it, at 10x", cases: []scenario.Scenario{cut(10, uniform), cut(10, zipf)},
			of: func(r *scenario.Result) float64 {
				_, _, most := r.Course(heals, 40*second)
				return most
			},
		},
		{
			what: "after 30 s, when all know: lost in 5 s, at 0.9x", unit: "%", goal: atMost(0).within(.5), held: true,
			cases: []scenario.Scenario{long(.9, uniform), long(.9, zipf)},
			of:    func(r *scenario.Result) float64 { return math.Max(0, r.Under(healsLate+second, healsLate+6*second)) },
		},
		{
			what: "after 30 s: lowest 1 s, at 10x", goal: atLeast(.75), held: true,
			cases: []scenario.Scenario{long(10, uniform), long(10, zipf)},
			of: func(r *scenario.Result) float64 {
				_, least, _ := r.Course(healsLate, r.Scenario.Duration)
				return least
			},
		},
	}}
}

// linkRow breaks the link between a key's home and one other node: both ways, to the
// home, and from it.
func linkRow() row {
	toHome := func(p *scenario.Pool, home, other int) { p.Break(other, home) }
	fromHome := func(p *scenario.Pool, home, other int) { p.Break(home, other) }
	both := func(p *scenario.Pool, home, other int) {
		toHome(p, home, other)
		fromHome(p, home, other)
	}
	broken := func(nodes int, how string, breakIt func(p *scenario.Pool, home, other int)) scenario.Scenario {
		return with(pool(nodes, constant(10), uniform), how, func(s *scenario.Scenario) {
			s.Duration = 34 * second
			s.Faults = []scenario.Fault{
				{At: breaks, Do: func(p *scenario.Pool) { breakIt(p, p.Home(0), (p.Home(0)+1)%nodes) }},
				{At: breaks + 14*second, Do: (*scenario.Pool).Heal},
			}
		})
	}
	var cases []scenario.Scenario
	for _, n := range []int{3, 10} {
		cases = append(cases, broken(n, "without a link", both), broken(n, "without a link to the home", toHome), broken(n, "without a link from the home", fromHome))
	}
	return row{"link", "14 s without the link of the key's rendezvous peer to one node, N=3 and 10 at 10x", []measure{
		{
			what: "worst 1 s from then on", unit: "%", goal: atMost(.5), held: true, cases: cases,
			of: func(r *scenario.Result) float64 { return r.Over(second, breaks, r.Scenario.Duration) },
		},
		{
			what: "lowest 1 s, part of the limit", goal: atLeast(.95), held: true, cases: cases,
			of: func(r *scenario.Result) float64 {
				_, least, _ := r.Course(breaks, r.Scenario.Duration)
				return least
			},
		},
		{
			what: "most in 1 s, part of the limit", goal: atMost(1.05), cases: cases,
			of: func(r *scenario.Result) float64 {
				_, _, most := r.Course(breaks, r.Scenario.Duration)
				return most
			},
		},
	}}
}

func crashRow() row {
	crash := func(who func(p *scenario.Pool) int) func(*scenario.Scenario) {
		return func(s *scenario.Scenario) {
			s.Faults = append(s.Faults, scenario.Fault{At: breaks, Do: func(p *scenario.Pool) { p.Crash(who(p)) }})
		}
	}
	home := func(p *scenario.Pool) int { return p.Home(0) }
	cases := []scenario.Scenario{
		with(pool(10, constant(10), uniform), "crash", crash(home)), with(pool(10, constant(10), zipf), "crash", crash(home)),
	}
	other := func(p *scenario.Pool) int { return (p.Home(0) + 1) % 3 }
	few := []scenario.Scenario{
		with(pool(3, constant(2), uniform), "crash", crash(home)), with(pool(3, constant(10), uniform), "crash", crash(home)),
		with(pool(3, constant(2), uniform), "crash of another", crash(other)), with(pool(3, constant(10), uniform), "crash of another", crash(other)),
		with(pool(5, constant(2), uniform), "a second crash", func(s *scenario.Scenario) {
			s.Liveness.Gone = 20 * second // until then the first one is listed
			s.Faults = []scenario.Fault{{At: second, Do: func(p *scenario.Pool) { p.Crash((p.Home(0) + 1) % 5) }}}
			crash(home)(s)
		}),
	}
	worst := func(r *scenario.Result) float64 { return r.Over(second, breaks, 20*second) }
	return row{"crash", "crash of the key's rendezvous peer, N=10 at 10x", []measure{
		{what: "worst 1 s from then on", unit: "%", goal: atMost(0).within(.05), held: true, cases: cases, of: worst},
		{
			what: "lowest 1 s, part of the limit", goal: atLeast(.85), held: true, cases: cases,
			of: func(r *scenario.Result) float64 {
				_, least, _ := r.Course(breaks, breaks+3*second)
				return least
			},
		},
		{
			what: "settled again in", unit: "s", goal: atMost(.5).mean(), cases: cases,
			of: func(r *scenario.Result) float64 { return r.Settled(breaks) },
		},
		{what: "of three or five: worst 1 s from then on", unit: "%", goal: atMost(.5).mean(), held: true, cases: few, of: worst},
		{
			what: "of three or five: admitted in 8 s, part of the limit", goal: atLeast(.98).mean(), held: true, cases: few,
			of: func(r *scenario.Result) float64 {
				average, _, _ := r.Course(breaks, breaks+8*second)
				return average
			},
		},
	}}
}

func rollingRow() row {
	roll := func(s *scenario.Scenario) {
		s.Duration = 60 * second
		for i := range s.Nodes {
			s.Faults = append(s.Faults, scenario.Fault{
				At: breaks + limit.Span(4*i)*second, Do: func(p *scenario.Pool) { p.Restart(i, 2*second) },
			})
		}
	}
	cases := []scenario.Scenario{
		with(pool(10, constant(10), uniform), "rolling", roll), with(pool(10, constant(2), zipf), "rolling", roll),
	}
	return row{"rolling", "restart of every node, one each 4 s, N=10", []measure{
		{what: "worst 1 s", unit: "%", of: over1, goal: atMost(1), held: true, cases: cases},
		{
			what: "part of the limit admitted meanwhile", goal: atLeast(.98), held: true, cases: cases,
			of: func(r *scenario.Result) float64 {
				average, _, _ := r.Course(breaks, 50*second)
				return average
			},
		},
	}}
}

// replaceRow is what Kubernetes does to a pool. A new pod takes part before an old one
// ends, and that one has no requests any more when it says that it leaves.
func replaceRow() row {
	const notice = 5 * second
	cluster := func(x float64, spread scenario.Spread, name string, change func(*scenario.Scenario)) scenario.Scenario {
		return with(pool(6, constant(x), spread), name, func(s *scenario.Scenario) {
			s.Limit = scenario.PerSecond(100)
			s.Duration = 30 * second
			s.Liveness.Drain = 1100 * limit.Millisecond
			change(s)
		})
	}
	rollout := func(s *scenario.Scenario) {
		s.Later = 3
		for i := range s.Later {
			at := breaks + limit.Span(2*i)*second
			s.Faults = append(s.Faults,
				scenario.Fault{At: at, Do: func(p *scenario.Pool) { p.Boot(i + 3) }},
				scenario.Fault{At: at + second, Do: func(p *scenario.Pool) { p.Retire(i, notice) }})
		}
	}
	scaleDown := func(s *scenario.Scenario) {
		for i := range 4 {
			s.Faults = append(s.Faults, scenario.Fault{At: breaks, Do: func(p *scenario.Pool) { p.Retire(i, notice) }})
		}
	}
	cases := []scenario.Scenario{
		cluster(2, uniform, "rollout", rollout), cluster(10, zipf, "rollout", rollout),
		cluster(2, uniform, "four leave", scaleDown), cluster(10, zipf, "four leave", scaleDown),
	}
	sliding := func(s *scenario.Scenario) { s.Limit.Algorithm = policy.SlidingWindow }
	windows := []scenario.Scenario{with(cases[0], "sliding window", sliding), with(cases[2], "sliding window", sliding)}
	return row{"replace", "three nodes replaced by new ones, or four of six leave; 100/s", []measure{
		{
			what: "worst 1 s from then on", unit: "%", cases: cases,
			of: func(r *scenario.Result) float64 { return r.Over(second, breaks, r.Scenario.Duration) },
		},
		{
			what: "part of the limit admitted meanwhile", goal: atLeast(.98), held: true, cases: cases,
			of: func(r *scenario.Result) float64 {
				average, _, _ := r.Course(breaks, r.Scenario.Duration)
				return average
			},
		},
		{
			what: "lowest 1 s, part of the limit", goal: atLeast(.85), cases: join(cases, windows),
			of: func(r *scenario.Result) float64 {
				_, least, _ := r.Course(breaks, r.Scenario.Duration)
				return least
			},
		},
	}}
}

func fixedWindow(s *scenario.Scenario) {
	s.Limit.Algorithm = policy.FixedWindow
	s.Duration = 30 * second
}
