package main

import (
	"fmt"
	"math"

	"github.com/sluice-dev/sluice/enforcer/internal/sim/table/scenario"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

const second = limit.Second

// thousand is the limit of most scenarios: 1000 tokens a second, and as many at
// once.
var thousand = scenario.PerSecond(1000)

// pool returns a scenario of 20 s on a local network. Its name tells all that is
// not always the same.
func pool(nodes int, load scenario.Load, spread scenario.Spread) scenario.Scenario {
	s := scenario.Scenario{
		Name:  fmt.Sprintf("N=%d %s %s", nodes, load.Name, spread.Name),
		Nodes: nodes, Limit: thousand, Load: load, Spread: spread,
		Duration: 20 * second, Warm: 5 * second,
	}
	if load.Begins > 0 {
		s.Warm = load.Begins + 3*second
	}
	return s
}

// with returns s, changed and with another name.
func with(s scenario.Scenario, name string, change func(*scenario.Scenario)) scenario.Scenario {
	s.Name += " " + name
	change(&s)
	return s
}

var (
	uniform = scenario.Uniform()
	zipf    = scenario.Zipf()
	alone   = scenario.One(1)
)

func constant(x float64) scenario.Load { return scenario.Constant(x) }

func step(x float64) scenario.Load { return scenario.Step(x, 5*second) }

// sizes makes a case for 10 and for 50 nodes.
func sizes(load scenario.Load, spreads ...scenario.Spread) []scenario.Scenario {
	var all []scenario.Scenario
	for _, n := range []int{10, 50} {
		for _, spread := range spreads {
			all = append(all, pool(n, load, spread))
		}
	}
	return all
}

func join(lists ...[]scenario.Scenario) []scenario.Scenario {
	var all []scenario.Scenario
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

// Figures.

func over1(r *scenario.Result) float64 { return r.Over1() }

func overTokens(r *scenario.Result) float64 { return r.OverTokens() }

func net(r *scenario.Result) float64 { return math.Max(0, r.Net()) }

func under(r *scenario.Result) float64 {
	return math.Max(0, r.Under(0, r.Scenario.Duration))
}

func lost(r *scenario.Result) float64 { return math.Max(0, r.Lost()) }

func settled(r *scenario.Result) float64 { return r.Settled(r.Scenario.Load.Begins) }

func paidBack(r *scenario.Result) float64 { return r.PaidBack(r.Scenario.Load.Begins) }

func perNode(r *scenario.Result) float64 { return r.EntriesPerNode() }

func perKey(r *scenario.Result) float64 {
	return r.EntriesPerNode() * float64(r.Scenario.Nodes)
}

func worstWindow(r *scenario.Result) float64 {
	worst, _ := r.Windows()
	return math.Max(0, worst)
}

func meanWindow(r *scenario.Result) float64 {
	_, mean := r.Windows()
	return math.Max(0, mean)
}

// goals are the goals of the design for sharing, in its order. They are of many seeds: what
// holds on average and not in each of them is judged by the mean, as in the design's own table,
// and the worst seed is printed beside it.
func goals() []row {
	return append([]row{
		{"over", "long run, 2x and 10x, any skew", []measure{{
			what: "admitted too much", unit: "%", of: net, goal: atMost(0).within(.01),
			cases: join(sizes(constant(2), uniform, zipf), sizes(constant(10), uniform, zipf, scenario.Hop(second), scenario.Rotating(2*second))),
		}}},
		{"under", "any skew, one node only, hopping each 20 ms to 3 s", []measure{{
			what: "admitted too little", unit: "%", of: under, goal: atMost(.1).mean(), held: true, cases: underCases(),
		}}},
		{"steady", "steady 2x and 10x", []measure{{
			what: "worst 1 s", unit: "%", of: over1, goal: atMost(.5).mean(), held: true,
			cases: join(sizes(constant(2), uniform, zipf), sizes(constant(10), uniform, zipf)),
		}}},
		{"step10", "step from 0 to 10x", []measure{
			{what: "worst 1 s", unit: "%", of: over1, goal: atMost(.5).mean(), held: true, cases: sizes(step(10), uniform, zipf)},
			{what: "settled in", unit: "s", of: settled, goal: atMost(.25).mean(), held: true, cases: sizes(step(10), uniform, zipf)},
		}},
		lowRow(),
		windowRow(),
		{"step100", "step from 0 to 100x", []measure{
			{what: "worst 1 s", unit: "%", of: over1, goal: atMost(50).mean(), cases: []scenario.Scenario{pool(10, step(100), uniform)}},
			{what: "paid back in", unit: "s", of: paidBack, goal: atMost(.8).mean(), cases: []scenario.Scenario{pool(10, step(100), uniform)}},
		}},
		costRow(),
		farRow(),
		lossRow(),
	}, failures()...)
}

func underCases() []scenario.Scenario {
	all := join(sizes(constant(2), uniform, zipf), sizes(constant(10), uniform, zipf, alone), sizes(constant(.9), alone))
	for _, period := range []limit.Span{20, 100, 300, 1000, 3000} {
		hop := scenario.Hop(period * limit.Millisecond)
		all = append(all, pool(10, constant(.9), hop), pool(10, constant(10), hop), pool(50, constant(.9), hop))
	}
	return all
}

func lowRow() row {
	var cases []scenario.Scenario
	for _, x := range []float64{10, 100} {
		cases = append(cases, with(pool(50, constant(x), uniform), "5/min", func(s *scenario.Scenario) {
			s.Limit = scenario.Limit{Requests: 5, Per: limit.Minute}
			s.Duration, s.Warm = 20*limit.Minute, limit.Minute
		}))
	}
	return row{"low", "5/min on 50 nodes at 10x and 100x", []measure{
		{what: "tokens over at any time", of: overTokens, goal: atMost(1).within(.01), cases: cases},
		{what: "tokens lost", of: lost, goal: atMost(0), cases: cases},
	}}
}

func windowRow() row {
	var cases []scenario.Scenario
	for _, spread := range []scenario.Spread{uniform, zipf} {
		cases = append(cases, with(pool(10, constant(10), spread), "windows", fixedWindow))
	}
	return row{"window", "fixed window 1000/s at 10x", []measure{
		{what: "worst window", unit: "%", of: worstWindow, goal: atMost(1), cases: cases},
		{what: "mean window", unit: "%", of: meanWindow, goal: atMost(0).within(.05), cases: cases},
	}}
}

func costRow() row {
	thousandNodes := pool(1000, scenario.Step(10, 2*second), uniform)
	thousandNodes.Duration = 8 * second
	const what = "entries/s per node"
	return row{"cost", "a hot key", []measure{
		{what: what + ", N=10 at 10x", of: perNode, goal: atMost(5).mean(), cases: []scenario.Scenario{pool(10, constant(10), uniform)}},
		{what: what + ", N=10 at 2x", of: perNode, goal: atMost(8).mean(), cases: []scenario.Scenario{pool(10, constant(2), uniform)}},
		{what: what + ", N=1000 step", of: perNode, goal: atMost(10).mean(), cases: []scenario.Scenario{thousandNodes}},
	}}
}

func farRow() row {
	return row{"far", "keys far from their limit, N=10", []measure{
		{what: "entries/s per key, 0.3x on one node", of: perKey, goal: atMost(.1).mean(), cases: []scenario.Scenario{pool(10, constant(.3), alone)}},
		{what: "entries/s per key, 0.3x spread", of: perKey, goal: atMost(0).within(.05).mean(), cases: []scenario.Scenario{pool(10, constant(.3), uniform)}},
		{what: "entries/s per node, 0.49x", of: perNode, goal: atMost(1).mean(), cases: []scenario.Scenario{pool(10, constant(.49), uniform), pool(10, constant(.49), zipf)}},
	}}
}

func lossRow() row {
	var cases []scenario.Scenario
	for _, s := range []scenario.Scenario{
		pool(10, constant(2), uniform), pool(10, constant(10), zipf), pool(10, step(10), uniform), pool(10, constant(10), scenario.Hop(second)),
	} {
		cases = append(cases, with(s, "10 % loss", func(s *scenario.Scenario) { s.Network.Loss = .1 }))
	}
	return row{"loss", "10 % of the frames are lost", []measure{
		{what: "worst 1 s", unit: "%", of: over1, goal: atMost(.5).mean(), held: true, cases: cases},
		{what: "admitted too little", unit: "%", of: under, goal: atMost(.1), held: true, cases: cases},
		{what: "admitted too much", unit: "%", of: net, goal: atMost(0).within(.01), cases: cases},
	}}
}
