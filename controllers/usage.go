package controllers

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/enforcer/report"
)

const (
	// sampleEvery is the stretch of time that a rate is an average of.
	sampleEvery = 5 * time.Second

	// refreshEvery is the least time between two figures shown for one policy.
	refreshEvery = 15 * time.Second

	// refreshAtOnce is the most policies of a pool that one sample may have shown
	// anew, 100 a second: of more than 1,500 that all change, each has to wait for
	// its turn longer than refreshEvery.
	refreshAtOnce = 500
)

// policyUsage is how the limits of a policy are used, in the order of the
// document. It is immutable.
type policyUsage []limitUsage

// limitUsage is how one limit is used over all enforcers.
type limitUsage struct {
	name       string
	activeKeys int64
	admitted   int64 // tokens per second
	limited    int64 // tokens per second
	over       int64 // of a thousand admitted tokens, those that were not there
}

// usageMeter turns cumulative counters into rates, and decides when a figure
// changed enough to be shown. It reads no clock.
type usageMeter struct {
	sampled time.Time         // when the last sample was taken
	base    map[string]*tally // by enforcer
	shown   map[types.UID]shownUsage
	view    map[types.UID]policyUsage // what shown says; replaced, never changed
}

type shownUsage struct {
	since time.Time // zero: nobody has used it yet
	usage policyUsage
}

func newUsageMeter() usageMeter {
	return usageMeter{base: map[string]*tally{}, shown: map[types.UID]shownUsage{}}
}

// measure returns the usage to show by policy, given the newest tally of each
// enforcer that answers. The result changes only when something that matters did.
func (m *usageMeter) measure(now time.Time, tallies map[string]*tally) map[types.UID]policyUsage {
	if m.sampled.IsZero() {
		m.sampled, m.base = now, tallies
		return nil
	}
	if !m.due(now) {
		return m.view
	}
	latest := rates(m.base, tallies)
	m.sampled, m.base = now, tallies
	m.show(now, latest)
	m.view = make(map[types.UID]policyUsage, len(m.shown))
	for uid, s := range m.shown {
		m.view[uid] = s.usage
	}
	return m.view
}

// show decides which of the latest figures are shown: of those that changed the ones
// that waited longest, and none that was shown a moment ago.
func (m *usageMeter) show(now time.Time, latest map[types.UID]policyUsage) {
	// Who is not heard of for a moment keeps its place.
	maps.DeleteFunc(m.shown, func(uid types.UID, s shownUsage) bool {
		return latest[uid] == nil && now.Sub(s.since) >= refreshEvery
	})
	var changed []types.UID
	for uid, usage := range latest {
		switch s, known := m.shown[uid]; {
		case !known && usage.idle():
			// It is shown as such from the start, so its first use can be shown at once.
			m.shown[uid] = shownUsage{usage: usage}
		case !known || now.Sub(s.since) >= refreshEvery && usage.differs(s.usage):
			changed = append(changed, uid)
		}
	}
	slices.SortFunc(changed, func(a, b types.UID) int {
		return cmp.Or(m.shown[a].since.Compare(m.shown[b].since), cmp.Compare(a, b))
	})
	for _, uid := range changed[:min(len(changed), refreshAtOnce)] {
		m.shown[uid] = shownUsage{now, latest[uid]}
	}
}

// due says whether the next state of each enforcer is worth a sample.
func (m *usageMeter) due(now time.Time) bool { return now.Sub(m.sampled) >= sampleEvery }

// rates sums up over the enforcers what happened between two tallies of each.
func rates(before, after map[string]*tally) map[types.UID]policyUsage {
	totals := map[types.UID][]total{}
	for name, t := range after {
		base := t.base(before[name])
		elapsed := t.now.Sub(base.now)
		if elapsed <= 0 {
			continue
		}
		counted := base.countsOf(t.limits)
		for i, l := range t.limits {
			totals[l.uid] = addTotal(totals[l.uid], l.name, t.counts[i].usage(), counted[i].usage(), max(elapsed, time.Second))
		}
	}
	usage := make(map[types.UID]policyUsage, len(totals))
	for uid, limits := range totals {
		list := make(policyUsage, len(limits))
		for i, l := range limits {
			list[i] = limitUsage{l.name, l.activeKeys, int64(math.Round(l.admitted)), int64(math.Round(l.limited)), l.perMille()}
		}
		usage[uid] = list
	}
	return usage
}

// total is a sum that is not rounded yet.
type total struct {
	name              string
	activeKeys        int64
	admitted, limited float64
	over              float64 // tokens per second
}

// perMille returns how many of a thousand admitted tokens were not there.
func (t *total) perMille() int64 {
	if t.over <= 0 {
		return 0
	}
	return int64(math.Round(min(1000, 1000*t.over/max(t.admitted, t.over))))
}

func addTotal(totals []total, limit string, now, before report.Usage, elapsed time.Duration) []total {
	i := slices.IndexFunc(totals, func(t total) bool { return t.name == limit })
	if i < 0 {
		i = len(totals)
		totals = append(totals, total{name: limit})
	}
	totals[i].activeKeys = now.AddKeys(totals[i].activeKeys)
	went := now.Since(before)
	totals[i].admitted += float64(went.Admitted) / elapsed.Seconds()
	totals[i].limited += float64(went.Limited) / elapsed.Seconds()
	totals[i].over += float64(went.OverAdmitted) / 1000 / elapsed.Seconds()
	return totals
}

// idle says whether nobody uses any of the limits.
func (u policyUsage) idle() bool {
	return !slices.ContainsFunc(u, func(l limitUsage) bool { return l.activeKeys != 0 || l.admitted != 0 || l.limited != 0 })
}

// differs says whether a reader would call u another usage than shown: other
// limits, or a figure that moved by more than a tenth, to zero or from zero.
func (u policyUsage) differs(shown policyUsage) bool {
	return !slices.EqualFunc(u, shown, func(a, b limitUsage) bool {
		return a.name == b.name && near(a.activeKeys, b.activeKeys) && near(a.admitted, b.admitted) && near(a.limited, b.limited) && max(a.over, b.over)-min(a.over, b.over) <= overMatters
	})
}

// overMatters is by how many thousandths the over-admission must move to be shown
// anew.
const overMatters = 2

func near(a, b int64) bool {
	if a == 0 || b == 0 {
		return a == b
	}
	distance := max(a, b) - min(a, b)
	return distance <= max(a, b)/10
}
