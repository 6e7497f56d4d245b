package main

import (
	"fmt"
	"io"
	"math"
	"strings"
	"unicode/utf8"
)

// printer writes the table, a row as soon as it is known.
type printer struct {
	out      io.Writer
	markdown bool
	cases    bool  // a line for every case
	err      error // the first that out returned
}

// columns of the table and their widths as plain text.
var columns = []struct {
	head  string
	width int
}{{"", 9}, {"scenario", 48}, {"goal", 15}, {"worst", 10}, {"mean", 10}, {"naive", 16}, {"ok", 5}}

func (p *printer) head() {
	cells := make([]string, len(columns))
	for i, c := range columns {
		cells[i] = c.head
	}
	p.line(cells)
	if p.markdown {
		p.line(strings.Split(strings.Repeat("---,", len(columns)-1)+"---", ","))
	}
}

func (p *printer) line(cells []string) {
	text := aligned(cells)
	if p.markdown {
		text = "| " + strings.Join(cells, " | ") + " |"
	}
	if _, err := fmt.Fprintln(p.out, text); p.err == nil {
		p.err = err
	}
}

// aligned fills each cell up to the width of its column.
func aligned(cells []string) string {
	var b strings.Builder
	for i, c := range cells {
		b.WriteString(c)
		b.WriteString(strings.Repeat(" ", max(0, columns[i].width-utf8.RuneCountInString(c))+1))
	}
	return strings.TrimRight(b.String(), " ")
}

// row writes the lines of a row and returns the goals that are held and were not
// met.
func (p *printer) row(r *runner, w *row) (broken []string) {
	if !p.markdown {
		p.line([]string{w.id, w.about})
	}
	for i := range w.measures {
		m := &w.measures[i]
		o := r.outcome(w, m, r.ours)
		ok := verdict(m, o)
		if failures := r.errors(m); len(failures) > 0 {
			ok = "ERROR"
			broken = append(broken, failures...)
		}
		if m.held && ok != "ok" {
			broken = append(broken, fmt.Sprintf("%s, %s: %s, the goal is %s", w.about, m.what, figure(o.worst, m.unit), m.goal.text(m.unit)))
		}
		p.line([]string{p.id(w), p.what(w, m), m.goal.text(m.unit), figure(o.worst, m.unit), figure(o.mean, m.unit), p.naive(r, w, m), ok})
		if p.cases {
			for _, c := range o.byCase {
				p.line([]string{"", "    " + c.name, "", figure(c.worst, m.unit), figure(c.mean, m.unit), p.naiveCase(r, w, m, c.name), ""})
			}
		}
	}
	return broken
}

// id and what name a measure: in plain text the row has a line of its own.
func (p *printer) id(w *row) string {
	if p.markdown {
		return w.id
	}
	return ""
}

func (p *printer) what(w *row, m *measure) string {
	if p.markdown {
		return w.about + ": " + m.what
	}
	return "  " + m.what
}

func verdict(m *measure, o outcome) string {
	switch {
	case !m.goal.set || math.IsNaN(o.worst):
		return "-"
	case m.goal.met(o.worst, o.mean) && !o.skipped:
		return "ok"
	}
	return "no"
}

// naive writes the means of the naive algorithms.
func (p *printer) naive(r *runner, w *row, m *measure) string {
	var all []string
	for _, a := range naive {
		all = append(all, figure(r.outcome(w, m, a).mean, ""))
	}
	return strings.Join(all, " / ")
}

func (p *printer) naiveCase(r *runner, w *row, m *measure, name string) string {
	one := *m
	one.cases = nil
	for _, c := range m.cases {
		if c.Name == name {
			one.cases = append(one.cases, c)
		}
	}
	return p.naive(r, w, &one)
}
