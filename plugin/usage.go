package plugin

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/sluice-dev/sluice/enforcer/inspect"
	"github.com/sluice-dev/sluice/enforcer/report"
)

// Usage is what one limit does, over all enforcers of its pool.
type Usage struct {
	inspect.Name
	ActiveKeys int64   `json:"activeKeys"`
	Admitted   float64 `json:"admittedPerSecond"` // tokens
	Limited    float64 `json:"limitedPerSecond"`

	// OverAdmission is which part of the admitted tokens were not there, 0 to 1.
	OverAdmission float64 `json:"overAdmission"`

	// Capacity is the tokens per second that all requests share; 0 where each client
	// has a rate of its own.
	Capacity float64 `json:"capacityPerSecond,omitempty"`

	over float64 // tokens per second that were not there
}

// meter keeps the last state of every enforcer, by its URL.
type meter struct{ last map[string]*report.State }

// measure asks the enforcers, and returns what the limits that are meant did since
// the last time, ordered by policy. What an enforcer did that is asked for the first
// time is not known yet. The error says who does not answer.
func (m *meter) measure(ctx context.Context, scopes []scope) ([]Usage, error) {
	sums := sums{at: map[inspect.Name]int{}}
	var problems []error
	next := map[string]*report.State{}
	for _, s := range scopes {
		states, err := askAll[report.State](ctx, s.enforcers, http.MethodGet, "/v1/state", nil)
		problems = append(problems, s.problem, err)
		for i, state := range states {
			if state != nil {
				url := s.enforcers[i].url
				next[url] = state
				sums.add(&s, m.last[url], state)
			}
		}
	}
	m.last = next
	for i := range sums.usage {
		if u := &sums.usage[i]; u.over > 0 {
			u.OverAdmission = u.over / max(u.Admitted, u.over)
		}
	}
	slices.SortStableFunc(sums.usage, func(a, b Usage) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Policy, b.Policy))
	})
	return sums.usage, errors.Join(problems...)
}

// sums adds up what several enforcers did.
type sums struct {
	usage []Usage
	at    map[inspect.Name]int // in usage
}

// of returns the sum of a limit.
func (s *sums) of(name inspect.Name) *Usage {
	i, known := s.at[name]
	if !known {
		i = len(s.usage)
		s.at[name], s.usage = i, append(s.usage, Usage{Name: name})
	}
	return &s.usage[i]
}

// add adds what an enforcer did between two states, of the limits that are meant.
// Before is nil when it is not known.
func (s *sums) add(scope *scope, before, after *report.State) {
	counted, elapsed := map[inspect.Name]report.Usage{}, time.Duration(0)
	if before != nil {
		before = after.Base(before)
		for _, p := range before.Policies {
			for _, l := range p.Limits {
				counted[inspect.Name{Namespace: p.Namespace, Policy: p.Name, Limit: l.Name}] = l
			}
		}
		elapsed = after.Now.Sub(before.Now)
	}
	for _, p := range after.Policies {
		if !scope.means(p.Namespace, p.Name) {
			continue
		}
		for _, l := range p.Limits {
			name := inspect.Name{Namespace: p.Namespace, Policy: p.Name, Limit: l.Name}
			u, went := s.of(name), l.Since(counted[name])
			u.Capacity = float64(l.Capacity) / 1000
			u.ActiveKeys = l.AddKeys(u.ActiveKeys)
			u.Admitted += perSecond(went.Admitted, elapsed)
			u.Limited += perSecond(went.Limited, elapsed)
			u.over += perSecond(went.OverAdmitted, elapsed) / 1000
		}
	}
}

// perSecond returns how fast a counter went; 0 when that is not known.
func perSecond(went int64, elapsed time.Duration) float64 {
	if elapsed <= 0 {
		return 0
	}
	return float64(went) / elapsed.Seconds()
}
