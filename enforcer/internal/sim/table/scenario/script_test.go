package scenario

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/sluice-dev/sluice/enforcer/limit"
)

// The scripts in testdata are read by people first: each command is followed by
// what it prints. Write new output into them with
//
//	go test ./enforcer/internal/sim/table/scenario -run Script -rewrite
//
// Commands, with nodes named a, b and so on, and what they print:
//
//	pool nodes=3 rate=100 per=1s [burst=100] [algorithm=FixedWindow] [seed=1]
//	     [loss=.1] [delay=1ms..5ms]   a new pool that has been idle for 5 s
//	offer node=a n=10                 requests at once: how many were admitted
//	load rate=500 for=2s [on=a,b]     requests at random: admitted by node
//	run 100ms                         nothing
//	levels                            what each node would still admit
//	cut a,b | heal | crash a | boot a | leave a | restart a down=1s |
//	pause a for=1s | clock a offset=10ms drift=100ppm
//	traffic                           frames and bytes a second of each node
//	                                  since it was asked last
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		s := &script{}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			s.t, s.data, s.out = t, d, strings.Builder{}
			s.run()
			if s.pool != nil {
				if err := errors.Join(s.pool.errs...); err != nil {
					t.Fatal(err)
				}
			}
			return s.out.String()
		})
	})
}

// script is the state of a script and its present command.
type script struct {
	t     *testing.T
	data  *datadriven.TestData
	out   strings.Builder
	pool  *Pool
	asked limit.Instant // when traffic was printed last
	sent  []uint64      // frames and bytes of each node then
}

func (s *script) printf(format string, args ...any) { fmt.Fprintf(&s.out, format+"\n", args...) }

func (s *script) fail(format string, args ...any) {
	s.t.Helper()
	s.data.Fatalf(s.t, format, args...)
}

func (s *script) run() {
	command := s.data.Cmd
	if s.pool == nil && command != "pool" {
		s.fail("begin with pool")
	}
	simple := map[string]func(){
		"pool": s.open, "offer": s.offer, "load": s.load, "levels": s.levels, "traffic": s.traffic,
		"run":     func() { s.pool.Run(s.span(s.argument())) },
		"cut":     func() { s.pool.Cut(s.nodes(s.argument())) },
		"heal":    func() { s.pool.Heal() },
		"crash":   func() { s.pool.Crash(s.node(s.argument())) },
		"boot":    func() { s.pool.Boot(s.node(s.argument())) },
		"leave":   func() { s.pool.Leave(s.node(s.argument())) },
		"restart": func() { s.pool.Restart(s.node(s.argument()), s.span(s.value("down", "1s"))) },
		"pause":   func() { s.pool.Pause(s.node(s.argument()), s.span(s.value("for", ""))) },
		"clock": func() {
			drift := strings.TrimSuffix(s.value("drift", "0ppm"), "ppm")
			s.pool.members[s.node(s.argument())].node.SetClock(s.span(s.value("offset", "0s")), s.number(drift)/1e6)
		},
	}
	f := simple[command]
	if f == nil {
		s.fail("unknown command %q", command)
	}
	f()
}

// argument returns the first argument, which has no name.
func (s *script) argument() string {
	if len(s.data.CmdArgs) == 0 || len(s.data.CmdArgs[0].Vals) > 0 {
		s.fail("%s needs an argument", s.data.Cmd)
	}
	return s.data.CmdArgs[0].Key
}

// value returns a named argument; one without a default is required.
func (s *script) value(name, otherwise string) string {
	for _, a := range s.data.CmdArgs {
		if a.Key == name && len(a.Vals) == 1 {
			return a.Vals[0]
		}
	}
	if otherwise == "" {
		s.fail("%s needs %s=", s.data.Cmd, name)
	}
	return otherwise
}

func (s *script) span(text string) limit.Span {
	d, err := time.ParseDuration(text)
	if err != nil {
		s.fail("%v", err)
	}
	return limit.Span(d)
}

func (s *script) number(text string) float64 {
	x, err := strconv.ParseFloat(text, 64)
	if err != nil {
		s.fail("%v", err)
	}
	return x
}

func (s *script) node(name string) int {
	i := slices.IndexFunc(s.pool.members, func(m *member) bool { return m.name == name })
	if i < 0 {
		s.fail("there is no node %q", name)
	}
	return i
}

func (s *script) nodes(names string) []int {
	var all []int
	for name := range strings.SplitSeq(names, ",") {
		all = append(all, s.node(name))
	}
	return all
}

func (s *script) open() {
	spec := &Scenario{
		Name: s.data.Pos, Nodes: int(s.number(s.value("nodes", "3"))), Load: Constant(1), Spread: Uniform(), Duration: s1,
		Limit: Limit{
			Algorithm: s.value("algorithm", "TokenBucket"), Requests: int64(s.number(s.value("rate", ""))),
			Per: s.span(s.value("per", "1s")), Burst: int64(s.number(s.value("burst", "0"))),
		},
	}
	spec.Network.Loss = s.number(s.value("loss", "0"))
	least, most, _ := strings.Cut(s.value("delay", "1ms..5ms"), "..")
	spec.Network.Min, spec.Network.Max = s.span(least), s.span(most)
	pool, err := open(spec, Engine, uint64(s.number(s.value("seed", "1"))))
	if err != nil {
		s.fail("%v", err)
	}
	s.pool, s.sent, s.asked = pool, nil, pool.Now()
}

func (s *script) offer() {
	m := s.pool.members[s.node(s.value("node", ""))]
	if m.limiter == nil {
		s.fail("node %s is down", m.name)
	}
	n, before := int(s.number(s.value("n", "1"))), m.admitted
	for range n {
		s.pool.arrive(m, 0)
	}
	s.printf("admitted %d of %d", m.admitted-before, n)
}

// load has requests arrive for a while, and prints what became of them.
func (s *script) load() {
	p := s.pool
	rate, d := s.number(s.value("rate", "")), s.span(s.value("for", ""))
	weights := make([]float64, len(p.members))
	for i := range weights {
		weights[i] = 1
	}
	if on := s.value("on", "all"); on != "all" {
		clear(weights)
		for name := range strings.SplitSeq(on, ",") {
			weights[s.node(name)] = 1
		}
	}
	p.scenario.Load, p.scenario.Spread = Constant(rate/p.scenario.Limit.Rate()), Weights(weights...)
	p.source.until, p.source.epoch = d, -1
	var asked, admitted []int64
	for _, m := range p.members {
		asked, admitted = append(asked, m.asked), append(admitted, m.admitted)
	}
	p.source.start()
	p.Run(d)
	var allAsked, allAdmitted int64
	for i, m := range p.members {
		allAsked += m.asked - asked[i]
		allAdmitted += m.admitted - admitted[i]
	}
	s.printf("admitted %d of %d", allAdmitted, allAsked)
	for i, m := range p.members {
		if m.asked > asked[i] {
			s.printf("  %s %d of %d", m.name, m.admitted-admitted[i], m.asked-asked[i])
		}
	}
}

func (s *script) levels() {
	var all []string
	for i, level := range s.pool.Levels(0) {
		text := fmt.Sprint(level)
		if level < 0 {
			text = "down"
		}
		all = append(all, s.pool.members[i].name+" "+text)
	}
	s.printf("%s", strings.Join(all, "  "))
}

func (s *script) traffic() {
	if s.sent == nil {
		s.sent = make([]uint64, 2*len(s.pool.members))
	}
	span := seconds(s.pool.Now().Sub(s.asked))
	s.asked = s.pool.Now()
	for i, m := range s.pool.members {
		t := m.node.Traffic()
		if span > 0 {
			s.printf("%s %.0f frames/s %.0f bytes/s", m.name, math.Round(float64(t.FramesOut-s.sent[2*i])/span), math.Round(float64(t.BytesOut-s.sent[2*i+1])/span))
		}
		s.sent[2*i], s.sent[2*i+1] = t.FramesOut, t.BytesOut
	}
}
