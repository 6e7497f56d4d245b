//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sluice-dev/sluice/internal/load"
)

// stretch is the time that goals of the worst and the lowest are for: long enough that
// answers which a stall held back by some tenths of a second do not decide.
const stretch = 2 * time.Second

// resolution is what cannot be told from chance in some thousand answers.
var resolution = goal{atLeast: .01, atMost: .01, most: .01, least: .01}

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
	took        time.Duration // until it was over
	calls       float64       // a second that were answered
	failed      float64       // of all calls
	average     float64       // of the client that is farthest off
	most, least float64       // in any stretch, of all clients together
}

// figure looks at a load from a time on.
func figure(o *load.Offered, from, to time.Duration) figures {
	f := figures{failed: float64(o.Failed) / float64(max(1, o.Failed+len(o.Answers))), calls: float64(len(o.Answers)) / to.Seconds(), least: 1}
	admitted, exact := o.Admissions(clients), o.Exact(limit, clients)
	for i := range clients {
		f.average = load.Farther(f.average, float64(load.Within(admitted[i], from, to))/float64(max(1, load.Within(exact[i], from, to))))
	}
	for at := from; at+stretch <= to; at += stretch / 20 {
		got, best := total(admitted, at, at+stretch), total(exact, at, at+stretch)
		f.most = max(f.most, got/max(best, clients*limit.PerSecond*stretch.Seconds()))
		f.least = min(f.least, got/max(1, best))
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

// bySecond lists what was admitted in each second, of what is exact: of all clients,
// and of each.
func bySecond(o *load.Offered, to time.Duration) string {
	admitted, exact := o.Admissions(clients), o.Exact(limit, clients)
	var text strings.Builder
	write := func(admitted, exact [][]time.Duration) {
		for at := time.Duration(0); at < to; at += time.Second {
			fmt.Fprintf(&text, " %.0f/%.0f", total(admitted, at, at+time.Second), total(exact, at, at+time.Second))
		}
		fmt.Fprintln(&text)
	}
	write(admitted, exact)
	for i := range clients {
		write(admitted[i:i+1], exact[i:i+1])
	}
	return text.String()
}

// outside tells which figures are outside of a goal by more than is allowed.
func (f *figures) outside(g, allowed goal) (all []string) {
	for _, one := range []struct {
		what             string
		got, least, most float64
	}{
		{"failed", f.failed, 0, g.failed + allowed.failed},
		{"admitted", f.average, g.atLeast - allowed.atLeast, g.atMost + allowed.atMost},
		{"most in 2 s", f.most, 0, g.most + allowed.most},
		{"least in 2 s", f.least, g.least - allowed.least, 1},
	} {
		if one.got < one.least || one.got > one.most {
			all = append(all, one.what+" "+percent(one.got))
		}
	}
	return all
}

// print writes the table.
func (r *results) print(out io.Writer) {
	fmt.Fprintf(out, "\ninstalled in %.1f s; first 429 after %.1f s (goal: %.0f s)\n\n", r.installed.Seconds(), r.firstLimited.Seconds(), firstWithin.Seconds())
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "scenario\ttook\tcalls/s\tfailed\tgoal\tadmitted\tgoal\tmost in 2 s\tgoal\tleast in 2 s\tgoal\t")
	for _, l := range r.lines {
		g, verdict := l.scenario.goal, "ok"
		if missed := l.outside(g, resolution); len(missed) > 0 {
			verdict = "missed: " + strings.Join(missed, ", ")
		}
		fmt.Fprintf(t, "%s\t%.1f s\t%.0f\t%s\t%s\t%s\t%s to %s\t%s\t%s\t%s\t%s\t%s\n", l.scenario.name, l.took.Seconds(), l.calls,
			percent(l.failed), percent(g.failed), percent(l.average), percent(g.atLeast), percent(g.atMost),
			percent(l.most), percent(g.most), percent(l.least), percent(g.least), verdict)
	}
	_ = t.Flush() // to the output of a test
}

func percent(part float64) string { return fmt.Sprintf("%.1f %%", 100*part) }
