package main

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"regexp"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/enforcer/internal/sim/table/scenario"
	"github.com/sluice-dev/sluice/enforcer/policy"
)

func TestGoals(t *testing.T) {
	for _, c := range []struct {
		goal        goal
		text        string
		worst, mean float64
		want        bool
	}{
		{atMost(.5), "<= 0.5 %", .5, .1, true},
		{atMost(.5), "<= 0.5 %", .51, .1, false},
		{atMost(.5).mean(), "<= 0.5 % mean", 5, .5, true},
		{atMost(.5).mean(), "<= 0.5 % mean", 5, .6, false},
		{atMost(0).within(.01), "<= 0 %", .01, 0, true},
		{atMost(0).within(.01), "<= 0 %", .02, 0, false},
		{atLeast(.85), ">= 0.85 %", .85, 1, true},
		{atLeast(.85), ">= 0.85 %", .84, 1, false},
		{between(.95, 1.02), "0.95 to 1.02 %", 1.02, 1, true},
		{between(.95, 1.02), "0.95 to 1.02 %", 1.03, 1, false},
		{between(.95, 1.02), "0.95 to 1.02 %", .9, 1, false},
		{atMost(1), "<= 1 %", math.Inf(1), math.Inf(1), false},
	} {
		if got := c.goal.met(c.worst, c.mean); got != c.want {
			t.Errorf("%s: worst %v, mean %v: met is %v", c.text, c.worst, c.mean, got)
		}
		if got := c.goal.text("%"); got != c.text {
			t.Errorf("text %q, want %q", got, c.text)
		}
	}
	if got := (goal{}).text("%"); got != "-" {
		t.Errorf("no goal is written %q", got)
	}
}

func TestFigures(t *testing.T) {
	for x, want := range map[float64]string{
		0: "0 %", .004: "0 %", .005: "0.01 %", .5: "0.50 %", .9959: "0.9959 %", 1: "1.0000 %", 1.5: "1.50 %", 12.34: "12.3 %",
		123.4: "123 %", -2.5: "-2.50 %", math.Inf(1): "never",
	} {
		if got := figure(x, "%"); got != want {
			t.Errorf("%v is written %q, want %q", x, got, want)
		}
	}
	if got := figure(math.NaN(), "s"); got != "-" {
		t.Errorf("nothing measured is written %q", got)
	}
}

func TestTheWorstCaseCounts(t *testing.T) {
	cases := []scenario.Scenario{{Name: "a"}, {Name: "b"}, {Name: "c"}}
	values := map[string][]float64{"a": {1, 2, 3}, "b": {0, 0, 4}}
	for _, c := range []struct {
		goal        goal
		worst, mean float64
	}{{atMost(0), 4, 2}, {atLeast(9), 0, 4. / 3}, {goal{}, 4, 2}, {between(1, 2), 4, 4. / 3}} {
		m := &measure{goal: c.goal, cases: cases}
		o := m.sumUp(values)
		if o.worst != c.worst || !o.skipped {
			t.Errorf("%s: worst %v, skipped %v; want %v, true", c.goal.text(""), o.worst, o.skipped, c.worst)
		}
		if c.goal.set && !math.IsInf(c.goal.most, 1) && !math.IsInf(c.goal.least, -1) {
			continue // 2 and 4/3 are both inside
		}
		if math.Abs(o.mean-c.mean) > 1e-9 {
			t.Errorf("%s: mean %v, want %v", c.goal.text(""), o.mean, c.mean)
		}
	}
}

// all are the rows as they are printed without flags.
func all() []row { return append(goals(), extras()...) }

func TestRowsAreNamedOnce(t *testing.T) {
	ids, what := map[string]bool{}, map[string]bool{}
	for _, w := range all() {
		if ids[w.id] {
			t.Errorf("two rows are called %s", w.id)
		}
		ids[w.id] = true
		for _, m := range w.measures {
			name := w.id + "/" + m.what
			if what[name] || len(m.cases) == 0 {
				t.Errorf("%s is there twice, or has no cases", name)
			}
			what[name] = true
		}
	}
}

// Cases of one name are run once, so they must be the same.
func TestCasesOfOneNameAreOneCase(t *testing.T) {
	functions := regexp.MustCompile(`0x[0-9a-f]+`)
	known := map[string]string{}
	for _, w := range all() {
		for _, m := range w.measures {
			for _, s := range m.cases {
				text := functions.ReplaceAllString(fmt.Sprintf("%+v", s), "func")
				if known[s.Name] == "" {
					known[s.Name] = text
				} else if d := gocmp.Diff(known[s.Name], text); d != "" {
					t.Errorf("%s: two scenarios of that name: %s", s.Name, d)
				}
			}
		}
	}
}

func TestRowsAreChosenByPattern(t *testing.T) {
	names := func(rows []row) string {
		var ids []string
		for _, w := range rows {
			ids = append(ids, w.id)
		}
		return strings.Join(ids, " ")
	}
	for patterns, want := range map[string]string{"step*": "step10 step100 step30", "cost,over": "over cost"} {
		rows, err := choose(all(), &options{rows: strings.Split(patterns, ",")})
		if got := names(rows); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", patterns, got, err, want)
		}
	}
	for pattern, want := range map[string]string{
		"nothing": `--rows "nothing": no row has that name; --list shows them`,
		"[":       `--rows "[": syntax error in pattern`,
	} {
		if _, err := choose(all(), &options{rows: []string{pattern}}); fmt.Sprint(err) != want {
			t.Errorf("%s: got %v, want %s", pattern, err, want)
		}
	}
	short, err := choose(all(), &options{short: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range short {
		for _, m := range w.measures {
			for _, s := range m.cases {
				if s.Nodes > 50 || s.Duration > 300*second {
					t.Errorf("%s is not short", s.Name)
				}
			}
		}
	}
}

func TestWrongFlagsAreExplained(t *testing.T) {
	for args, want := range map[string]string{
		"--seeds 0": "--seeds 0: use at least 1",
		"--jobs 0":  "--jobs 0: use at least 1",
		"step10":    `"step10" is not a flag: use --rows to choose rows`,
	} {
		if err := run(strings.Fields(args), io.Discard, io.Discard); fmt.Sprint(err) != want {
			t.Errorf("%s: got %v, want %s", args, err, want)
		}
	}
	var help bytes.Buffer
	_ = run([]string{"--help"}, &help, io.Discard)
	for _, want := range []string{"Example:", "--rows", "--markdown", "--short"} {
		if !strings.Contains(help.String(), want) {
			t.Errorf("help does not mention %s", want)
		}
	}
}

// What exact sharing promises is held wherever an owner can be reached, and nothing else is.
func TestExactSharingHasARowOfItsOwn(t *testing.T) {
	healthy := pool(3, constant(2), uniform)
	crash := with(healthy, "crash", func(*scenario.Scenario) {})
	clocks := with(healthy, "clocks", func(s *scenario.Scenario) { s.Skew, s.Limit.Algorithm = 1, policy.FixedWindow })
	onOff := pool(3, scenario.OnOff(2, second, .5), uniform)
	rows := forExact([]row{
		{"steady", "a row", []measure{{what: "gossip's", held: true, cases: []scenario.Scenario{healthy}}}},
		{"crash", "another", []measure{{what: "worst", held: true, cases: []scenario.Scenario{crash, healthy}}}},
		{"over", "a third", []measure{{what: "too much", cases: []scenario.Scenario{healthy, clocks, onOff}}}},
	})
	for _, w := range rows[:3] {
		if w.measures[0].held {
			t.Errorf("%s is held", w.id)
		}
	}
	var got []string
	for _, m := range rows[3].measures {
		for _, s := range m.cases {
			got = append(got, fmt.Sprint(m.held, " ", s.Name))
		}
	}
	want := []string{
		"true " + healthy.Name, "true " + onOff.Name, "false " + clocks.Name, // above the limit
		"true " + healthy.Name, "true " + clocks.Name, "false " + onOff.Name, // part of it
	}
	if d := gocmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if err := run([]string{"--rows", "above"}, io.Discard, io.Discard); err == nil {
		t.Error("gossip has the row, too")
	}
}

// table runs rows made for a test.
func table(t *testing.T, p *printer, rows ...row) (string, []string) {
	t.Helper()
	var out bytes.Buffer
	p.out = &out
	r := newRunner(rows, &options{ours: algorithm{"engine", scenario.Engine}, first: 1, seeds: 2, jobs: 2, naive: true}, io.Discard)
	p.head()
	var broken []string
	for i := range rows {
		r.run(&rows[i])
		broken = append(broken, p.row(r, &rows[i])...)
	}
	return out.String(), broken
}

func TestATable(t *testing.T) {
	small := pool(3, constant(2), uniform)
	small.Duration = 2 * second
	bad := with(small, "that breaks", func(s *scenario.Scenario) { s.Limit.Requests = 0 })
	fixed := func(*scenario.Result) float64 { return 3.5 }
	rows := []row{
		{"one", "a row", []measure{
			{what: "thousands of requests", of: fixed, goal: atMost(9), held: true, cases: []scenario.Scenario{small}},
			{what: "thousands again", of: fixed, goal: atMost(1), cases: []scenario.Scenario{small}},
			{what: "no goal", unit: "k", of: fixed, cases: []scenario.Scenario{small}},
		}},
		{"two", "another", []measure{{what: "held", of: fixed, goal: atMost(1), held: true, cases: []scenario.Scenario{small}}}},
		{"three", "a third", []measure{{what: "bad", of: fixed, goal: atMost(1), cases: []scenario.Scenario{bad}}}},
	}
	text, broken := table(t, &printer{markdown: true, cases: true}, rows...)
	want := `
|  | scenario | goal | worst | mean | naive | ok |
| --- | --- | --- | --- | --- | --- | --- |
| one | a row: thousands of requests | <= 9 | 3.50 | 3.50 | 3.50 / 3.50 | ok |
|  |     N=3 2x uniform |  | 3.50 | 3.50 | 3.50 / 3.50 |  |
| one | a row: thousands again | <= 1 | 3.50 | 3.50 | 3.50 / 3.50 | no |
|  |     N=3 2x uniform |  | 3.50 | 3.50 | 3.50 / 3.50 |  |
| one | a row: no goal | - | 3.50 k | 3.50 k | 3.50 / 3.50 | - |
|  |     N=3 2x uniform |  | 3.50 k | 3.50 k | 3.50 / 3.50 |  |
| two | another: held | <= 1 | 3.50 | 3.50 | 3.50 / 3.50 | no |
|  |     N=3 2x uniform |  | 3.50 | 3.50 | 3.50 / 3.50 |  |
| three | a third: bad | <= 1 | - | - | - / - | ERROR |
|  |     N=3 2x uniform that breaks |  | - | - | - / - |  |
`
	if d := gocmp.Diff(strings.TrimPrefix(want, "\n"), text); d != "" {
		t.Error(d)
	}
	if len(broken) < 2 || !strings.HasPrefix(broken[0], "another, held: ") || !strings.Contains(broken[1], "limit of 0 each 1s") {
		t.Errorf("broken: %q", broken)
	}
}

// Other seeds are other runs, and the same ones are the same.
func TestTheFirstSeedIsChosen(t *testing.T) {
	from := func(first string) string {
		var out bytes.Buffer
		args := []string{"--rows", "flash", "--seeds", "1", "--first", first, "--naive=false", "--cases"}
		if err := run(args, &out, io.Discard); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	one := from("1")
	if from("1") != one || from("7") == one {
		t.Error("the first seed is not what --first says")
	}
}

// The whole command, on its cheapest row.
func TestACommand(t *testing.T) {
	var out, progress bytes.Buffer
	if err := run([]string{"--rows", "flash", "--seeds", "1", "--naive=false"}, &out, &progress); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "bursts admitted") || !strings.Contains(progress.String(), "1 seeds in") {
		t.Errorf("printed %s and %s", out.String(), progress.String())
	}
}
