package scenario

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sluice-dev/sluice/enforcer/limit"
)

// views runs faults on three nodes and returns what each was told: the lines from
// the load's begin on, without the requests.
func views(t *testing.T, later int, faults ...Fault) []string {
	t.Helper()
	var log []string
	s := Scenario{
		Name: "views", Nodes: 3, Later: later, Limit: PerSecond(1), Load: Constant(1), Spread: Uniform(),
		Duration: 20 * s1, Faults: faults,
	}
	if _, err := Run(s, stub{log: &log}.make, 1); err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, line := range log {
		if !strings.HasPrefix(line, "-") && !strings.Contains(line, "asked") {
			told = append(told, line)
		}
	}
	return told
}

// expectView fails unless node was told exactly once of a view, within [from, to] seconds.
func expectView(t *testing.T, told []string, from, to float64, node, what string) {
	t.Helper()
	n := 0
	for _, line := range told {
		var at float64
		var who string
		if _, err := fmt.Sscan(line, &at, &who); err != nil {
			t.Fatal(err)
		}
		if who == node && strings.HasSuffix(line, who+" "+what) && at >= from && at <= to {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d times within %v to %v s: %s %s; told:\n%s", n, from, to, node, what, strings.Join(told, "\n"))
	}
}

func TestACrashIsNoticedAndLaterForgotten(t *testing.T) {
	told := views(t, 0, Fault{2 * s1, func(p *Pool) { p.Crash(1) }})
	for _, node := range []string{"a", "c"} {
		expectView(t, told, 2.7, 2.75, node, "sees a b(unreachable) c of 3")
		expectView(t, told, 4, 4.05, node, "sees a c of 3")
	}
	if len(told) != 4 {
		t.Errorf("told %v", told)
	}
}

func TestANodeThatIsBackAtOnceIsNotForgotten(t *testing.T) {
	told := views(t, 0, Fault{2 * s1, func(p *Pool) { p.Crash(1) }}, Fault{2500 * limit.Millisecond, func(p *Pool) { p.Boot(1) }})
	expectView(t, told, 2.5, 2.5, "b", "sees a b c of 3")
	for _, line := range told {
		if strings.Contains(line, "unreachable") || strings.Contains(line, "a c of") {
			t.Errorf("old news of a node that is back: %s", line)
		}
	}
}

func TestAPlannedStopIsAnnounced(t *testing.T) {
	told := views(t, 0, Fault{2 * s1, func(p *Pool) { p.Restart(1, 3*s1) }})
	expectView(t, told, 2, 2, "b", "sees a b(leaving) c of 3")
	expectView(t, told, 2.3, 2.3, "b", "stops")
	expectView(t, told, 5.3, 5.3, "b", "sees a b c of 3")
	for _, node := range []string{"a", "c"} {
		expectView(t, told, 2.05, 2.2, node, "sees a b(leaving) c of 3")
		expectView(t, told, 2.35, 2.5, node, "sees a c of 3")
		expectView(t, told, 5.35, 5.5, node, "sees a b c of 3")
	}
}

func TestANodeThatComesLaterIsIntroduced(t *testing.T) {
	told := views(t, 1, Fault{2 * s1, func(p *Pool) { p.Boot(2) }})
	expectView(t, told, 2, 2, "c", "sees a b c of 3")
	expectView(t, told, 2.05, 2.2, "a", "sees a b c of 3")
	expectView(t, told, 2.05, 2.2, "b", "sees a b c of 3")
}

func TestACutIsNoticedAndSoIsItsEnd(t *testing.T) {
	told := views(t, 0, Fault{2 * s1, func(p *Pool) { p.Cut([]int{0}, []int{1, 2}) }}, Fault{12 * s1, (*Pool).Heal})
	expectView(t, told, 2.7, 2.75, "a", "sees a b(unreachable) c(unreachable) of 3")
	expectView(t, told, 2.7, 2.75, "b", "sees a(unreachable) b c of 3")
	for _, node := range []string{"a", "b", "c"} {
		expectView(t, told, 12.7, 12.75, node, "sees a b c of 3")
	}
}

func TestABrokenLinkIsNotNoticedWhileAThirdNodeReachesBoth(t *testing.T) {
	told := views(t, 0, Fault{2 * s1, func(p *Pool) { p.Break(0, 1) }}, Fault{4 * s1, func(p *Pool) { p.Break(0, 2) }}, Fault{12 * s1, (*Pool).Heal})
	for _, line := range told {
		if strings.HasPrefix(line, "2") && strings.Contains(line, "unreachable") {
			t.Errorf("noticed with a third one between them: %s", line)
		}
	}
	expectView(t, told, 4.7, 4.75, "a", "sees a b(unreachable) c(unreachable) of 3")
	expectView(t, told, 4.7, 4.75, "b", "sees a(unreachable) b c of 3")
	expectView(t, told, 12.7, 12.75, "a", "sees a b c of 3")
}

func TestAShortCutIsNotNoticed(t *testing.T) {
	told := views(t, 0, Fault{2 * s1, func(p *Pool) { p.Cut([]int{0}) }}, Fault{2500 * limit.Millisecond, (*Pool).Heal})
	for _, line := range told {
		if strings.Contains(line, "unreachable") {
			t.Errorf("a cut of 500 ms was noticed: %s", line)
		}
	}
}

func TestRequestsGoToNodesThatServe(t *testing.T) {
	var log []string
	s := Scenario{
		Name: "requests", Nodes: 3, Limit: PerSecond(1000), Load: Constant(1), Spread: Weights(0, 1, 1), Duration: 8 * s1,
		Faults: []Fault{
			{s1, func(p *Pool) { p.Crash(1) }},
			{2 * s1, func(p *Pool) { p.Leave(2) }}, // serves for up to 200 ms more
			{3 * s1, func(p *Pool) { p.Boot(1) }},
			{5 * s1, func(p *Pool) { p.Pause(1, s1) }},
		},
	}
	if _, err := Run(s, stub{log: &log}.make, 1); err != nil {
		t.Fatal(err)
	}
	var perSecond [9]map[string]int
	for i := range perSecond {
		perSecond[i] = map[string]int{}
	}
	for _, line := range log {
		var at float64
		var who, verb string
		if _, err := fmt.Sscan(line, &at, &who, &verb); err == nil && verb == "asked" {
			perSecond[int(at)][who]++
		}
	}
	for _, c := range []struct {
		second  int
		node    string
		least   int
		most    int
		because string
	}{
		{0, "b", 400, 600, "half of the load is its"},
		{1, "b", 0, 0, "it has crashed"},
		{1, "c", 850, 1150, "it takes over"},
		{2, "a", 700, 1000, "nobody else is left after 50 to 200 ms"},
		{4, "b", 850, 1150, "it is back"},
		{4, "a", 0, 0, "the load is not its"},
		{5, "b", 0, 0, "it stalls"},
		{6, "b", 1700, 2300, "what came to it waited"},
	} {
		if got := perSecond[c.second][c.node]; got < c.least || got > c.most {
			t.Errorf("in second %d node %s got %d requests, want %d to %d: %s", c.second, c.node, got, c.least, c.most, c.because)
		}
	}
}
