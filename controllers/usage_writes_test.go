package controllers

import (
	"context"
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/enforcer/discovery"
	"github.com/sluice-dev/sluice/enforcer/report"
)

// How a policy is used, in requests per second at a second; a fourth of all each way.
const (
	idle     = iota
	steady   // the same all the time
	stepping // four times as much from a second of its own
	restless // never the same, until it calms down
)

const (
	stepsFrom = 60
	calmsDown = 120 // the second from which nothing changes any more
)

func demand(policy, second int) int64 {
	switch policy % 4 {
	case steady:
		return 100
	case stepping:
		if second >= stepsAt(policy) {
			return 400
		}
		return 100
	case restless:
		return 10 + int64(min(second, calmsDown)*(policy+7)*7919%1000)
	}
	return 0
}

func stepsAt(policy int) int { return stepsFrom + policy%17 }

// A thousand policies are used for three minutes. Usage has a status written at most
// every 15 seconds, and not at all while it stays the same; and what it changed to is
// there within 15 seconds after the first sample that has nothing else.
func TestUsageOfAThousandPoliciesWritesLittle(t *testing.T) {
	const policies, late = 1000, int((refreshEvery + sampleEvery) / time.Second)
	w := newUsedWorld(t, policies)
	for second := range calmsDown + 60 {
		w.pass(second)
		for i := range policies {
			if i%4 == stepping && second == stepsAt(i)+late && !near(w.shown(i), 400) {
				t.Errorf("policy %d was asked for 400/s %d s ago, and its status says %d/s", i, late, w.shown(i))
			}
		}
	}
	for i := range policies {
		writes := w.writes[i][1:] // the first one made it Ready
		for n, second := range writes {
			switch {
			case n > 0 && second-writes[n-1] < int(refreshEvery/time.Second):
				t.Errorf("the status of policy %d was written at %d s and again at %d s", i, writes[n-1], second)
			case second >= calmsDown+late:
				t.Errorf("the status of policy %d was written at %d s, when nothing had changed since %d s", i, second, calmsDown)
			}
		}
		// One that steps within a sample is seen half-way too.
		if most := map[int]int{idle: 0, steady: 1, stepping: 3, restless: 1000}[i%4]; len(writes) > most {
			t.Errorf("the status of policy %d was written at %d s, want %d times at most", i, writes, most)
		}
		if want := demand(i, calmsDown); !near(w.shown(i), want) {
			t.Errorf("the status of policy %d says %d/s in the end, want %d/s", i, w.shown(i), want)
		}
	}
}

// usedWorld is some policies, two enforcers that are asked for them, and all that
// goes from what these tell to the status of those, on a clock of its own.
type usedWorld struct {
	*testing.T
	client.Client // nil: nobody calls what is not here
	now           time.Time
	tracker       *tracker
	reconciler    *policyReconciler
	policies      []*v1alpha1.RateLimitPolicy
	index         map[types.NamespacedName]int
	admitted      []int64 // of each policy, at each enforcer
	writes        [][]int // the seconds at which the status of each policy was written
}

func newUsedWorld(t *testing.T, policies int) *usedWorld {
	w := &usedWorld{
		T: t, tracker: newTracker(), index: map[types.NamespacedName]int{},
		admitted: make([]int64, policies), writes: make([][]int, policies),
	}
	w.reconciler = &policyReconciler{
		client: w, statuses: &statusWriter{client: w}, namespace: defaultPool.Namespace, board: newBoard(), events: &events.FakeRecorder{},
		now: func() time.Time { return w.now }, announced: map[types.NamespacedName]running{},
	}
	verdicts := map[types.NamespacedName]verdict{}
	for i := range policies {
		p := policyAt(1)
		p.Name, p.UID, p.Spec.Limits = fmt.Sprint("policy-", i), types.UID(fmt.Sprint("u", i)), p.Spec.Limits[:1]
		w.policies = append(w.policies, p)
		w.index[client.ObjectKeyFromObject(p)] = i
		verdicts[client.ObjectKeyFromObject(p)] = verdict{p.UID, p.Generation, accepted(1)}
	}
	w.reconciler.board.judge(defaultPool.Name, &judgment{verdicts: verdicts})
	return w
}

// pass lets a second pass: requests come, the enforcers are asked, and policies of
// which there is news are reconciled.
func (w *usedWorld) pass(second int) {
	w.now = day.Add(time.Duration(second) * time.Second)
	var told []report.Policy
	for i, p := range w.policies {
		w.admitted[i] += demand(i, second) / 2
		used := report.Usage{Name: p.Spec.Limits[0].Name, ActiveKeys: min(1, w.admitted[i]), Admitted: w.admitted[i]}
		told = append(told, report.Policy{Namespace: p.Namespace, Name: p.Name, UID: string(p.UID), Generation: 1, Limits: []report.Usage{used}})
	}
	same := tellingOf(&report.State{Started: day, Now: w.now, Document: &report.Document{Digest: "1"}}, told...)
	o, _ := w.tracker.observe(w.now, []discovery.Endpoint{{Name: "a"}, {Name: "b"}}, map[string]answer{"a": same, "b": same})
	woken, _, _ := w.reconciler.board.observe(defaultPool.Name, o)
	for _, name := range woken {
		if _, err := w.reconciler.Reconcile(w.Context(), ctrl.Request{NamespacedName: name}); err != nil {
			w.Fatal(err)
		}
	}
}

// shown returns how many requests per second the status of a policy says.
func (w *usedWorld) shown(policy int) int64 { return *w.policies[policy].Status.AdmittedPerSecond }

// Get implements client.Reader. Every pool exists.
func (w *usedWorld) Get(_ context.Context, name types.NamespacedName, into client.Object, _ ...client.GetOption) error {
	if p, ok := into.(*v1alpha1.RateLimitPolicy); ok {
		w.policies[w.index[name]].DeepCopyInto(p)
	}
	return nil
}

// Status implements client.StatusClient.
func (w *usedWorld) Status() client.SubResourceWriter { return usedStatus{w: w} }

type usedStatus struct {
	client.SubResourceWriter // nil
	w                        *usedWorld
}

// Update implements client.SubResourceWriter.
func (s usedStatus) Update(_ context.Context, o client.Object, _ ...client.SubResourceUpdateOption) error {
	i := s.w.index[client.ObjectKeyFromObject(o)]
	s.w.policies[i] = o.(*v1alpha1.RateLimitPolicy).DeepCopy()
	s.w.writes[i] = append(s.w.writes[i], int(s.w.now.Sub(day)/time.Second))
	return nil
}
