package scenario

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/enforcer/limit"
)

// stub is a System whose nodes admit everything and note what they are told.
type stub struct {
	lawful bool
	max    int
	busy   func(name string) bool // not ready
	log    *[]string
}

func (s stub) make(*Scenario) (System, error) { return s, nil }

func (s stub) Lawful() bool { return s.lawful }

func (s stub) MaxNodes() int {
	if s.max == 0 {
		return 1000
	}
	return s.max
}

func (s stub) Boot(id Identity) (Limiter, error) { return &stubNode{stub: s, id: id}, nil }

type stubNode struct {
	stub
	id Identity
}

func (n *stubNode) note(now limit.Instant, format string, args ...any) {
	if n.log != nil {
		*n.log = append(*n.log, fmt.Sprintf("%.6f %s %s", seconds(now.Sub(origin)), n.id.Name, fmt.Sprintf(format, args...)))
	}
}

func (n *stubNode) Decide(now limit.Instant, key int) bool {
	n.note(now, "asked for %d", key)
	return true
}

func (n *stubNode) SetView(now limit.Instant, v View) {
	var all []string
	for _, m := range v.Members {
		all = append(all, m.Name+[]string{"", "", "(leaving)", "(unreachable)"}[m.State])
	}
	n.note(now, "sees %s of %d", strings.Join(all, " "), v.Expected)
}

func (n *stubNode) Stop(now limit.Instant) { n.note(now, "stops") }

func (n *stubNode) Ready() bool { return n.busy == nil || !n.busy(n.id.Name) }

func (*stubNode) Remaining(limit.Instant, int) limit.Amount   { return 0 }
func (*stubNode) Tick(limit.Instant) limit.Span               { return limit.Second }
func (*stubNode) Receive(limit.Instant, string, []byte) error { return nil }
func (*stubNode) Entries() uint64                             { return 0 }
func (n *stubNode) IsHome(key int) bool                       { return n.id.Address == address(key+1) }

// offered runs a scenario on nodes that admit everything.
func offered(t *testing.T, s Scenario) *Result {
	t.Helper()
	s.Name = "test"
	r, err := Run(s, stub{}.make, 1)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestLoadsArriveAsTheySay(t *testing.T) {
	for _, c := range []struct {
		load Load
		want [8]float64 // tokens in each half of a second
	}{
		{Constant(2), [8]float64{1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000}},
		{Step(4, 3*s1), [8]float64{6: 2000, 7: 2000}},
		{OnOff(10, 2*s1, .25), [8]float64{0: 5000, 4: 5000}},
		{Flash(3, s1, 10*limit.Millisecond), [8]float64{2: 1500}},
	} {
		t.Run(c.load.Name, func(t *testing.T) {
			r := offered(t, Scenario{
				Nodes: 2, Limit: Limit{Requests: 1000, Per: s1, Burst: 500}, Load: c.load, Spread: Uniform(), Duration: 4 * s1,
			})
			for i, want := range c.want {
				got := r.arrived[500*(i+1)] - r.arrived[500*i]
				if math.Abs(got-want) > 5*math.Sqrt(want) {
					t.Errorf("in half second %d came %v, want about %v", i, got, want)
				}
			}
		})
	}
}

// Counts of a Poisson process vary as much as their mean.
func TestArrivalsArePoisson(t *testing.T) {
	for _, c := range []struct {
		train, cost, variance float64
	}{{1, 1, 1}, {20, 1, 20}, {1, 5, 5}} {
		r := offered(t, Scenario{
			Nodes: 5, Limit: PerSecond(1000), Load: Constant(20), Spread: Uniform(), Duration: 20 * s1,
			Train: int(c.train), Cost: limit.Amount(c.cost),
		})
		const width, want = 20, 400. // ms, tokens
		sum, squares, n := 0.0, 0.0, 0.0
		for i := width; i < len(r.arrived); i += width {
			x := r.arrived[i] - r.arrived[i-width]
			sum, squares, n = sum+x, squares+x*x, n+1
		}
		mean := sum / n
		variance := squares/n - mean*mean
		if math.Abs(mean/want-1) > .02 || math.Abs(variance/mean/c.variance-1) > .2 {
			t.Errorf("trains of %v, cost %v: mean %.1f, variance %.1f; want %v and %v", c.train, c.cost, mean, variance, want, want*c.variance)
		}
	}
}

func TestSpreadsGiveEachNodeItsPart(t *testing.T) {
	for _, c := range []struct {
		spread Spread
		want   []float64
	}{
		{Uniform(), []float64{1, 1, 1, 1}},
		{Zipf(), []float64{12, 6, 4, 3}},
		{One(2), []float64{0, 0, 1, 0}},
		{One(6), []float64{0, 0, 1, 0}},
		{Weights(3, 1), []float64{3, 1, 0, 0}},
		{Rotating(3 * s1), []float64{12 + 6, 6 + 4, 4 + 3, 3 + 12}}, // then the first moves on by three
	} {
		t.Run(c.spread.Name, func(t *testing.T) {
			r := offered(t, Scenario{Nodes: 4, Limit: PerSecond(1000), Load: Constant(10), Spread: c.spread, Duration: 6 * s1})
			total := 0.0
			for _, w := range c.want {
				total += w
			}
			for i, w := range c.want {
				want := w / total * last(r.arrived)
				if got := float64(r.arrivedAt[i]); math.Abs(got-want) > 5*math.Sqrt(want) {
					t.Errorf("node %d got %v, want about %.0f", i, got, want)
				}
			}
		})
	}
}

func TestAHoppingClientIsAtOneNodeAtATime(t *testing.T) {
	var log []string
	s := Scenario{Name: "hop", Nodes: 10, Limit: PerSecond(100), Load: Constant(1), Spread: Hop(300 * limit.Millisecond), Duration: 3 * s1}
	if _, err := Run(s, stub{log: &log}.make, 1); err != nil {
		t.Fatal(err)
	}
	at := map[int]map[string]bool{}
	nodes := map[string]bool{}
	for _, line := range log {
		var when float64
		var node, verb string
		if _, err := fmt.Sscan(line, &when, &node, &verb); err != nil {
			t.Fatal(err)
		}
		if verb == "asked" {
			epoch := int(when / .3)
			if at[epoch] == nil {
				at[epoch] = map[string]bool{}
			}
			at[epoch][node], nodes[node] = true, true
		}
	}
	for epoch, nodes := range at {
		if len(nodes) != 1 {
			t.Errorf("in epoch %d the client was at %v", epoch, nodes)
		}
	}
	if len(at) != 10 || len(nodes) < 4 {
		t.Errorf("%d epochs at %d nodes", len(at), len(nodes))
	}
}

func TestHotKeysGetTenTimesAsMuch(t *testing.T) {
	var log []string
	s := Scenario{Name: "keys", Nodes: 1, Keys: 20, Hot: .1, Limit: PerSecond(100), Load: Constant(1), Spread: Uniform(), Duration: 10 * s1}
	if _, err := Run(s, stub{log: &log}.make, 1); err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, line := range log {
		if _, key, ok := strings.Cut(line, "asked for "); ok {
			count[key]++
		}
	}
	for key := range 20 {
		want := 1000.
		if key < 2 {
			want = 10_000
		}
		if got := float64(count[fmt.Sprint(key)]); math.Abs(got-want) > 5*math.Sqrt(want) {
			t.Errorf("key %d was asked for %v times, want about %v", key, got, want)
		}
	}
}

func TestEveryAlgorithmFacesTheSameArrivals(t *testing.T) {
	s := Scenario{Name: "same", Nodes: 4, Limit: PerSecond(1000), Load: Constant(3), Spread: Zipf(), Duration: 3 * s1}
	want := offered(t, s)
	for _, maker := range []Maker{Engine, NaiveWindow, NaiveBucket} {
		got, err := Run(s, maker, 1)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got.arrived, want.arrived) || !slices.Equal(got.arrivedAt, want.arrivedAt) {
			t.Errorf("other arrivals: %v and %v", got.arrivedAt, want.arrivedAt)
		}
	}
}

func TestScenariosThatMakeNoSenseAreRefused(t *testing.T) {
	good := Scenario{Name: "x", Nodes: 2, Limit: PerSecond(10), Load: Constant(1), Spread: Uniform(), Duration: s1}
	for want, change := range map[string]func(*Scenario){
		`scenario "x": 0 nodes: use at least 1`:                               func(s *Scenario) { s.Nodes = 0 },
		`scenario "x": 2 of 2 nodes come later: use less`:                     func(s *Scenario) { s.Later = 2 },
		`scenario "x": limit of 0 each 1s: use at least 1 each 1ms`:           func(s *Scenario) { s.Limit.Requests = 0 },
		`scenario "x": burst belongs to a token bucket`:                       func(s *Scenario) { s.Limit = Limit{"FixedWindow", 1, s1, 1} },
		`scenario "x": no load: use Constant, Step, OnOff or Flash`:           func(s *Scenario) { s.Load = Load{} },
		`scenario "x": no spread: use Uniform, Zipf, One or Hop`:              func(s *Scenario) { s.Spread = Spread{} },
		`scenario "x": a duration of 1ms: use at least 1s`:                    func(s *Scenario) { s.Duration = limit.Millisecond },
		`scenario "x": delay from 2s to 1s`:                                   func(s *Scenario) { s.Network.Min, s.Network.Max = 2*s1, s1 },
		`scenario "x": news after 1ms: use at least 50ms`:                     func(s *Scenario) { s.Liveness.News = limit.Millisecond },
		`scenario "x": too many nodes for this algorithm: 2 nodes, at most 1`: nil,
	} {
		s, system := good, stub{max: 1}
		if change != nil {
			change(&s)
			system.max = 0
		}
		_, err := Run(s, system.make, 1)
		if d := gocmp.Diff(want, fmt.Sprint(err)); d != "" {
			t.Error(d)
		}
	}
}
