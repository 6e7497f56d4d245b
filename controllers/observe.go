package controllers

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/enforcer/discovery"
	"github.com/sluice-dev/sluice/enforcer/report"
)

const (
	// patience is how long an enforcer may fail to answer before it counts as gone.
	// One lost answer is no news; asked every second, a dead one is still noticed
	// well within two.
	patience = 1250 * time.Millisecond

	// latePatience is the same for one that is there but takes too long. A machine
	// that is short of time must not make every policy's status come and go.
	latePatience = 5 * time.Second

	// heardLately is how long after its last word an enforcer counts as heard by
	// another one; each greets all others every second.
	heardLately = 3 * time.Second

	// apartTime is how long two enforcers may not hear each other before that is told:
	// those that start need a moment, and those that end are about to be forgotten.
	apartTime = 5 * time.Second
)

// observation is what the enforcers of a pool said of themselves: those that
// discovery calls ready, by name. It is immutable.
type observation struct {
	enforcers []enforcer
	usage     map[types.UID]policyUsage
}

// enforcer is one enforcer as last seen.
type enforcer struct {
	name    string
	problem string // why nothing is known of it now; "" when it answers
	version string // of its program
	digest  string // of the document it runs, "" for none
	refused string // why it does not run a newer one
	keys    string // fingerprints of its gossip keys, the one that seals first
	members int    // enforcers of the pool that it counts, itself too; 0 when it does not say
	apart   string // how many of the others it has not heard for apartTime; "" for none
	runs    documentRuns
}

// running identifies a version of a policy, and what it says where it runs.
type running struct {
	uid        types.UID
	generation int64
	says       report.Digest // 0: an enforcer of an older release does not tell
}

// like says whether r runs the same version of a policy as o.
func (r running) like(o running) bool { return r.uid == o.uid && r.generation == o.generation }

// otherwise says that r is the same version as o, and says something else: since it was
// published the pool has other defaults, or who runs it does not know all of it.
func (r running) otherwise(o running) bool {
	return r.like(o) && r.says != 0 && o.says != 0 && r.says != o.says
}

// documentRuns is what an enforcer runs that has a document in force. It is
// immutable.
type documentRuns map[types.NamespacedName]running

// answer is what came of asking an enforcer: a state or a problem.
type answer struct {
	state   *report.State // without policies
	told    *telling      // what those tell; nil: they were not asked for
	problem string
	late    bool // the problem is that it took too long
}

// patience is how long after a good answer this one is no news.
func (a answer) patience() time.Duration {
	if a.late {
		return latePatience
	}
	return patience
}

// tracker makes observations of what enforcers answer. It is a function of its
// calls: it reads no clock and asks nobody.
type tracker struct {
	seen      map[string]*sighting    // by the name that discovery gives
	documents map[string]documentRuns // by digest: what was published, and what enforcers run
	published string                  // digest of the document that was published last
	limits    []limitID               // of the tally that was taken last
	meter     usageMeter
}

// sighting is what is remembered of one enforcer.
type sighting struct {
	answered time.Time // when it last did; zero: never
	apart    time.Time // since when it does not hear all others; zero: it does
	state    *report.State
	counted  *tally // the last one
}

func newTracker() *tracker {
	return &tracker{seen: map[string]*sighting{}, documents: map[string]documentRuns{}, meter: newUsageMeter()}
}

// learn notes what was published, so that no enforcer needs to tell it.
func (t *tracker) learn(digest string, runs documentRuns) {
	if digest != "" {
		t.documents[digest], t.published = runs, digest
	}
}

// known returns the digests of the documents whose policies enforcers need not tell:
// none when their counters are wanted too.
func (t *tracker) known(now time.Time) []string {
	if t.meter.due(now) {
		return nil
	}
	return slices.Collect(maps.Keys(t.documents))
}

// observe takes in one round of answers, by member name, at now. unsure says that
// somebody did not answer but is not given up yet: ask again soon.
func (t *tracker) observe(now time.Time, members []discovery.Endpoint, answers map[string]answer) (o *observation, unsure bool) {
	o = &observation{}
	present := make(map[string]*sighting, len(members))
	states := make(map[string]*report.State, len(members))
	counted := make(map[string]*tally, len(members))
	whole := true // everybody told its counters in this round
	for _, m := range members {
		s := cmp.Or(t.seen[m.Name], &sighting{})
		present[m.Name] = s
		a := answers[m.Name]
		if a.state != nil {
			t.see(s, now, a)
		}
		e := enforcer{name: displayName(m, s.state)}
		switch {
		case s.state != nil && now.Sub(s.answered) < a.patience():
			unsure = unsure || a.state == nil
			whole = whole && a.told != nil
			e.report(s.state, t.documents[digestOf(s.state)])
			states[m.Name], counted[m.Name] = s.state, s.counted
		default:
			e.problem = cmp.Or(a.problem, "does not answer")
		}
		o.enforcers = append(o.enforcers, e)
	}
	for i, m := range members {
		o.enforcers[i].listen(now, present[m.Name], states)
	}
	t.seen = present // members that left are forgotten
	t.forget()
	o.usage = t.meter.view
	if whole {
		o.usage = t.meter.measure(now, counted)
	}
	return o, unsure
}

// see takes in what an enforcer answered. A document says what runs: that does not
// change while it is in force.
func (t *tracker) see(s *sighting, now time.Time, a answer) {
	s.answered, s.state = now, a.state
	if a.told == nil {
		return
	}
	s.counted = a.told.tally(a.state, t.limits)
	t.limits = s.counted.limits
	if digest := digestOf(a.state); t.documents[digest] == nil {
		t.documents[digest] = a.told.runs()
	}
}

// forget drops documents that nobody runs and that are not published any more.
func (t *tracker) forget() {
	used := map[string]bool{t.published: true}
	for _, s := range t.seen {
		if s.state != nil {
			used[digestOf(s.state)] = true
		}
	}
	maps.DeleteFunc(t.documents, func(digest string, _ documentRuns) bool { return !used[digest] })
}

func (e *enforcer) report(s *report.State, runs documentRuns) {
	e.version, e.digest, e.refused, e.runs = s.Version, digestOf(s), s.Refused, runs
	e.keys = strings.Join(s.GossipKeys, " ")
}

// listen notes whom an enforcer hears, of those that answered.
func (e *enforcer) listen(now time.Time, s *sighting, states map[string]*report.State) {
	if e.problem != "" || s.state.Peers == nil {
		return
	}
	heard := map[string]bool{s.state.Node: true}
	for _, p := range s.state.Peers {
		if p.LastHeard != nil && s.state.Now.Sub(*p.LastHeard) < heardLately {
			heard[p.Node] = true
		}
	}
	e.members = len(heard)
	missing := 0
	for _, other := range states {
		if !heard[other.Node] {
			missing++
		}
	}
	switch {
	case missing == 0:
		s.apart = time.Time{}
	case s.apart.IsZero():
		s.apart = now
	case now.Sub(s.apart) >= apartTime:
		e.apart = fmt.Sprintf("%s does not hear %d of %d others", e.name, missing, len(states)-1)
	}
}

// displayName prefers what the enforcer calls itself to a bare address.
func displayName(m discovery.Endpoint, state *report.State) string {
	_, _, err := net.SplitHostPort(m.Name)
	if state != nil && state.Node != "" && (err == nil || m.Name == m.Host) {
		return state.Node
	}
	return m.Name
}

func digestOf(s *report.State) string {
	if s.Document == nil {
		return ""
	}
	return s.Document.Digest
}

// lags says whether any enforcer does not run the document with this digest.
func (o *observation) lags(digest string) bool {
	return slices.ContainsFunc(o.enforcers, func(e enforcer) bool { return e.digest != digest })
}

// changed returns the policies whose status the step from o to next changes, out
// of all; and whether the enforcers themselves look different. The first
// observation, when o is nil, changes everything: statuses wait for it.
func (o *observation) changed(next *observation, all map[types.NamespacedName]verdict) (policies []types.NamespacedName, pool bool) {
	if o == nil {
		return slices.Collect(maps.Keys(all)), true
	}
	pool = !slices.EqualFunc(o.enforcers, next.enforcers, func(a, b enforcer) bool {
		return a.name == b.name && a.problem == b.problem && a.digest == b.digest && a.refused == b.refused &&
			a.keys == b.keys && a.members == b.members && a.apart == b.apart
	})
	for name, v := range all {
		if pool && !slices.EqualFunc(o.enforcers, next.enforcers, func(a, b enforcer) bool {
			return a.name == b.name && a.problem == b.problem && a.refused == b.refused && a.runs[name] == b.runs[name]
		}) || !slices.Equal(o.usage[v.uid], next.usage[v.uid]) {
			policies = append(policies, name)
		}
	}
	return policies, pool
}
