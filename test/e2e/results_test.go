//go:build e2e

package e2e

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/sluice-dev/sluice/internal/load"
)

// stretch is the time that goals of the worst and the lowest are for: long enough that
// answers which a stall held back by some tenths of a second do not decide.
const stretch = 2 * time.Second

// results are what was measured, in the order of the tests.
type results struct {
	installed, firstLimited time.Duration
	lines                   []line
}

// line is what came of one scenario.
type line struct {
	scenario *scenario
	figures
}

// figures compare what was admitted with what one exact limiter admits of the same
// calls, as parts of 1.
type figures struct {
	took    time.Duration // until it was over
	held    float64       // of some stretch this machine could not go on
	failed  float64       // of all calls
	average float64       // of the client that is farthest off
	above   float64       // a strict bucket, in any stretch, of all clients together
	least   float64       // in any stretch, of all clients together
	last    float64       // in the last stretch
	quota   float64       // used up by the client that is farthest off; NaN: there is none

	// Of what is shared exactly: of all clients together, and calls of the worst one that no
	// exact limiter can have admitted; NaN: there is none.
	exact, beyond float64
}

// figure looks at a load from a time on.
func figure(o *load.Offered, l *traffic, from, to time.Duration) figures {
	f := figures{least: 1, quota: math.NaN(), exact: math.NaN(), beyond: math.NaN()}
	admitted, exact, excess := o.Admissions(l.clients), o.Exact(l.limit, l.clients), o.Excess(l.limit, l.clients)
	for i := range l.clients {
		f.average = load.Farther(f.average, float64(load.Within(admitted[i], from, to))/float64(max(1, load.Within(exact[i], from, to))))
	}
	for at := from; at+stretch <= to; at += stretch / 20 {
		got, best := total(admitted, at, at+stretch), total(exact, at, at+stretch)
		f.above = max(f.above, tokens(excess, at, at+stretch)/(float64(l.clients)*l.limit.PerSecond*stretch.Seconds()))
		f.last = got / max(1, best)
		f.least = min(f.least, f.last)
	}
	return f
}

// total counts the times of all clients in [from, to).
func total(times [][]time.Duration, from, to time.Duration) (n float64) {
	for _, all := range times {
		n += float64(load.Within(all, from, to))
	}
	return n
}

// tokens sums up what there is of excess in [from, to).
func tokens(excess []load.Excess, from, to time.Duration) (n float64) {
	for _, e := range excess {
		if from <= e.At && e.At < to {
			n += e.Tokens
		}
	}
	return n
}

// bySecond lists what was admitted in each second, of what is exact: of all clients,
// and of each.
func bySecond(o *load.Offered, l *traffic, to time.Duration) string {
	admitted, exact := o.Admissions(l.clients), o.Exact(l.limit, l.clients)
	var text strings.Builder
	write := func(admitted, exact [][]time.Duration) {
		for at := time.Duration(0); at < to; at += time.Second {
			fmt.Fprintf(&text, " %.0f/%.0f", total(admitted, at, at+time.Second), total(exact, at, at+time.Second))
		}
		fmt.Fprintln(&text)
	}
	write(admitted, exact)
	for i := range l.clients {
		write(admitted[i:i+1], exact[i:i+1])
	}
	return text.String()
}

// part is one figure, and from where to where it may be.
type part struct {
	what             string
	got, least, most float64
	write            func(float64) string

	// busy is what a machine adds that runs all nodes, the load and perhaps a compiler on
	// two cores: answers come late and together, and enforcers lose sight of each other for a
	// moment. Only what is farther from its goal than that fails the test, and the table tells
	// all that is. A limit that was reset, or kept twice, is found by the quota and the calls
	// beyond, to which a machine adds little.
	busy float64
}

// resolution is what cannot be told from chance in some thousand answers.
const resolution = .01

// parts lists the figures beside their goals.
func (f *figures) parts(g goal) []part {
	return []part{
		{"failed", f.failed, 0, g.failed, percent, .02},
		{"admitted", f.average, g.atLeast, g.atMost, percent, .15},
		{"above in 2 s", f.above, 0, g.above, percent, .15},
		{"least in 2 s", f.least, g.least, math.Inf(1), percent, .3},
		{"last 2 s", f.last, .98, 1.02, percent, .15},
		{"quota", f.quota, 1, g.quota, percent, .2},
		{"exact", f.exact, g.exact.atLeast, g.exact.atMost, percent, .15},
		{"calls beyond", f.beyond, 0, g.exact.beyond, calls, 1},
	}
}

// beyond says whether a figure misses its goal by more than something.
func (p *part) beyond(something float64) bool {
	return p.got < p.least-something || p.got > p.most+something
}

// goal is what people read.
func (p *part) goal() string {
	switch {
	case math.IsNaN(p.got):
		return "-"
	case math.IsInf(p.most, 1):
		return "from " + p.write(p.least)
	case p.least == p.most:
		return p.write(p.least)
	case p.least == 0:
		return "to " + p.write(p.most)
	}
	return fmt.Sprintf("%.1f to %s", 100*p.least, percent(p.most))
}

// judge notes what came of a scenario. What a busy machine does not explain fails the
// test.
func (r *results) judge(t *testing.T, s *scenario, f *figures, unsent int) {
	r.lines = append(r.lines, line{s, *f})
	for _, p := range f.parts(s.goal) {
		if p.beyond(p.busy) {
			t.Errorf("%s: %s, and the goal is %s: more than a busy machine explains; this one was held up for %s of two seconds", p.what, p.write(p.got), p.goal(), percent(f.held))
		}
	}
	if unsent > 0 {
		t.Errorf("%d calls could not be made: the machine is too slow for this test", unsent)
	}
}

// print writes the table.
func (r *results) print(out io.Writer) {
	fmt.Fprintf(out, "\ninstalled in %.1f s; first 429 after %.1f s (goal: %.0f s)\n\n", r.installed.Seconds(), r.firstLimited.Seconds(), firstWithin.Seconds())
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for i, l := range r.lines {
		head, line, missed := "scenario\ttook\theld up\t", fmt.Sprintf("%s\t%.1f s\t%s\t", l.scenario.name, l.took.Seconds(), percent(l.held)), []string(nil)
		for _, p := range l.parts(l.scenario.goal) {
			head += p.what + "\tgoal\t"
			line += p.write(p.got) + "\t" + p.goal() + "\t"
			if p.beyond(resolution) {
				missed = append(missed, p.what)
			}
		}
		if i == 0 {
			fmt.Fprintln(t, head+"missed")
		}
		fmt.Fprintln(t, line+cmp.Or(strings.Join(missed, ", "), "-"))
	}
	_ = t.Flush() // to the output of a test
}

func percent(part float64) string {
	if math.IsNaN(part) {
		return "-"
	}
	return fmt.Sprintf("%.1f %%", 100*part)
}

func calls(n float64) string {
	if math.IsNaN(n) {
		return "-"
	}
	return fmt.Sprintf("%.0f", n)
}
