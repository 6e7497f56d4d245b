package scenario

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/policy"
)

const ms = limit.Millisecond

// rough is a bad day: frames are lost, repeated, stalled and reordered, clocks
// are wrong, and everything breaks that can.
func rough(seed uint64) Scenario {
	random := rand.New(rand.NewPCG(seed, 7))
	s := Scenario{
		Name: fmt.Sprint("rough ", seed), Nodes: 5, Keys: 3, Limit: PerSecond(200), Spread: Rotating(700 * ms),
		Load: OnOff(5, 1500*ms, .7), Duration: 8 * s1, Skew: 20 * ms, Drift: 1e-4,
		Network: Network{Max: 10 * ms, Loss: .05, Repeat: .05, Stall: .01},
	}
	switch seed % 3 {
	case 1:
		s.Limit.Algorithm = policy.FixedWindow
	case 2:
		s.Limit.Algorithm = policy.SlidingWindow
	}
	for range 12 {
		at, node := limit.Span(random.Int64N(int64(6*s1))), random.IntN(s.Nodes)
		f := []func(*Pool){
			func(p *Pool) { p.Crash(node) },
			func(p *Pool) { p.Boot(node) },
			func(p *Pool) { p.Restart(node, 300*ms) },
			func(p *Pool) { p.Pause(node, 400*ms) },
			func(p *Pool) { p.Cut([]int{node, (node + 1) % 5}) },
			func(p *Pool) { p.Break(node, (node+1)%5) },
			(*Pool).Heal,
		}[random.IntN(7)]
		s.Faults = append(s.Faults, Fault{at, f})
	}
	return s
}

// Run itself fails when a node admits more than the whole limit, or does not
// understand another one.
func TestLawsHoldOnABadDay(t *testing.T) {
	for seed := range uint64(6) {
		if _, err := Run(rough(seed), Engine, seed); err != nil {
			t.Error(err)
		}
	}
}

func TestASeedRepeatsItsRun(t *testing.T) {
	seen := map[uint64]string{}
	for seed := range uint64(3) {
		for name, maker := range map[string]Maker{"engine": Engine, "windows": NaiveWindow, "buckets": NaiveBucket} {
			name = fmt.Sprintf("%s, seed %d", name, seed)
			one, err := Run(rough(0), maker, seed)
			if err != nil {
				t.Fatal(err)
			}
			two, err := Run(rough(0), maker, seed)
			if err != nil {
				t.Fatal(err)
			}
			if one.Trace != two.Trace {
				t.Errorf("%s: one run has the trace %x, the next one %x", name, one.Trace, two.Trace)
			}
			if other, there := seen[one.Trace]; there {
				t.Errorf("%s has the trace of %s", name, other)
			}
			seen[one.Trace] = name
		}
	}
}

func TestANodeThatAdmitsTooMuchIsFoundOut(t *testing.T) {
	s := Scenario{Name: "greedy", Nodes: 2, Limit: PerSecond(100), Load: Constant(5), Spread: Uniform(), Duration: 2 * s1}
	_, err := Run(s, stub{lawful: true}.make, 1)
	if err == nil || !strings.Contains(err.Error(), "tokens more than one node may alone") {
		t.Errorf("got %v", err)
	}
}

func TestANodeThatIsNotReadyIsFoundOut(t *testing.T) {
	s := Scenario{Name: "slow", Nodes: 2, Limit: PerSecond(100), Load: Constant(5), Spread: Uniform(), Duration: 2 * s1}
	_, err := Run(s, stub{busy: func(name string) bool { return name == "b" }}.make, 1)
	if err == nil || !strings.Contains(err.Error(), "node b: start: not ready after 5s") {
		t.Errorf("got %v", err)
	}
}

// quiet opens a pool that hardly refills, lets a load on it, and then leaves it
// alone for a while.
func quiet(t *testing.T, seed uint64, x float64, faults ...Fault) *Pool {
	t.Helper()
	s := Scenario{
		Name: "quiet", Nodes: 5, Limit: Limit{Requests: 1000, Per: 24 * limit.Hour}, Load: Constant(1), Spread: Zipf(),
		Duration: 4 * s1, Network: Network{Max: 5 * ms, Loss: .02, Repeat: .02},
	}
	s.Load = Constant(x / 4 * 24 * 3600) // x times the burst in 4 s
	p, err := open(&s, Engine, seed)
	if err != nil {
		t.Fatal(err)
	}
	p.source.start()
	for _, f := range faults {
		p.At(p.Now().Add(f.At), func() { f.Do(p) })
	}
	p.Run(s.Duration + 6*s1)
	if err := errors.Join(p.errs...); err != nil {
		t.Fatal(err)
	}
	return p
}

// After quiet all nodes agree on the level.
func TestNodesAgreeAfterQuiet(t *testing.T) {
	for _, c := range []struct {
		name   string
		faults []Fault
	}{
		{"nothing happened", nil},
		{"after a restart", []Fault{{2 * s1, func(p *Pool) { p.Restart(1, 500*ms) }}}},
		{"after a pause", []Fault{{2 * s1, func(p *Pool) { p.Pause(0, 800*ms) }}}},
		{"after a cut", []Fault{{s1, func(p *Pool) { p.Cut([]int{0, 1}) }}, {3 * s1, (*Pool).Heal}}},
	} {
		for _, x := range []float64{.4, .9, 3} {
			for seed := range uint64(2) {
				p := quiet(t, seed, x, c.faults...)
				for range 2 { // asking tells a node that it should know
					p.Levels(0)
					p.Run(s1)
				}
				levels := p.Levels(0)
				least, most := levels[0], levels[0]
				for _, l := range levels {
					least, most = min(least, l), max(most, l)
				}
				if slack := agreement * p.scenario.Limit.Depth(); float64(most-least) > slack {
					t.Errorf("%s, seed %d, %v of the burst: the levels are %v, want them within %v", c.name, seed, x, levels, slack)
				}
			}
		}
	}
}

// Nodes notice at different times that a home is gone, and tell the new one so.
func TestTheCrashOfAHomeAdmitsNoMore(t *testing.T) {
	const breaks = 5 * s1
	for _, spread := range []Spread{Uniform(), Zipf()} {
		sum := 0.0
		for seed := range uint64(4) {
			s := Scenario{
				Name: "crash", Nodes: 10, Limit: PerSecond(1000), Load: Constant(10), Spread: spread, Duration: 8 * s1,
				Faults: []Fault{{breaks, func(p *Pool) { p.Crash(p.Home(0)) }}},
			}
			r, err := Run(s, Engine, seed+1)
			if err != nil {
				t.Fatal(err)
			}
			sum += r.Over(s1, breaks, s.Duration)
			if _, least, _ := r.Course(breaks, s.Duration); least < .85 {
				t.Errorf("%s, seed %d: %v of the limit in one second", spread.Name, seed+1, least)
			}
		}
		if mean := sum / 4; mean > .3 {
			t.Errorf("%s: %.2f %% of the limit too much in the worst second, mean of four runs", spread.Name, mean)
		}
	}
}

// Each side of a network that is split leaves to the other one what that takes, and
// not a little more each second; also when it relies no more on what was said last.
func TestTwoHalvesTogetherAdmitTheLimit(t *testing.T) {
	for _, spread := range []Spread{Uniform(), Zipf()} {
		for seed := range uint64(3) {
			s := Scenario{
				Name: "cut", Nodes: 10, Limit: PerSecond(1000), Load: Constant(10), Spread: spread, Duration: 18 * s1,
				Faults: []Fault{
					{4 * s1, func(p *Pool) { p.Cut([]int{0, 1, 2, 3, 4}) }},
					{9 * s1, (*Pool).notice}, // which says nothing new
				},
			}
			r, err := Run(s, Engine, seed+1)
			if err != nil {
				t.Fatal(err)
			}
			if part, _, _ := r.Course(15500*ms, s.Duration); part < .9 {
				t.Errorf("%s, seed %d: %.3f of the limit was admitted in the end", spread.Name, seed+1, part)
			}
			if part, _, most := r.Course(4*s1, s.Duration); part < .92 || part > 1.03 || most > 1.15 {
				t.Errorf("%s, seed %d: %.3f of the limit was admitted, %.3f in one second", spread.Name, seed+1, part, most)
			}
		}
	}
}
