package share_test

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/share"
)

// What a node takes of a counter far from its limit is not worth a word. What it
// takes beyond that is told, and all of it at once.
func TestWhenTheHomeHearsOfACounter(t *testing.T) {
	for _, c := range []struct {
		name   string
		perSec float64
		d      limit.Span
		want   bool
	}{
		{"a burst below a tenth of a node's part", 1e5, 3 * limit.Millisecond, false}, // 300 of 333
		{"a burst above it", 1e5, 5 * limit.Millisecond, true},
		{"less for ever than two fifths of a node's part", 1300, 10 * limit.Second, false}, // of 1333
		{"more than that for a while", 1500, limit.Second, false},                          // 167 of 333
		{"more than that for longer", 1500, 4 * limit.Second, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPool(bucket(10_000, limit.Second, 10_000), 3, false, 1).drive()
			got := p.offer(0, c.perSec, c.d, 1)
			p.Run(c.d + 10*limit.Millisecond)
			if told := p.reports > 0; told != c.want {
				t.Errorf("%d tokens: told %v, want %v", got.admitted, told, c.want)
			}
			if got.admitted != got.asked {
				t.Errorf("%d of %d were admitted", got.admitted, got.asked)
			}
		})
	}
}

// A counter is forgotten and made anew, and what nobody was told of meanwhile is
// told once, and only once.
func TestEveryTokenIsToldOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Of a window of an hour nothing comes in and next to nothing leaks.
		c := newPool(hourly, 3, false, rapid.Uint64().Draw(t, "seed"))
		n := c.nodes[0]
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			if rapid.IntRange(0, 2).Draw(t, "step") == 0 {
				c.Run(limit.Span(rapid.Int64Range(0, int64(5*limit.Second)).Draw(t, "pause")))
			}
			for range rapid.IntRange(0, 20).Draw(t, "tokens") {
				c.ask(0, 1)
			}
			c.tell(0) // and forgets, where nothing is expected of it
		}
		untold := n.quiet
		if n.local != nil {
			c.report(0, c.counter(n).Report(c.Now()))
		}
		c.Run(0)
		if got, want := c.home.Consumed(&c.params, &c.rule, c.Now()), float64(n.taken-untold); math.Abs(got-want) > 1e-6 {
			t.Fatalf("of %d tokens %d are untold, and the home knows of %v", n.taken, untold, got)
		}
		if float64(untold) > c.rule.Depth()+1 {
			t.Fatalf("%d tokens are untold, with %v allowed", untold, c.rule.Depth())
		}
	})
}

// A node that goes back to silence says so: nobody extrapolates it any more.
func TestANodeThatTakesLittleAgainIsSupposedToTakeNothing(t *testing.T) {
	c := newPool(bucket(1000, limit.Second, 1000), 3, false, 1).drive()
	c.link = lan
	c.offer(0, 500, 5*limit.Second, 1)
	c.Run(4 * limit.Second)
	if rate, demand, _, _ := c.home.Sums(); rate < 450 || rate > 550 {
		t.Errorf("the home supposes a rate of %v and a demand of %v, want about 500", rate, demand)
	}
	c.Run(limit.Second)
	c.offer(0, 50, 60*limit.Second, 1)
	c.Run(10 * limit.Second)
	if rate, demand, _, _ := c.home.Sums(); rate != 0 || demand != 0 {
		t.Errorf("the home supposes a rate of %v and a demand of %v, want none", rate, demand)
	}
	before := c.reports
	c.Run(50 * limit.Second)
	if got := c.reports - before; got > 0 {
		t.Errorf("%d reports in 50 s, want none", got)
	}
}

// The age of a report is that of the first token that is new in it.
func TestTheAgeOfAReport(t *testing.T) {
	e := newEnd(hourly, 3)
	ms := limit.Millisecond
	for _, c := range []struct {
		at   limit.Span
		take bool
		tell bool
		want limit.Span
	}{
		{at: 0, take: true},
		{at: 5 * ms, take: true},
		{at: 7 * ms, tell: true, want: 7 * ms},
		{at: 9 * ms, tell: true, want: 0},
		{at: 20 * ms, take: true},
		{at: 21 * ms, tell: true, want: ms},
	} {
		now := start.Add(c.at)
		if c.take {
			e.ask(now, 1)
		}
		if !c.tell {
			continue
		}
		if got := e.counter().Report(now).Age; got != c.want {
			t.Errorf("after %v: the age is %v, want %v", c.at.Duration(), got.Duration(), c.want.Duration())
		}
	}
}

func TestAReportIsFreshForASecond(t *testing.T) {
	e := newEnd(hourly, 3)
	for _, c := range []struct {
		after limit.Span
		want  bool
	}{{0, true}, {limit.Second - 1, true}, {limit.Second, false}} {
		e.ask(start.Add(c.after), 1)
		if got := e.counter().Report(start.Add(c.after)).Fresh; got != c.want {
			t.Errorf("after %v: Fresh is %v, want %v", c.after.Duration(), got, c.want)
		}
	}
	e.hear(start.Add(limit.Second), share.State{Level: 500, Rate: 3, Demand: 4})
	rep := e.counter().Register(start.Add(limit.Second))
	if !rep.Register || rep.OthersRate != 3 || rep.OthersDemand != 4 {
		t.Errorf("Register() = %+v, want what it believes of the others", rep)
	}
}
