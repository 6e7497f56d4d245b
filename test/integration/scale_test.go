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
	first := w.policy(w.shop, "first", "", byKey)
	w.awaitReady(first)
	alone := w.changing(first, 5)
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
		took = append(took, w.changing(all[i*policies/changes], 1)...)
	}
	w.withinASecond(fmt.Sprintf("apply → Programmed among %d policies", policies), took, 20*median(alone))
}
