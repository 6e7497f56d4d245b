// Command table runs the scenarios of the sharing goals through the project's
// own engine, in virtual time, and prints what it came to beside the goals and
// beside two naive algorithms.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"runtime"
	"slices"
	"time"

	"github.com/spf13/pflag"

	"github.com/sluice-dev/sluice/enforcer/internal/sim/table/scenario"
	"github.com/sluice-dev/sluice/enforcer/policy"
)

const usage = `Runs the sharing scenarios in virtual time and prints the table of goals.

  worst   over all cases of the row and all seeds
  mean    over the seeds, of the case where it is worst
  naive   means of two naive algorithms: windows / buckets that forget debts
  ok      whether the goal is met, by the worst, or by the mean where it says so

Exits with 1 when a goal that is held is not met any more, or when a run breaks
a law: no node may admit more than the whole limit by itself.

Example:
  go run ./enforcer/internal/sim/table --short
  go run ./enforcer/internal/sim/table --rows 'step*,partition' --cases --seeds 5
  go run ./enforcer/internal/sim/table --rows steady --first 4 --seeds 10

Flags:
`

// options are what the flags say.
type options struct {
	first                         uint64
	seeds, jobs                   int
	rows                          []string
	sharing                       string
	ours                          algorithm
	short, markdown, cases, naive bool
	list                          bool
}

func main() {
	switch err := run(os.Args[1:], os.Stdout, os.Stderr); {
	case err == nil:
	case errors.Is(err, pflag.ErrHelp):
	default:
		fmt.Fprintln(os.Stderr, "table:", err)
		os.Exit(1)
	}
}

func run(args []string, out, progress io.Writer) error {
	o, err := parse(args, out)
	if err != nil {
		return err
	}
	all := append(goals(), extras()...)
	if o.sharing == policy.Exact.String() {
		all = forExact(all)
	}
	rows, err := choose(all, o)
	if err != nil {
		return err
	}
	p := &printer{out: out, markdown: o.markdown, cases: o.cases}
	if o.list {
		p.list(rows)
		return p.err
	}
	began := time.Now()
	r := newRunner(rows, o, progress)
	p.head()
	var broken []string
	for i := range rows {
		r.run(&rows[i])
		broken = append(broken, p.row(r, &rows[i])...)
	}
	_, _ = fmt.Fprintf(progress, "took %.0fs\n", time.Since(began).Seconds())
	if len(broken) > 0 {
		slices.Sort(broken)
		broken = slices.Compact(broken)
		for _, b := range broken {
			_, _ = fmt.Fprintln(progress, "not met:", b)
		}
		return fmt.Errorf("%d goals that are held were not met or could not be measured", len(broken))
	}
	return p.err
}

func parse(args []string, out io.Writer) (*options, error) {
	o := &options{}
	flags := pflag.NewFlagSet("table", pflag.ContinueOnError)
	flags.SetOutput(out)
	flags.SortFlags = false
	flags.IntVar(&o.seeds, "seeds", 20, "runs of each case; pools of 50 and more nodes get at most 8")
	flags.Uint64Var(&o.first, "first", 1, "the first seed: a change that was made by looking at some seeds is judged by others")
	flags.StringSliceVar(&o.rows, "rows", nil, "only these rows: names or patterns such as 'step*'")
	flags.StringVar(&o.sharing, "sharing", "Gossip", "how the engine shares: Gossip or Exact, which has a row of its own, 'above': the goals of the others are those of Gossip")
	flags.BoolVar(&o.short, "short", false, "at most 3 seeds, no pool of more than 50 nodes, at most 5 minutes of virtual time: a minute or so")
	flags.BoolVar(&o.markdown, "markdown", false, "print a Markdown table")
	flags.BoolVar(&o.cases, "cases", false, "print a line for every case of a row")
	flags.BoolVar(&o.naive, "naive", true, "run the naive algorithms as well")
	flags.BoolVar(&o.list, "list", false, "only list the rows and their goals")
	flags.IntVar(&o.jobs, "jobs", runtime.GOMAXPROCS(0), "runs at a time")
	flags.Usage = func() { _, _ = fmt.Fprint(out, usage, flags.FlagUsages()) }
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	ours, known := ours(o.sharing)
	o.ours = ours
	switch {
	case !known:
		return nil, fmt.Errorf("--sharing %q: use Gossip or Exact", o.sharing)
	case flags.NArg() > 0:
		return nil, fmt.Errorf("%q is not a flag: use --rows to choose rows", flags.Arg(0))
	case o.seeds < 1:
		return nil, fmt.Errorf("--seeds %d: use at least 1", o.seeds)
	case o.jobs < 1:
		return nil, fmt.Errorf("--jobs %d: use at least 1", o.jobs)
	}
	if o.short {
		o.seeds = min(o.seeds, 3)
	}
	return o, nil
}

// choose keeps the rows that the options ask for.
func choose(all []row, o *options) ([]row, error) {
	used := make([]bool, len(o.rows))
	var rows []row
	for _, w := range all {
		wanted := len(o.rows) == 0
		for i, pattern := range o.rows {
			match, err := path.Match(pattern, w.id)
			if err != nil {
				return nil, fmt.Errorf("--rows %q: %w", pattern, err)
			}
			wanted, used[i] = wanted || match, used[i] || match
		}
		if wanted {
			rows = append(rows, w)
		}
	}
	for i, pattern := range o.rows {
		if !used[i] {
			return nil, fmt.Errorf("--rows %q: no row has that name; --list shows them", pattern)
		}
	}
	if o.short {
		rows = shorten(rows)
	}
	return rows, nil
}

// shorten leaves out the largest pools and the longest runs.
func shorten(rows []row) []row {
	for i := range rows {
		var kept []measure
		for _, m := range rows[i].measures {
			var cases []scenario.Scenario
			for _, s := range m.cases {
				if s.Nodes <= 50 {
					s.Duration = min(s.Duration, 300*second)
					cases = append(cases, s)
				}
			}
			if m.cases = cases; len(cases) > 0 {
				kept = append(kept, m)
			}
		}
		rows[i].measures = kept
	}
	return rows
}

func (p *printer) list(rows []row) {
	p.head()
	for i := range rows {
		w := &rows[i]
		if !p.markdown {
			p.line([]string{w.id, w.about})
		}
		for k := range w.measures {
			m := &w.measures[k]
			held := ""
			if m.held {
				held = "held"
			}
			p.line([]string{p.id(w), p.what(w, m), m.goal.text(m.unit), "", "", "", held})
		}
	}
}
