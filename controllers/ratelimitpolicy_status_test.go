package controllers

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/enforcer/assemble"
)

var (
	day         = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	defaultPool = types.NamespacedName{Namespace: "sluice-system", Name: "default"}
)

// policyAt returns a policy with the limits "per-client" and, in shadow mode, "trial".
func policyAt(generation int64) *v1alpha1.RateLimitPolicy {
	return &v1alpha1.RateLimitPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: "sluice.dev/v1alpha1", Kind: "RateLimitPolicy"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "storefront", UID: "u1", Generation: generation},
		Spec: v1alpha1.RateLimitPolicySpec{Limits: []v1alpha1.Limit{
			{Name: "per-client"}, {Name: "trial", Mode: v1alpha1.ModeShadow},
		}},
	}
}

func accepted(inForce int64) assemble.Outcome {
	return assemble.Outcome{Reason: v1alpha1.ReasonAccepted, Message: "accepted", Domain: "storefront", InForce: inForce}
}

// runs returns enforcers a, b, c … that run these generations.
func runs(generations ...int64) []policySighting {
	list := make([]policySighting, len(generations))
	for i, g := range generations {
		list[i] = policySighting{name: string(rune('a' + i)), generation: g}
	}
	return list
}

func TestPolicyStatusConditions(t *testing.T) {
	type want struct {
		accepted, programmed, ready string // reason: message
		enforcers                   string
	}
	tests := map[string]struct {
		facts policyFacts // pool and poolExists are filled in
		gone  bool        // the pool does not exist
		want  want
	}{
		"every enforcer runs it": {
			facts: policyFacts{outcome: accepted(4), enforcers: runs(4, 4, 4)},
			want: want{
				"True Accepted: accepted",
				"True Programmed: generation 4 runs on 3 of 3 enforcers",
				"True Ready: generation 4 runs on 3 of 3 enforcers",
				"3/3",
			},
		},
		"one enforcer lags, one does not have it, one is dead": {
			facts: policyFacts{outcome: accepted(4), enforcers: append(runs(4, 3, 0),
				policySighting{name: "d", problem: "does not answer: connection refused"})},
			want: want{
				"True Accepted: accepted",
				"False Pending: generation 4 runs on 1 of 4 enforcers; b runs generation 3; c does not run it yet; d does not answer: connection refused",
				"False Pending: generation 4 runs on 1 of 4 enforcers; b runs generation 3; c does not run it yet; d does not answer: connection refused",
				"1/4",
			},
		},
		"many enforcers lag": {
			facts: policyFacts{outcome: accepted(4), enforcers: runs(3, 3, 3, 3, 3)},
			want: want{
				"True Accepted: accepted",
				"False Pending: generation 4 runs on 0 of 5 enforcers; a runs generation 3; b runs generation 3; c runs generation 3; and 2 more",
				"False Pending: generation 4 runs on 0 of 5 enforcers; a runs generation 3; b runs generation 3; c runs generation 3; and 2 more",
				"0/5",
			},
		},
		"an enforcer refuses the document": {
			facts: policyFacts{outcome: accepted(4), enforcers: []policySighting{{name: "a", generation: 3, refused: "version 2 is too new"}}},
			want: want{
				"True Accepted: accepted",
				"False Pending: generation 4 runs on 0 of 1 enforcers; a refuses the document: version 2 is too new",
				"False Pending: generation 4 runs on 0 of 1 enforcers; a refuses the document: version 2 is too new",
				"0/1",
			},
		},
		"an enforcer runs something else that has its generation": {
			facts: policyFacts{outcome: accepted(4), enforcers: append(runs(4), policySighting{name: "b", version: "v0.9.0", generation: 4, otherwise: true})},
			want: want{
				"True Accepted: accepted",
				"False Pending: generation 4 runs on 1 of 2 enforcers; b runs it otherwise: it has not taken the pool's defaults yet, or its version, v0.9.0, does not know a field",
				"False Pending: generation 4 runs on 1 of 2 enforcers; b runs it otherwise: it has not taken the pool's defaults yet, or its version, v0.9.0, does not know a field",
				"1/2",
			},
		},
		"an enforcer that runs it and refuses a later change of others counts": {
			facts: policyFacts{outcome: accepted(4), enforcers: []policySighting{{name: "a", generation: 4, refused: "out of memory"}}},
			want: want{
				"True Accepted: accepted",
				"True Programmed: generation 4 runs on 1 of 1 enforcers",
				"True Ready: generation 4 runs on 1 of 1 enforcers",
				"1/1",
			},
		},
		"a pool without enforcers": {
			facts: policyFacts{outcome: accepted(4)},
			want: want{
				"True Accepted: accepted",
				"False NoEnforcers: pool default has no ready enforcer",
				"False NoEnforcers: pool default has no ready enforcer",
				"0/0",
			},
		},
		"the document cannot be published": {
			facts: policyFacts{outcome: accepted(4), enforcers: runs(3), unpublished: "forbidden"},
			want: want{
				"True Accepted: accepted",
				"False Pending: the document of pool default is not published: forbidden",
				"False Pending: the document of pool default is not published: forbidden",
				"0/1",
			},
		},
		"a new version is invalid and the last good one stays": {
			facts: policyFacts{
				outcome:   assemble.Outcome{Reason: v1alpha1.ReasonInvalid, Message: "spec.limits[0].key[0]: 1:9: undeclared reference", InForce: 3},
				enforcers: runs(3, 3),
			},
			want: want{
				"False Invalid: spec.limits[0].key[0]: 1:9: undeclared reference",
				"False NotAccepted: the last good version stays in force: generation 3 runs on 2 of 2 enforcers",
				"False Invalid: spec.limits[0].key[0]: 1:9: undeclared reference",
				"0/2",
			},
		},
		"a policy that never was valid": {
			facts: policyFacts{outcome: assemble.Outcome{Reason: v1alpha1.ReasonInvalid, Message: "bad"}, enforcers: runs(0)},
			want: want{
				"False Invalid: bad",
				"False NotAccepted: no version of this policy is in force",
				"False Invalid: bad",
				"0/1",
			},
		},
		"the pool does not exist": {
			facts: policyFacts{},
			gone:  true,
			want: want{
				"False PoolNotFound: there is no EnforcerPool default in namespace sluice-system: create it, or name another in spec.poolRef",
				"False NotAccepted: nothing enforces this policy: its pool does not exist",
				"False PoolNotFound: there is no EnforcerPool default in namespace sluice-system: create it, or name another in spec.poolRef",
				"0/0",
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			tc.facts.pool, tc.facts.poolExists = defaultPool, !tc.gone
			s := policyStatus(policyAt(4), tc.facts, day)
			got := want{
				text(t, s.Conditions, v1alpha1.ConditionAccepted), text(t, s.Conditions, v1alpha1.ConditionProgrammed),
				text(t, s.Conditions, v1alpha1.ConditionReady), s.Enforcers.Summary,
			}
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(want{})); diff != "" {
				t.Errorf("status (-want +got):\n%s", diff)
			}
			if s.ObservedGeneration != 4 {
				t.Errorf("observedGeneration %d, want 4", s.ObservedGeneration)
			}
		})
	}
}

// text returns a condition in one line, and checks what all have in common.
func text(t *testing.T, conditions []metav1.Condition, kind string) string {
	t.Helper()
	c := meta.FindStatusCondition(conditions, kind)
	if c == nil {
		t.Fatalf("there is no condition %s", kind)
	}
	if c.ObservedGeneration != 4 || !c.LastTransitionTime.Time.Equal(day) {
		t.Errorf("%s has observedGeneration %d and lastTransitionTime %s", kind, c.ObservedGeneration, c.LastTransitionTime)
	}
	return string(c.Status) + " " + c.Reason + ": " + c.Message
}

func TestPolicyStatusIsStable(t *testing.T) {
	facts := policyFacts{pool: defaultPool, poolExists: true, outcome: accepted(4), enforcers: runs(4, 4)}
	policy := policyAt(4)
	policy.Status.Conditions = []metav1.Condition{{Type: "example.com/Audited", Status: metav1.ConditionTrue}}
	policy.Status = policyStatus(policy, facts, day)
	again := policyStatus(policy, facts, day.Add(time.Hour))
	if diff := cmp.Diff(policy.Status, again); diff != "" {
		t.Errorf("nothing changed, but the status did (-before +after):\n%s", diff)
	}
	if meta.FindStatusCondition(again.Conditions, "example.com/Audited") == nil {
		t.Error("the condition of somebody else is gone")
	}

	facts.enforcers[1].generation = 3
	lagging := policyStatus(policy, facts, day.Add(time.Hour))
	if c := meta.FindStatusCondition(lagging.Conditions, v1alpha1.ConditionProgrammed); !c.LastTransitionTime.Time.Equal(day.Add(time.Hour)) {
		t.Errorf("Programmed went False at %s, want an hour later", c.LastTransitionTime)
	}
	if c := meta.FindStatusCondition(lagging.Conditions, v1alpha1.ConditionAccepted); !c.LastTransitionTime.Time.Equal(day) {
		t.Errorf("Accepted did not change, but has time %s", c.LastTransitionTime)
	}
}

func TestPolicyStatusUsage(t *testing.T) {
	measured := policyUsage{{"per-client", 7, 98, 391, 12}, {"trial", 7, 10, 20, 0}}
	figures := func(admitted, limited int64, limits ...v1alpha1.LimitStatus) v1alpha1.RateLimitPolicyStatus {
		return v1alpha1.RateLimitPolicyStatus{AdmittedPerSecond: &admitted, LimitedPerSecond: &limited, Limits: limits}
	}
	shown := figures(98, 391, v1alpha1.LimitStatus{Name: "per-client", ActiveKeys: 7, AdmittedPerSecond: 98, LimitedPerSecond: 391, OverAdmission: "1.2%"},
		v1alpha1.LimitStatus{Name: "trial", ActiveKeys: 7, AdmittedPerSecond: 10, LimitedPerSecond: 20, OverAdmission: "0.0%"})

	tests := map[string]struct {
		before v1alpha1.RateLimitPolicyStatus
		facts  policyFacts
		want   v1alpha1.RateLimitPolicyStatus
	}{
		"totals leave out shadow limits": {
			facts: policyFacts{outcome: accepted(4), enforcers: runs(4), usage: measured},
			want:  shown,
		},
		"a limit may be a shadow by default": {
			facts: policyFacts{outcome: accepted(4), enforcers: runs(4), usage: measured, defaults: &v1alpha1.LimitDefaults{Mode: v1alpha1.ModeShadow}},
			want:  figures(0, 0, shown.Limits...),
		},
		"figures are zero before the first measurement": {
			facts: policyFacts{outcome: accepted(4), enforcers: runs(4)},
			want:  figures(0, 0, v1alpha1.LimitStatus{Name: "per-client", OverAdmission: "0.0%"}, v1alpha1.LimitStatus{Name: "trial", OverAdmission: "0.0%"}),
		},
		"figures stay while there is no newer measurement": {
			before: shown,
			facts:  policyFacts{outcome: accepted(4), enforcers: runs(4)},
			want:   shown,
		},
		"a limit that is not measured yet has zeros": {
			before: shown,
			facts:  policyFacts{outcome: accepted(4), enforcers: runs(4), usage: measured[:1]},
			want: figures(98, 391, v1alpha1.LimitStatus{Name: "per-client", ActiveKeys: 7, AdmittedPerSecond: 98, LimitedPerSecond: 391, OverAdmission: "1.2%"},
				v1alpha1.LimitStatus{Name: "trial", OverAdmission: "0.0%"}),
		},
		"a policy that nobody enforces has no figures": {
			before: shown,
			facts:  policyFacts{outcome: assemble.Outcome{Reason: v1alpha1.ReasonInvalid}, enforcers: runs(0), usage: measured},
		},
		"a pool without enforcers has no figures": {
			before: shown,
			facts:  policyFacts{outcome: accepted(4), usage: measured},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			tc.facts.pool, tc.facts.poolExists = defaultPool, true
			policy := policyAt(4)
			policy.Status = tc.before
			s := policyStatus(policy, tc.facts, day)
			got := v1alpha1.RateLimitPolicyStatus{AdmittedPerSecond: s.AdmittedPerSecond, LimitedPerSecond: s.LimitedPerSecond, Limits: s.Limits}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("figures (-want +got):\n%s", diff)
			}
		})
	}
}

// Argo CD, Flux and kubectl read a status by the rules of kstatus.
func TestPolicyStatusSpeaksKstatus(t *testing.T) {
	programmed := policyFacts{pool: defaultPool, poolExists: true, outcome: accepted(4), enforcers: runs(4, 4)}
	lagging := policyFacts{pool: defaultPool, poolExists: true, outcome: accepted(4), enforcers: runs(4, 3)}
	tests := map[string]struct {
		generation int64 // of the object now
		facts      policyFacts
		want       status.Status
	}{
		"a programmed policy is current":                  {4, programmed, status.CurrentStatus},
		"a policy that lags is in progress":               {4, lagging, status.InProgressStatus},
		"a policy without a pool is in progress":          {4, policyFacts{pool: defaultPool}, status.InProgressStatus},
		"a policy that changed since then is in progress": {5, programmed, status.InProgressStatus},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			policy := policyAt(4)
			policy.Status = policyStatus(policy, tc.facts, day)
			policy.Generation = tc.generation
			object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(policy)
			if err != nil {
				t.Fatal(err)
			}
			got, err := status.Compute(&unstructured.Unstructured{Object: object})
			if err != nil || got.Status != tc.want {
				t.Errorf("kstatus says %v, %v; want %s", got, err, tc.want)
			}
		})
	}
}
