package controllers

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

func TestSlimTakesNothingThatIsRead(t *testing.T) {
	p := policyAt(3)
	p.Annotations = map[string]string{"team": "shop"}
	p.Spec.Limits[0] = v1alpha1.Limit{
		Name: "a", When: []v1alpha1.Expression{"true"}, Key: []v1alpha1.Expression{"request.path"},
		Algorithm: v1alpha1.AlgorithmTokenBucket, Mode: v1alpha1.ModeShadow, Sharing: v1alpha1.SharingExact, OnUnreachable: v1alpha1.OnUnreachableDeny, Rate: v1alpha1.Rate{Requests: 1, Per: "1s"},
		Overrides: []v1alpha1.Override{{Key: []v1alpha1.KeyPattern{"*"}, Rate: &v1alpha1.Rate{Requests: 2, Per: "1m"}}, {Key: []v1alpha1.KeyPattern{"b"}}},
	}
	p.Status = policyStatus(p, policyFacts{poolExists: true, outcome: accepted(3), enforcers: runs(3, 2)}, day)
	want := p.DeepCopy()

	p.Annotations["kubectl.kubernetes.io/last-applied-configuration"] = "{}"
	p.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubectl"}}
	got, err := slim(p)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("error %v, policy (-want +got):\n%s", err, diff)
	}
	gone := toolscache.DeletedFinalStateUnknown{Key: "shop/storefront"}
	if got, err := slim(gone); got != gone || err != nil {
		t.Errorf("the mark of a deleted policy became %v, error %v", got, err)
	}
}
