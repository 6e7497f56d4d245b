package controllers

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/enforcer/assemble"
)

// Events tell what is new: a fault and its end, and the first time that a generation
// runs everywhere.
func TestAnnounce(t *testing.T) {
	valid := assemble.Outcome{Reason: v1alpha1.ReasonAccepted, Message: "the policy is valid", InForce: 1}
	faulty := assemble.Outcome{Reason: v1alpha1.ReasonInvalid, Message: "a fault", InForce: 1}
	recorder := events.NewFakeRecorder(10)
	newReconciler := func() *policyReconciler {
		return &policyReconciler{events: recorder, announced: map[types.NamespacedName]running{}}
	}
	r := newReconciler()
	policy := &v1alpha1.RateLimitPolicy{}
	policy.Namespace, policy.Name, policy.UID = "shop", "web", "u"
	for _, step := range []struct {
		name       string
		generation int64
		outcome    assemble.Outcome
		enforcers  []policySighting
		restart    bool // of the manager, before
		want       []string
	}{
		{"new, and nobody runs it yet", 1, valid, []policySighting{{name: "a"}}, false, nil},
		{"everybody runs it", 1, valid, []policySighting{{name: "a", generation: 1}}, false, []string{"Normal Programmed generation 1 runs on 1 of 1 enforcers"}},
		{"an enforcer comes: an event of the pool", 1, valid, []policySighting{{name: "a", generation: 1}, {name: "b"}}, false, nil},
		{"and catches up", 1, valid, []policySighting{{name: "a", generation: 1}, {name: "b", generation: 1}}, false, nil},
		{"the manager restarts and sees one less", 1, valid, []policySighting{{name: "a", generation: 1}}, true, nil},
		{"a fault", 2, faulty, []policySighting{{name: "a", generation: 1}}, false, []string{"Warning Invalid a fault"}},
		{
			"the fault is mended", 3, valid,
			[]policySighting{{name: "a", generation: 3}},
			false,
			[]string{"Normal Accepted the policy is valid", "Normal Programmed generation 3 runs on 1 of 1 enforcers"},
		},
		{"the manager restarts before a change is everywhere", 4, valid, []policySighting{{name: "a", generation: 4}}, true, []string{"Normal Programmed generation 4 runs on 1 of 1 enforcers"}},
	} {
		if step.restart {
			r = newReconciler()
		}
		before := policy.Status
		policy.Generation = step.generation
		policy.Status = policyStatus(policy, policyFacts{poolExists: true, outcome: step.outcome, enforcers: step.enforcers}, time.Unix(1, 0))
		r.announce(policy, &before)
		var got []string
		for range len(recorder.Events) {
			got = append(got, <-recorder.Events)
		}
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("%s: events (-want +got):\n%s", step.name, diff)
		}
	}
}
