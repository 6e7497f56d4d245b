package integration

import (
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/enforcer/policy"
)

// What the pool's admin says of all limits reaches the enforcers, and the authors of
// those that take it.
func TestAPoolHasDefaults(t *testing.T) {
	w := newWorld(t, 1)
	pool := &v1alpha1.EnforcerPool{ObjectMeta: metav1.ObjectMeta{Namespace: w.operator, Name: "default"}}
	silent := w.policy(w.shop, "silent", "", byKey)
	outspoken := w.newPolicy(w.shop, "outspoken", "", byPath)
	outspoken.Spec.Limits[0].Mode = v1alpha1.ModeEnforce
	w.create(outspoken)
	w.awaitReady(silent)
	w.awaitReady(outspoken)
	has := func(p *v1alpha1.RateLimitPolicy, mode string) {
		w.eventually(p.Name+" is in mode "+mode, func() error {
			if got := w.enforcers[0].runs(client.ObjectKeyFromObject(p)).Limits[0].Mode; got != mode {
				return fmt.Errorf("its mode is %s", got)
			}
			return nil
		})
	}
	has(silent, policy.Enforce)

	w.editPool(pool, func(s *v1alpha1.EnforcerPoolSpec) { s.Defaults = &v1alpha1.LimitDefaults{Mode: v1alpha1.ModeShadow} })
	has(silent, policy.Shadow)
	w.awaitPolicy(silent, v1alpha1.ConditionAccepted, isTrue, "by the defaults of EnforcerPool default, limits that do not say otherwise have mode Shadow")
	has(outspoken, policy.Enforce)
	w.awaitReady(silent)

	// Its generation is the same; that it is not enforced as it should be is told.
	w.enforcers[0].lag(true)
	w.editPool(pool, func(s *v1alpha1.EnforcerPoolSpec) { s.Defaults = nil })
	w.awaitPolicy(silent, v1alpha1.ConditionProgrammed, isFalse, "sluice-0 runs it otherwise: it has not taken the pool's defaults yet")
	w.read(outspoken)
	if c := meta.FindStatusCondition(outspoken.Status.Conditions, v1alpha1.ConditionProgrammed); c.Status != isTrue {
		t.Errorf("a policy that takes no default is %v", c)
	}
	w.enforcers[0].lag(false)
	has(silent, policy.Enforce)
	w.awaitPolicy(silent, v1alpha1.ConditionAccepted, isTrue, "the policy is valid "+v1alpha1.ReasonAccepted)
	w.awaitReady(silent)
}

// An enforcer that a pool holds back ignores what is newer than it. That is no secret to
// who writes it, nor to who holds it back.
func TestAnEnforcerIsTooOldForAField(t *testing.T) {
	w := newWorld(t, 2)
	pool := &v1alpha1.EnforcerPool{ObjectMeta: metav1.ObjectMeta{Namespace: w.operator, Name: "default"}}
	w.editPool(pool, func(s *v1alpha1.EnforcerPoolSpec) { s.ServiceName = "theirs" })
	w.enforcers[1].become(true)
	plain, modern := w.policy(w.shop, "plain", "", byKey), w.newPolicy(w.shop, "modern", "", byPath)
	modern.Spec.Limits[0].Cost = new(v1alpha1.Expression("2"))
	w.create(modern)
	why := "sluice-1 runs it otherwise: it has not taken the pool's defaults yet, or its version, v0.9.0, does not know a field"
	w.awaitPolicy(modern, v1alpha1.ConditionReady, isFalse, "generation 1 runs on 1 of 2 enforcers; "+why)
	w.awaitPool(pool, v1alpha1.ConditionReady, isFalse, "Pending: 1 of 2 enforcers run the published document; "+why)
	w.awaitReady(plain)

	w.enforcers[1].become(false)
	w.awaitReady(modern)
	w.awaitPool(pool, v1alpha1.ConditionReady, isTrue, "Ready: 2 of 2 enforcers run the published document")
}
