package integration

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// A thousand policies are applied at once, and then one is changed again and again.
func TestAThousandPolicies(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	const policies, changes = 1000, 30
	w := newWorld(t, 3)
	start := time.Now()
	var applying errgroup.Group
	applying.SetLimit(8)
	all := make([]*v1alpha1.RateLimitPolicy, policies)
	for i := range policies {
		applying.Go(func() error {
			all[i] = w.newPolicy(w.shop, fmt.Sprintf("policy-%04d", i), "", byKey)
			return w.client.Create(w.Context(), all[i])
		})
	}
	if err := applying.Wait(); err != nil {
		t.Fatal(err)
	}
	applied := time.Since(start)
	w.eventually("all are ready", func() error {
		var list v1alpha1.RateLimitPolicyList
		if err := w.client.List(w.Context(), &list, client.InNamespace(w.shop)); err != nil {
			return err
		}
		for i := range list.Items {
			if s := list.Items[i].Status; s.Enforcers == nil || s.Enforcers.Summary != "3/3" {
				return fmt.Errorf("%s has status %v", list.Items[i].Name, s)
			}
		}
		return nil
	})
	t.Logf("%d policies: applied in %s, the last Ready %s later", policies, applied, time.Since(start)-applied)

	var took []time.Duration
	for i := range changes {
		p := all[i*policies/changes]
		start := time.Now()
		w.read(p)
		w.change(p, func(s *v1alpha1.RateLimitPolicySpec) { s.Limits[0].Rate.Requests++ })
		w.awaitPolicy(p, v1alpha1.ConditionProgrammed, isTrue, "runs on 3 of 3 enforcers")
		took = append(took, time.Since(start))
	}
	w.withinASecond(fmt.Sprintf("apply → Programmed among %d policies", policies), took)
}
