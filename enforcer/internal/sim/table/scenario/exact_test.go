package scenario

import (
	"testing"

	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/policy"
)

// Not one request above the limit, and 98 % of it, in every scenario in which no owner
// dies.
func TestExactIsExactInEveryScenario(t *testing.T) {
	if raceEnabled { // make test runs it without the race detector too, which finds nothing in one goroutine
		t.Skip("a minute of one goroutine at a time")
	}
	for name, change := range exactScenarios() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := Scenario{Name: name, Nodes: 10, Limit: PerSecond(1000), Load: Constant(10), Spread: Uniform(), Duration: 5 * s1}
			change(&s)
			for seed := range uint64(2) {
				r, err := Run(s, Exact, seed+1)
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("seed %d: %.2f above, %.2f %%", seed+1, r.Above(), 100*r.Part())
				if r.Above() > tolerance {
					t.Errorf("seed %d: %.3f tokens above the limit", seed+1, r.Above())
				}
				if r.Part() < .98 {
					t.Errorf("seed %d: %.2f %% of what one exact limiter admits, want 98", seed+1, 100*r.Part())
				}
			}
		})
	}
}

// Two equal halves admit their shares, and when they are one pool again nothing is handed
// out twice, and nobody is denied who is below his limit.
func TestExactInTwoHalves(t *testing.T) {
	if raceEnabled { // make test runs it without the race detector too, which finds nothing in one goroutine
		t.Skip("a minute of one goroutine at a time")
	}
	const breaks, heals = 3 * s1, 15 * s1 // long enough that owners have forgotten who asked
	for _, load := range []float64{.9, 10} {
		s := Scenario{
			Name: "two halves", Nodes: 10, Limit: PerSecond(1000), Load: Constant(load), Spread: Uniform(), Duration: 20 * s1,
			Faults: []Fault{{breaks, func(p *Pool) { p.Cut([]int{0, 1, 2, 3, 4}) }}, {heals, (*Pool).Heal}},
		}
		for seed := range uint64(2) {
			r, err := Run(s, Exact, seed+1)
			if err != nil {
				t.Fatal(err)
			}
			// Until all know of it the owner's half has the whole limit, and the other one its own for a while.
			if over := r.Over(s1, breaks+s1, s.Duration); over > .2 {
				t.Errorf("%gx, seed %d: %.2f %% of a second's limit too much since all know that there are two", load, seed+1, over)
			}
			if under := r.Under(heals, s.Duration); under > 1 { // what is kept for others is still there in the end
				t.Errorf("%gx, seed %d: %.2f %% too little after it has healed", load, seed+1, under)
			}
			if part, _, _ := r.Course(breaks, heals); load > 1 && (part < .98 || part > 1.02) {
				t.Errorf("%gx, seed %d: %.3f of the limit in two halves", load, seed+1, part)
			}
		}
	}
}

// exactScenarios changes one scenario, ten nodes at ten times a limit of 1000/s.
func exactScenarios() map[string]func(*Scenario) {
	return map[string]func(*Scenario){
		"10x":                func(*Scenario) {},
		"2x":                 func(s *Scenario) { s.Load = Constant(2) },
		"0.9x":               func(s *Scenario) { s.Load = Constant(.9) },
		"skewed":             func(s *Scenario) { s.Spread = Zipf() },
		"one node":           func(s *Scenario) { s.Spread = One(3) },
		"hopping":            func(s *Scenario) { s.Spread = Hop(s1) },
		"hopping each 20 ms": func(s *Scenario) { s.Spread, s.Duration = Hop(20*ms), 15*s1 }, // a fifth of the burst is under way all the time
		"rotating":           func(s *Scenario) { s.Spread = Rotating(2 * s1) },
		"step to 10x":        func(s *Scenario) { s.Load = Step(10, 2*s1) },
		"step to 100x":       func(s *Scenario) { s.Load, s.Duration = Step(100, 2*s1), 4*s1 },
		"flash":              func(s *Scenario) { s.Load, s.Duration = Flash(10, s1, 10*ms), 3*s1 },
		"20/s":               func(s *Scenario) { s.Limit, s.Duration = PerSecond(20), 20*s1 },
		"5/min on fifty":     func(s *Scenario) { s.Limit, s.Nodes, s.Duration = Limit{Requests: 5, Per: 60 * s1}, 50, 300*s1 },
		"fixed window":       func(s *Scenario) { s.Limit.Algorithm = policy.FixedWindow },
		"sliding window":     func(s *Scenario) { s.Limit.Algorithm, s.Load = policy.SlidingWindow, Constant(2) },
		"lost and repeated":  func(s *Scenario) { s.Network = Network{Min: ms, Max: 5 * ms, Loss: .1, Repeat: .1} },
		"stalls":             func(s *Scenario) { s.Network = Network{Min: ms, Max: 5 * ms, Stall: .01} },
		"clocks are off":     func(s *Scenario) { s.Skew = 200 * ms },
		"costs of 3":         func(s *Scenario) { s.Cost = 3 },
		"trains of 20":       func(s *Scenario) { s.Train = 20 },
		"fifty nodes":        func(s *Scenario) { s.Nodes = 50 },
		"a node pauses":      func(s *Scenario) { s.Faults = []Fault{{3 * s1, func(p *Pool) { p.Pause(0, 300*ms) }}} },
		"five join five": func(s *Scenario) {
			s.Later = 5
			for i := 5; i < 10; i++ {
				s.Faults = append(s.Faults, Fault{2 * s1, func(p *Pool) { p.Boot(i) }})
			}
		},
		"every node restarts": func(s *Scenario) {
			s.Duration = 16 * s1
			for i := range s.Nodes {
				s.Faults = append(s.Faults, Fault{s1 + limit.Span(i)*1300*ms, func(p *Pool) { p.Restart(i, 500*ms) }})
			}
		},
	}
}
