package main

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/sluice-dev/sluice/enforcer/internal/sim/table/scenario"
	"github.com/sluice-dev/sluice/enforcer/policy"
)

// algorithm is one column of figures.
type algorithm struct {
	name  string
	maker scenario.Maker
}

// fits says whether the algorithm knows the scenario's kind of limit.
func (a algorithm) fits(s *scenario.Scenario) bool {
	return a.name != "bucket" || s.Limit.Algorithm == "" || s.Limit.Algorithm == policy.TokenBucket
}

// ours returns the engine's own way, by --sharing.
func ours(sharing string) (algorithm, bool) {
	makers := map[string]scenario.Maker{policy.Gossip.String(): scenario.Engine, policy.Exact.String(): scenario.Exact}
	maker, ok := makers[sharing]
	return algorithm{"engine", maker}, ok
}

// naive are what is shown beside the engine.
var naive = []algorithm{{"window", scenario.NaiveWindow}, {"bucket", scenario.NaiveBucket}}

// naiveSeeds is how many seeds the naive algorithms get: nobody is interested in
// their worst case.
const naiveSeeds = 3

// runner runs every case once for each seed and algorithm, and takes all
// measures of the rows from it.
type runner struct {
	ours     algorithm
	first    uint64 // seed
	seeds    int
	jobs     int
	baseline bool // run the naive algorithms as well
	progress io.Writer
	rows     []row
	done     map[string]bool     // by name of the case
	values   map[cell][]float64  // what was measured
	failed   map[string][]string // errors of a case
}

// cell names the values of a measure in a case.
type cell struct{ measure, algorithm, name string }

func newRunner(rows []row, o *options, progress io.Writer) *runner {
	return &runner{
		ours: o.ours, first: o.first, seeds: o.seeds, jobs: o.jobs, baseline: o.naive, progress: progress, rows: rows,
		done: map[string]bool{}, values: map[cell][]float64{}, failed: map[string][]string{},
	}
}

// seedsFor returns how many seeds a case gets: large pools vary less and cost
// more.
func (r *runner) seedsFor(s *scenario.Scenario) int {
	switch {
	case s.Nodes >= 500:
		return min(r.seeds, 2)
	case s.Nodes >= 50:
		return min(r.seeds, 8)
	}
	return r.seeds
}

// job is one run.
type job struct {
	algorithm algorithm
	seed      uint64
	figures   map[string]float64 // by measure
	err       error
}

// run runs the cases of one row that have not been run for another.
func (r *runner) run(w *row) {
	for i := range w.measures {
		for _, s := range w.measures[i].cases {
			if !r.done[s.Name] {
				r.done[s.Name] = true
				r.runCase(w, s)
			}
		}
	}
}

func (r *runner) runCase(w *row, s scenario.Scenario) {
	began := time.Now()
	var jobs []*job
	for n := range r.seedsFor(&s) {
		seed := r.first + uint64(n)
		jobs = append(jobs, &job{algorithm: r.ours, seed: seed})
		for _, a := range naive {
			if r.baseline && a.fits(&s) && n < naiveSeeds && (n == 0 || s.Nodes < 500) {
				jobs = append(jobs, &job{algorithm: a, seed: seed})
			}
		}
	}
	slots := make(chan struct{}, r.jobs)
	var all sync.WaitGroup
	for _, j := range jobs {
		slots <- struct{}{}
		all.Go(func() {
			r.runJob(s, j)
			<-slots
		})
	}
	all.Wait()
	note := ""
	for _, j := range jobs {
		switch {
		case errors.Is(j.err, scenario.ErrTooLarge):
			note = ": " + scenario.ErrTooLarge.Error()
		case j.err != nil:
			r.failed[s.Name] = append(r.failed[s.Name], j.algorithm.name+": "+j.err.Error())
		}
		for measure, x := range j.figures {
			at := cell{measure, j.algorithm.name, s.Name}
			r.values[at] = append(r.values[at], x)
		}
	}
	_, _ = fmt.Fprintf(r.progress, "%-10s %-40s %2d seeds in %.1fs%s\n", w.id, s.Name, r.seedsFor(&s), time.Since(began).Seconds(), note)
}

// runJob runs one seed and takes every measure that is wanted of it.
func (r *runner) runJob(s scenario.Scenario, j *job) {
	result, err := scenario.Run(s, j.algorithm.maker, j.seed)
	if err != nil {
		j.err = err
		return
	}
	j.figures = map[string]float64{}
	for i := range r.rows {
		for k := range r.rows[i].measures {
			m := &r.rows[i].measures[k]
			for c := range m.cases {
				if m.cases[c].Name == s.Name {
					j.figures[r.rows[i].id+"/"+m.what] = m.of(result)
				}
			}
		}
	}
}

// outcome returns what a measure came to with an algorithm.
func (r *runner) outcome(w *row, m *measure, a algorithm) outcome {
	values := map[string][]float64{}
	for i := range m.cases {
		name := m.cases[i].Name
		values[name] = r.values[cell{w.id + "/" + m.what, a.name, name}]
	}
	return m.sumUp(values)
}

// errors returns what went wrong in the cases of a measure.
func (r *runner) errors(m *measure) []string {
	var all []string
	for i := range m.cases {
		all = append(all, r.failed[m.cases[i].Name]...)
	}
	return all
}
