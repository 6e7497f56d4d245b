package controllers

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/enforcer/discovery"
	"github.com/sluice-dev/sluice/enforcer/report"
)

var storefront = types.NamespacedName{Namespace: "shop", Name: "storefront"}

// answering returns the answer of an enforcer that runs a generation of storefront.
func answering(node string, generation int64) answer {
	return tellingOf(
		&report.State{Node: node, Document: &report.Document{Digest: fmt.Sprint("digest-", generation)}},
		report.Policy{Namespace: "shop", Name: "storefront", UID: "u1", Generation: generation},
	)
}

// tellingOf returns the answer of an enforcer that tells its policies.
func tellingOf(state *report.State, policies ...report.Policy) answer {
	told := &telling{}
	for i := range policies {
		told.add(&policies[i])
	}
	return answer{state: state, told: told}
}

func TestTrackerIsPatientButNotLong(t *testing.T) {
	pod := []discovery.Endpoint{{Name: "pod", Host: "10.0.0.1", Ready: true}}
	refused := answer{problem: "does not answer: connection refused"}
	late := answer{problem: "does not answer: timeout", late: true}
	tracker := newTracker()
	steps := []struct {
		at          time.Duration
		answer      answer
		wantProblem string
		wantRuns    int64
		wantUnsure  bool
		why         string
	}{
		{0, refused, "does not answer: connection refused", 0, false, "one that never answered gets no credit"},
		{1 * time.Second, answering("pod", 3), "", 3, false, "it came up"},
		{2 * time.Second, refused, "", 3, true, "one lost answer is no news"},
		{2200 * time.Millisecond, refused, "", 3, true, "still within patience"},
		{2250 * time.Millisecond, refused, "does not answer: connection refused", 0, false, "it is gone"},
		{5 * time.Second, answering("pod", 4), "", 4, false, "it came back"},
		{6 * time.Second, answer{state: &report.State{Node: "pod", Refused: "too new"}}, "", 0, false, "it restarted and has no document"},
		{7 * time.Second, answering("pod", 4), "", 4, false, "and got one"},
		{10 * time.Second, late, "", 4, true, "it is slow, or this machine is"},
		{11 * time.Second, answering("pod", 4), "", 4, false, "as it turns out"},
		{15 * time.Second, late, "", 4, true, "once more"},
		{16 * time.Second, late, "does not answer: timeout", 0, false, "it hangs"},
	}
	for _, s := range steps {
		o, unsure := tracker.observe(day.Add(s.at), pod, map[string]answer{"pod": s.answer})
		e := o.enforcers[0]
		if e.problem != s.wantProblem || e.runs[storefront].generation != s.wantRuns || unsure != s.wantUnsure {
			t.Errorf("at %s: problem %q, runs %d, unsure %v; want %q, %d, %v: %s", s.at,
				e.problem, e.runs[storefront].generation, unsure, s.wantProblem, s.wantRuns, s.wantUnsure, s.why)
		}
	}
}

func TestTrackerForgetsWhoLeft(t *testing.T) {
	tracker := newTracker()
	pod := []discovery.Endpoint{{Name: "pod"}}
	tracker.observe(day, pod, map[string]answer{"pod": answering("pod", 3)})
	if o, _ := tracker.observe(day, nil, nil); len(o.enforcers) != 0 {
		t.Errorf("%d enforcers, want none", len(o.enforcers))
	}
	o, _ := tracker.observe(day, pod, map[string]answer{"pod": {problem: "does not answer"}})
	if o.enforcers[0].problem == "" {
		t.Error("a new pod of the same name has the credit of the old one")
	}
}

func TestEnforcersThatDoNotHearEachOtherAreFound(t *testing.T) {
	pods := []discovery.Endpoint{{Name: "a"}, {Name: "b"}, {Name: "c"}}
	hearing := func(at time.Time, node string, ago map[string]time.Duration) answer {
		s := &report.State{Node: node, Now: at, Peers: []report.Peer{{Address: "10.0.0.9:7946"}}}
		for peer, d := range ago {
			s.Peers = append(s.Peers, report.Peer{Node: peer, LastHeard: new(at.Add(-d))})
		}
		return answer{state: s}
	}
	tracker := newTracker()
	for _, s := range []struct {
		at        time.Duration
		cut       bool // a hears nobody, and nobody hears a
		want      string
		wantApart string
		why       string
	}{
		{0, true, "1 2 2", "", "they have just started"},
		{time.Second, false, "3 3 3", "", "they found each other"},
		{9 * time.Second, true, "1 2 2", "", "something went wrong, perhaps for a moment"},
		{14 * time.Second, true, "1 2 2", "a does not hear 2 of 2 others b does not hear 1 of 2 others c does not hear 1 of 2 others", "no"},
		{15 * time.Second, false, "3 3 3", "", "it is over"},
		{16 * time.Second, true, "1 2 2", "", "and begins anew"},
	} {
		now, lately, long := day.Add(s.at), time.Second, time.Minute
		ofA := lately
		if s.cut {
			ofA = long
		}
		o, _ := tracker.observe(now, pods, map[string]answer{
			"a": hearing(now, "a", map[string]time.Duration{"b": ofA, "c": ofA}),
			"b": hearing(now, "b", map[string]time.Duration{"a": ofA, "c": lately}),
			"c": hearing(now, "c", map[string]time.Duration{"a": ofA, "b": lately, "ended": long}),
		})
		var members, apart []string
		for _, e := range o.enforcers {
			members = append(members, fmt.Sprint(e.members))
			apart = append(apart, e.apart)
		}
		got, gotApart := strings.Join(members, " "), strings.TrimSpace(strings.Join(apart, " "))
		if got != s.want || gotApart != s.wantApart {
			t.Errorf("at %s: members %s, apart %q; want %s, %q: %s", s.at, got, gotApart, s.want, s.wantApart, s.why)
		}
	}
}

func TestDisplayName(t *testing.T) {
	tests := map[string]struct {
		member discovery.Endpoint
		state  *report.State
		want   string
	}{
		"a pod has its name":                 {discovery.Endpoint{Name: "sluice-abc", Host: "10.0.0.1"}, &report.State{Node: "other"}, "sluice-abc"},
		"a static member says its own name":  {discovery.Endpoint{Name: "127.0.0.1:9090", Host: "127.0.0.1"}, &report.State{Node: "enforcer-1"}, "enforcer-1"},
		"until then it has its address":      {discovery.Endpoint{Name: "127.0.0.1:9090", Host: "127.0.0.1"}, nil, "127.0.0.1:9090"},
		"an address without a pod likewise":  {discovery.Endpoint{Name: "10.0.0.1", Host: "10.0.0.1"}, &report.State{Node: "enforcer-1"}, "enforcer-1"},
		"one that says nothing keeps its ad": {discovery.Endpoint{Name: "10.0.0.1", Host: "10.0.0.1"}, &report.State{}, "10.0.0.1"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := displayName(tc.member, tc.state); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestWhatRunsOtherwise(t *testing.T) {
	published := running{"u1", 4, 7}
	for why, tc := range map[string]struct {
		runs running
		want bool
	}{
		"it is the same": {running{"u1", 4, 7}, false},
		"another version is not the same version": {running{"u1", 3, 6}, false},
		"nor is another policy of that name":      {running{"u2", 4, 6}, false},
		"it says something else":                  {running{"u1", 4, 6}, true},
		"an old enforcer does not tell":           {running{"u1", 4, 0}, false},
	} {
		if got := tc.runs.otherwise(published); got != tc.want {
			t.Errorf("%s: got %v", why, got)
		}
	}
}

// A policy is woken exactly when what its status is made of changed.
func TestChangedWakesWhomItConcerns(t *testing.T) {
	a := types.NamespacedName{Namespace: "shop", Name: "a"}
	b := types.NamespacedName{Namespace: "shop", Name: "b"}
	all := map[types.NamespacedName]verdict{a: {uid: "ua"}, b: {uid: "ub"}}
	observe := func(digest, problem string, generationA, generationB int64) *observation {
		return &observation{enforcers: []enforcer{{
			name: "pod", digest: digest, problem: problem,
			runs: map[types.NamespacedName]running{a: {"ua", generationA, 0}, b: {"ub", generationB, 0}},
		}}}
	}
	withUsage := observe("1", "", 1, 1)
	withUsage.usage = map[types.UID]policyUsage{"ub": {{"l", 1, 1, 1, 0}}}

	tests := map[string]struct {
		before, after *observation
		want          []types.NamespacedName
		wantPool      bool
	}{
		"the first look concerns all":             {nil, observe("1", "", 1, 1), []types.NamespacedName{a, b}, true},
		"nothing new concerns nobody":             {observe("1", "", 1, 1), observe("1", "", 1, 1), nil, false},
		"a new generation concerns its policy":    {observe("1", "", 1, 1), observe("2", "", 1, 2), []types.NamespacedName{b}, true},
		"an enforcer that dies concerns all":      {observe("1", "", 1, 1), observe("1", "dead", 1, 1), []types.NamespacedName{a, b}, true},
		"usage concerns its policy, not the pool": {observe("1", "", 1, 1), withUsage, []types.NamespacedName{b}, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, pool := tc.before.changed(tc.after, all)
			slices.SortFunc(got, func(a, b types.NamespacedName) int { return slices.Compare([]byte(a.Name), []byte(b.Name)) })
			if diff := cmp.Diff(tc.want, got); diff != "" || pool != tc.wantPool {
				t.Errorf("pool %v, want %v; policies (-want +got):\n%s", pool, tc.wantPool, diff)
			}
		})
	}
}

// Judgments and observations come from two goroutines in any order. Whoever comes
// second wakes those whom both concern, so a policy that was last woken saw all
// that is on the board.
func TestTheBoardForgetsNobody(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := newBoard()
		var seen poolNotes // when the policy was last woken
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			var woken []types.NamespacedName
			if rapid.Bool().Draw(t, "judges") {
				generation := rapid.Int64Range(1, 3).Draw(t, "generation")
				woken = b.judge("default", &judgment{verdicts: map[types.NamespacedName]verdict{storefront: {uid: "u1", generation: generation}}})
			} else {
				tracker := newTracker()
				o, _ := tracker.observe(day, []discovery.Endpoint{{Name: "pod"}},
					map[string]answer{"pod": answering("pod", rapid.Int64Range(1, 3).Draw(t, "runs"))})
				woken, _, _ = b.observe("default", o)
			}
			if slices.Contains(woken, storefront) {
				seen = b.of("default")
			}
		}
		now := b.of("default")
		if now.judgment == nil {
			return
		}
		if now.judgment.verdicts[storefront] != seen.judgment.verdicts[storefront] {
			t.Fatal("a verdict was not told")
		}
		if now.observation == nil {
			return
		}
		if changed, _ := seen.observation.changed(now.observation, now.judgment.verdicts); len(changed) > 0 {
			t.Fatal("an observation was not told")
		}
	})
}
