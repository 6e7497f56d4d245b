package controllers

import (
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/enforcer/assemble"
)

// policyFacts is everything besides the policy that its status is a function of.
type policyFacts struct {
	pool        types.NamespacedName
	poolExists  bool
	defaults    *v1alpha1.LimitDefaults // of the pool
	outcome     assemble.Outcome        // of this generation; meaningless without a pool
	unpublished string                  // why the outcome is not published; "" when it is
	enforcers   []policySighting        // the ready ones of the pool
	usage       policyUsage             // nil: not measured yet
}

// policySighting is what one enforcer does with the policy.
type policySighting struct {
	name       string
	version    string // of its program
	problem    string // why nothing is known of it; "" when it answers
	refused    string // why it does not run a newer document
	generation int64  // that it runs, 0 for none
	otherwise  bool   // it runs that, but not as it is published
}

// policyStatus returns what the status of a policy should be. Conditions of others
// are kept.
func policyStatus(policy *v1alpha1.RateLimitPolicy, f policyFacts, now time.Time) v1alpha1.RateLimitPolicyStatus {
	status := *policy.Status.DeepCopy()
	status.ObservedGeneration = policy.Generation
	status.Domain = f.outcome.Domain
	if !f.poolExists {
		f.outcome, f.enforcers, f.usage = assemble.Outcome{}, nil, nil
		status.Domain = ""
	}
	status.Enforcers = enforcerCount(f.running(policy.Generation), len(f.enforcers))

	accepted := f.accepted()
	programmed := f.programmed(policy.Generation, accepted)
	setConditions(&status.Conditions, policy.Generation, now, accepted, programmed, readyCondition(accepted, programmed))
	f.showUsage(policy, &status)
	return status
}

func (f *policyFacts) accepted() metav1.Condition {
	c := metav1.Condition{Type: v1alpha1.ConditionAccepted, Status: metav1.ConditionFalse, Reason: f.outcome.Reason, Message: f.outcome.Message}
	switch {
	case !f.poolExists:
		c.Reason = v1alpha1.ReasonPoolNotFound
		c.Message = fmt.Sprintf("there is no EnforcerPool %s in namespace %s: create it, or name another in spec.poolRef", f.pool.Name, f.pool.Namespace)
	case f.outcome.Reason == v1alpha1.ReasonAccepted:
		c.Status = metav1.ConditionTrue
	}
	return c
}

func (f *policyFacts) programmed(generation int64, accepted metav1.Condition) metav1.Condition {
	c := metav1.Condition{Type: v1alpha1.ConditionProgrammed, Status: metav1.ConditionFalse}
	switch {
	case !f.poolExists:
		c.Reason, c.Message = v1alpha1.ReasonNotAccepted, "nothing enforces this policy: its pool does not exist"
	case accepted.Status != metav1.ConditionTrue && f.outcome.InForce == 0:
		c.Reason, c.Message = v1alpha1.ReasonNotAccepted, "no version of this policy is in force"
	case accepted.Status != metav1.ConditionTrue:
		c.Reason = v1alpha1.ReasonNotAccepted
		c.Message = "the last good version stays in force: " + f.count(f.outcome.InForce)
	case len(f.enforcers) == 0:
		c.Reason = v1alpha1.ReasonNoEnforcers
		c.Message = fmt.Sprintf("pool %s has no ready enforcer", f.pool.Name)
	case f.unpublished != "":
		c.Reason = v1alpha1.ReasonPending
		c.Message = fmt.Sprintf("the document of pool %s is not published: %s", f.pool.Name, f.unpublished)
	case f.running(generation) < len(f.enforcers):
		c.Reason, c.Message = v1alpha1.ReasonPending, f.count(generation)
	default:
		c.Status, c.Reason, c.Message = metav1.ConditionTrue, v1alpha1.ReasonProgrammed, f.count(generation)
	}
	return c
}

// readyCondition is True when all others are, and else says what the first says
// that is not.
func readyCondition(others ...metav1.Condition) metav1.Condition {
	ready := metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonReady}
	for _, c := range others {
		ready.Message = c.Message
		if c.Status != metav1.ConditionTrue {
			ready.Status, ready.Reason = metav1.ConditionFalse, c.Reason
			break
		}
	}
	return ready
}

// running returns how many enforcers run a generation.
func (f *policyFacts) running(generation int64) int {
	n := 0
	for _, e := range f.enforcers {
		if e.runs(generation) {
			n++
		}
	}
	return n
}

// count says how many enforcers run a generation, and what the others do.
func (f *policyFacts) count(generation int64) string {
	text := fmt.Sprintf("generation %d runs on %d of %d enforcers", generation, f.running(generation), len(f.enforcers))
	var others []string
	for _, e := range f.enforcers {
		if !e.runs(generation) {
			others = append(others, e.lag())
		}
	}
	if len(others) > 0 {
		text += "; " + enumerate(others)
	}
	return text
}

// runs says whether an enforcer runs a generation as it is published.
func (e *policySighting) runs(generation int64) bool {
	return e.generation == generation && !e.otherwise
}

// lag says what an enforcer does instead of running a generation.
func (e *policySighting) lag() string {
	switch {
	case e.problem != "":
		return e.name + " " + e.problem
	case e.refused != "":
		return e.name + " refuses the document: " + shorten(e.refused, maxRefusal)
	case e.otherwise:
		return e.name + " runs it otherwise: " + whyOtherwise(e.version)
	case e.generation != 0:
		return fmt.Sprintf("%s runs generation %d", e.name, e.generation)
	default:
		return e.name + " does not run it yet"
	}
}

// whyOtherwise says what keeps an enforcer with some version from running what is
// published as that is.
func whyOtherwise(version string) string {
	return fmt.Sprintf("it has not taken the pool's defaults yet, or its version, %s, does not know a field", version)
}

// showUsage fills in the figures. What is shown stays until there is a newer
// measurement, so a restart of the manager blanks nothing; a policy that nobody
// enforces has no figures.
func (f *policyFacts) showUsage(policy *v1alpha1.RateLimitPolicy, status *v1alpha1.RateLimitPolicyStatus) {
	shown := status.Limits
	status.Limits, status.AdmittedPerSecond, status.LimitedPerSecond = nil, nil, nil
	if f.outcome.InForce == 0 || len(f.enforcers) == 0 {
		return
	}
	var admitted, limited int64
	for i := range policy.Spec.Limits {
		l := &policy.Spec.Limits[i]
		figures := f.figures(l.Name, shown)
		status.Limits = append(status.Limits, figures)
		if f.defaults.ModeOf(l) != v1alpha1.ModeShadow {
			admitted += figures.AdmittedPerSecond
			limited += figures.LimitedPerSecond
		}
	}
	status.AdmittedPerSecond, status.LimitedPerSecond = &admitted, &limited
}

func (f *policyFacts) figures(limit string, shown []v1alpha1.LimitStatus) v1alpha1.LimitStatus {
	if i := slices.IndexFunc(f.usage, func(u limitUsage) bool { return u.name == limit }); i >= 0 {
		u := f.usage[i]
		return v1alpha1.LimitStatus{Name: limit, ActiveKeys: u.activeKeys, AdmittedPerSecond: u.admitted, LimitedPerSecond: u.limited, OverAdmission: percent(u.over)}
	}
	if i := slices.IndexFunc(shown, func(s v1alpha1.LimitStatus) bool { return s.Name == limit }); i >= 0 && f.usage == nil {
		return shown[i]
	}
	return v1alpha1.LimitStatus{Name: limit, OverAdmission: percent(0)}
}

// percent writes thousandths down as a percentage.
func percent(perMille int64) string { return fmt.Sprintf("%d.%d%%", perMille/10, perMille%10) }
