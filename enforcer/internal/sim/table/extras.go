package main

import (
	"github.com/sluice-dev/sluice/enforcer/internal/sim/table/scenario"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/policy"
)

// extras are scenarios beyond the table of the design. Those without a goal are
// there to see what a change does to them.
func extras() []row {
	return []row{
		{"fair", "10x, zipf, N=10", []measure{{
			what: "Jain's index over nodes", of: (*scenario.Result).Fairness, goal: atLeast(.9995).mean(),
			cases: []scenario.Scenario{pool(10, constant(10), zipf)},
		}}},
		{"step30", "step from 0 to 30x, N=10", []measure{{
			what: "worst 1 s", unit: "%", of: over1, goal: atMost(1).mean(),
			cases: []scenario.Scenario{pool(10, step(30), uniform), pool(10, step(30), zipf)},
		}}},
		slowRow(), joinRow(), zonesRow(), busyRow(), flashRow(), clocksRow(), shapesRow(), smallBurstRow(), slidingRow(),
	}
}

func slowRow() row {
	cases := []scenario.Scenario{with(pool(50, constant(100), uniform), "1/s burst 5", func(s *scenario.Scenario) {
		s.Limit = scenario.Limit{Requests: 1, Per: second, Burst: 5}
		s.Duration, s.Warm = 5*limit.Minute, limit.Minute
	})}
	return row{"slow", "1/s, burst 5, on 50 nodes at 100x", []measure{
		{what: "tokens over at any time", of: overTokens, goal: atMost(2), cases: cases},
		{what: "admitted too much", unit: "%", of: net, goal: atMost(0).within(.4), cases: cases},
	}}
}

// joinRow doubles a pool under load.
func joinRow() row {
	join := func(s *scenario.Scenario) {
		s.Later = 5
		for i := range s.Later {
			s.Faults = append(s.Faults, scenario.Fault{At: breaks, Do: func(p *scenario.Pool) { p.Boot(s.Nodes - 1 - i) }})
		}
	}
	cases := []scenario.Scenario{with(pool(10, constant(10), uniform), "join", join)}
	return row{"join", "a pool of 5 becomes 10 at 10x", []measure{
		{what: "worst 1 s", unit: "%", of: over1, goal: atMost(1), cases: cases},
		{what: "admitted too little", unit: "%", of: under, goal: atMost(.1), held: true, cases: cases},
	}}
}

// flashRow shows the choice that no algorithm can avoid: what comes at once to a
// cold key, over before a frame has travelled, is admitted on every node or kept
// from an honest client of one node.
func flashRow() row {
	flash := func(what string, times float64, spread scenario.Spread) measure {
		s := pool(10, scenario.Flash(times, 5*second, 10*limit.Millisecond), spread)
		s.Duration = 12 * second
		return measure{what: what, cases: []scenario.Scenario{s}, of: func(r *scenario.Result) float64 {
			return r.Admitted() / r.Scenario.Limit.Depth()
		}}
	}
	return row{"flash", "bursts admitted of what comes to a cold key in 10 ms, N=10", []measure{
		flash("of 10 bursts on all nodes", 10, uniform), flash("of 10 bursts on one node", 10, alone), flash("of one burst on one node", 1, alone),
	}}
}

func zonesRow() row {
	zones := func(s *scenario.Scenario) {
		s.Network.Zones, s.Network.ZoneMin, s.Network.ZoneMax = 2, 50*limit.Millisecond, 60*limit.Millisecond
	}
	steady := []scenario.Scenario{with(pool(10, constant(2), uniform), "zones", zones), with(pool(10, constant(10), scenario.Hop(second)), "zones", zones)}
	return row{"zones", "two zones 50 ms apart, N=10", []measure{
		{what: "step to 10x: worst 1 s", unit: "%", of: over1, goal: atMost(15).mean(), cases: []scenario.Scenario{with(pool(10, step(10), zipf), "zones", zones)}},
		{what: "steady: admitted too much", unit: "%", of: net, goal: atMost(0).within(.01), cases: steady},
	}}
}

// busyRow has ten thousand clients at 0.4 of their limit, but one in a hundred at
// 4 times of it.
func busyRow() row {
	s := with(pool(10, constant(.4), uniform), "10k keys", func(s *scenario.Scenario) {
		s.Limit = scenario.PerSecond(10)
		s.Keys, s.Hot = 10_000, .01
		s.Duration = 10 * second
	})
	return row{"busy", "10k busy keys, one in 100 over its limit, N=10", []measure{{
		what: "KB/s sent by each node", goal: atMost(50).mean(), cases: []scenario.Scenario{s},
		of: func(r *scenario.Result) float64 {
			return r.Cost(0).Bytes / float64(r.Scenario.Nodes) / 1000
		},
	}}}
}

func clocksRow() row {
	wrong := func(s *scenario.Scenario) { s.Skew, s.Drift = 10*limit.Millisecond, 100e-6 }
	return row{"clocks", "clocks wrong by 10 ms and 100 ppm, 10x, N=10", []measure{
		{what: "token bucket: worst 1 s", unit: "%", of: over1, cases: []scenario.Scenario{with(pool(10, constant(10), uniform), "clocks", wrong)}},
		{what: "token bucket: admitted too much", unit: "%", of: net, cases: []scenario.Scenario{with(pool(10, constant(10), uniform), "clocks", wrong)}},
		{what: "fixed window: worst window", unit: "%", of: worstWindow, cases: []scenario.Scenario{with(with(pool(10, constant(10), uniform), "windows", fixedWindow), "clocks", wrong)}},
	}}
}

func shapesRow() row {
	trains := with(pool(10, constant(10), zipf), "trains of 20", func(s *scenario.Scenario) { s.Train = 20 })
	costly := with(pool(10, constant(10), zipf), "cost 7", func(s *scenario.Scenario) { s.Cost = 7 })
	stalls := with(pool(10, constant(10), zipf), "stalls", func(s *scenario.Scenario) { s.Network.Stall, s.Network.Repeat = .01, .01 })
	paused := with(pool(10, constant(10), uniform), "a node pauses 300 ms", func(s *scenario.Scenario) {
		for at := breaks; at < 20*second; at += 2 * second {
			s.Faults = append(s.Faults, scenario.Fault{At: at, Do: func(p *scenario.Pool) { p.Pause(p.Home(0), 300*limit.Millisecond) }})
		}
	})
	onOff := pool(10, scenario.OnOff(10, 2*second, .5), zipf)
	var all []measure
	for _, c := range []struct {
		what string
		s    scenario.Scenario
	}{
		{"on and off each second", onOff},
		{"20 requests at a time", trains},
		{"7 tokens a request", costly},
		{"frames stall and repeat", stalls},
		{"a node pauses", paused},
	} {
		all = append(
			all,
			measure{what: c.what + ": worst 1 s", unit: "%", of: over1, cases: []scenario.Scenario{c.s}},
			measure{what: c.what + ": admitted too little", unit: "%", of: under, cases: []scenario.Scenario{c.s}},
		)
	}
	return row{"shapes", "other loads and nuisances, 10x, N=10", all}
}

func smallBurstRow() row {
	cases := []scenario.Scenario{}
	for _, s := range []scenario.Scenario{pool(10, constant(2), uniform), pool(10, step(10), uniform), pool(10, constant(.9), scenario.Hop(second))} {
		cases = append(cases, with(s, "burst 50", func(s *scenario.Scenario) { s.Limit.Burst = 50 }))
	}
	return row{"burst", "a burst of 5 % of a second, N=10", []measure{
		{what: "worst 1 s", unit: "%", of: over1, cases: cases},
		{what: "admitted too much", unit: "%", of: net, cases: cases},
		{what: "admitted too little", unit: "%", of: under, cases: cases},
	}}
}

func slidingRow() row {
	cases := []scenario.Scenario{with(pool(10, constant(10), zipf), "sliding", func(s *scenario.Scenario) {
		s.Limit.Algorithm = policy.SlidingWindow
	})}
	return row{"sliding", "sliding window 1000/s at 10x, N=10", []measure{
		{what: "worst 1 s", unit: "%", of: over1, cases: cases},
		{what: "admitted too little", unit: "%", of: under, cases: cases},
	}}
}
