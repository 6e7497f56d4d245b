package controllers

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/enforcer/report"
)

// tally is what an enforcer has counted since it started. There is one of every
// enforcer, with every limit, so it has no more than that. It is immutable.
type tally struct {
	started, now time.Time // by the enforcer's clock
	limits       []limitID // in the order of its document; tallies of one document share them
	counts       []count   // of each
}

// limitID identifies a limit over all documents.
type limitID struct {
	uid  types.UID // of its policy
	name string
}

// count is a report.Usage without texts.
type count struct {
	activeKeys, admitted, limited, overAdmitted int64
	apart                                       bool
}

// telling is what a state tells of its policies, taken down one by one: all of them as
// they are told would be megabytes of each enforcer.
type telling struct {
	policies []runningPolicy
	limits   []limitID
	counts   []count
}

// runningPolicy is one that an enforcer runs.
type runningPolicy struct {
	name types.NamespacedName
	running
}

func (t *telling) add(p *report.Policy) {
	t.policies = append(t.policies, runningPolicy{
		types.NamespacedName{Namespace: p.Namespace, Name: p.Name}, running{types.UID(p.UID), p.Generation, p.Digest},
	})
	for _, l := range p.Limits {
		t.limits = append(t.limits, limitID{types.UID(p.UID), l.Name})
		t.counts = append(t.counts, count{l.ActiveKeys, l.Admitted, l.Limited, l.OverAdmitted, l.Apart})
	}
}

// runs returns what runs.
func (t *telling) runs() documentRuns {
	runs := make(documentRuns, len(t.policies))
	for _, p := range t.policies {
		runs[p.name] = p.running
	}
	return runs
}

// tally returns what was counted by the time of the state. If the limits are those of a
// tally seen before, they are not kept once more.
func (t *telling) tally(s *report.State, seen []limitID) *tally {
	limits := t.limits
	if slices.Equal(limits, seen) {
		limits = seen
	}
	return &tally{s.Started, s.Now, limits, t.counts}
}

// base returns what to subtract from t for a rate, as report.State.Base does: before, or
// the start of an enforcer that is another now.
func (t *tally) base(before *tally) *tally {
	if before == nil || !before.started.Equal(t.started) {
		return &tally{now: t.started}
	}
	return before
}

// countsOf returns what t has counted of each of some limits: nothing of those that it
// does not have.
func (t *tally) countsOf(limits []limitID) []count {
	if slices.Equal(t.limits, limits) {
		return t.counts
	}
	all := make(map[limitID]count, len(t.limits))
	for i, l := range t.limits {
		all[l] = t.counts[i]
	}
	counts := make([]count, len(limits))
	for i, l := range limits {
		counts[i] = all[l]
	}
	return counts
}

func (c count) usage() report.Usage {
	return report.Usage{ActiveKeys: c.activeKeys, Admitted: c.admitted, Limited: c.limited, OverAdmitted: c.overAdmitted, Apart: c.apart}
}
