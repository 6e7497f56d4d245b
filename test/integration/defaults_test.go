package integration

import (
	"fmt"
	"testing"

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

	w.editPool(pool, func(s *v1alpha1.EnforcerPoolSpec) { s.Defaults = nil })
	has(silent, policy.Enforce)
	w.awaitPolicy(silent, v1alpha1.ConditionAccepted, isTrue, "the policy is valid "+v1alpha1.ReasonAccepted)
}
