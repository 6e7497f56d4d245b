package main

import (
	"fmt"
	"math"
	"strings"

	"github.com/sluice-dev/sluice/enforcer/internal/sim/table/scenario"
)

// row is one line of goals: scenarios that belong together, and what is measured
// in them.
type row struct {
	id       string // what --rows selects by
	about    string
	measures []measure
}

// measure is one figure, taken in one or several cases.
type measure struct {
	what  string
	unit  string
	of    func(*scenario.Result) float64
	goal  goal
	cases []scenario.Scenario

	// held says that the goal is reached and has to stay so.
	held bool
}

// goal is what a figure should be. The zero value is no goal: the figure is there
// to be looked at.
type goal struct {
	set           bool
	least, most   float64
	roundedBy     float64 // how far outside still counts as inside
	ofTheMeanOnly bool    // the mean over the seeds counts, not the worst of them
}

func atMost(x float64) goal { return goal{set: true, least: math.Inf(-1), most: x} }

func atLeast(x float64) goal { return goal{set: true, least: x, most: math.Inf(1)} }

func between(least, most float64) goal { return goal{set: true, least: least, most: most} }

// mean makes it a goal of the mean over the seeds.
func (g goal) mean() goal {
	g.ofTheMeanOnly = true
	return g
}

// within allows for rounding: a goal of nothing over, say, forgives the last
// token that is in debt when the run ends.
func (g goal) within(x float64) goal {
	g.roundedBy = x
	return g
}

// miss says how far x is outside of the goal; 0 or less inside.
func (g goal) miss(x float64) float64 { return math.Max(x-g.most, g.least-x) }

func (g goal) met(worst, mean float64) bool {
	if g.ofTheMeanOnly {
		worst = mean
	}
	return g.miss(worst) <= g.roundedBy
}

func (g goal) text(unit string) string {
	if !g.set {
		return "-"
	}
	var s string
	switch {
	case math.IsInf(g.least, -1):
		s = fmt.Sprintf("<= %g %s", g.most, unit)
	case math.IsInf(g.most, 1):
		s = fmt.Sprintf(">= %g %s", g.least, unit)
	default:
		s = fmt.Sprintf("%g to %g %s", g.least, g.most, unit)
	}
	s = strings.TrimSpace(s)
	if g.ofTheMeanOnly {
		s += " mean"
	}
	return s
}

// figure writes a number with its unit.
func figure(x float64, unit string) string {
	var s string
	switch a := math.Abs(x); {
	case math.IsNaN(x):
		return "-"
	case math.IsInf(x, 1):
		return "never"
	case a >= 100:
		s = fmt.Sprintf("%.0f", x)
	case a >= 10:
		s = fmt.Sprintf("%.1f", x)
	case a < .005:
		s = "0"
	case a >= .99 && a < 1.01:
		s = fmt.Sprintf("%.4f", x)
	default:
		s = fmt.Sprintf("%.2f", x)
	}
	if unit != "" {
		s += " " + unit
	}
	return s
}

// outcome is what a measure came to in its cases, over all seeds.
type outcome struct {
	worst, mean float64 // the worst value, and the mean of the worst case
	byCase      []caseOutcome
	skipped     bool // a case is too large for the algorithm
}

type caseOutcome struct {
	name        string
	worst, mean float64
	skipped     bool
}

// sumUp finds the worst of the values of each case, and the worst case.
func (m *measure) sumUp(values map[string][]float64) outcome {
	o := outcome{worst: math.NaN(), mean: math.NaN()}
	for i := range m.cases {
		c := caseOutcome{name: m.cases[i].Name, worst: math.NaN(), mean: math.NaN()}
		all := values[c.name]
		c.skipped = len(all) == 0
		sum := 0.0
		for _, x := range all {
			sum += x
			c.worst = m.worse(c.worst, x)
		}
		if !c.skipped {
			c.mean = sum / float64(len(all))
			o.worst, o.mean = m.worse(o.worst, c.worst), m.worse(o.mean, c.mean)
		}
		o.skipped = o.skipped || c.skipped
		o.byCase = append(o.byCase, c)
	}
	return o
}

// worse returns the value that is farther from the goal; without one the larger.
func (m *measure) worse(a, b float64) float64 {
	switch {
	case math.IsNaN(a):
		return b
	case math.IsNaN(b):
		return a
	case !m.goal.set:
		return math.Max(a, b)
	case m.goal.miss(b) > m.goal.miss(a):
		return b
	}
	return a
}
