package workload

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

func TestGoIsToldWhatItMayUse(t *testing.T) {
	list := func(cpu, memory string) corev1.ResourceList {
		l := corev1.ResourceList{}
		for name, text := range map[corev1.ResourceName]string{corev1.ResourceCPU: cpu, corev1.ResourceMemory: memory} {
			if text != "" {
				l[name] = resource.MustParse(text)
			}
		}
		return l
	}
	for name, tc := range map[string]struct {
		requests, limits corev1.ResourceList
		want             map[string]string
	}{
		"a part of a core is one":       {list("100m", "64Mi"), list("", "1000Mi"), map[string]string{"GOMAXPROCS": "1", "GOMEMLIMIT": "943718400"}},
		"more than one is rounded up":   {list("1500m", ""), list("", ""), map[string]string{"GOMAXPROCS": "2"}},
		"a limit is requested":          {list("", ""), list("4", ""), map[string]string{"GOMAXPROCS": "4"}},
		"what is requested comes first": {list("2", ""), list("4", ""), map[string]string{"GOMAXPROCS": "2"}},
		"nothing is asked for":          {nil, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, c := deploymentOf(v1alpha1.EnforcerPoolSpec{Resources: &corev1.ResourceRequirements{Requests: tc.requests, Limits: tc.limits}})
			var got map[string]string
			for _, e := range c.Env {
				if e.ValueFrom != nil {
					continue
				}
				if got == nil {
					got = map[string]string{}
				}
				got[e.Name] = e.Value
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("environment (-want +got):\n%s", diff)
			}
		})
	}
}
