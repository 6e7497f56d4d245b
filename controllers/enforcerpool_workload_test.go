package controllers

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/enforcer/policy"
)

// deployment returns one that should have three pods, and what it has.
func deployment(replicas, updated, ready int32, conditions ...appsv1.DeploymentCondition) *appsv1.Deployment {
	d := &appsv1.Deployment{
		Spec:   appsv1.DeploymentSpec{Replicas: new(int32(3))},
		Status: appsv1.DeploymentStatus{ObservedGeneration: 2, Replicas: replicas, UpdatedReplicas: updated, ReadyReplicas: ready, Conditions: conditions},
	}
	d.Name, d.Generation = "default-enforcers", 2
	return d
}

func poolStatusOf(facts poolFacts) (*v1alpha1.EnforcerPool, v1alpha1.EnforcerPoolStatus) {
	pool := &v1alpha1.EnforcerPool{}
	pool.Name, pool.Generation = "default", 4
	facts.published = &publication{document: &policy.Document{Pool: "default"}, digest: "new"}
	for _, name := range []string{"a", "b", "c"} {
		facts.enforcers = append(facts.enforcers, enforcer{name: name, digest: "new"})
	}
	return pool, poolStatus(pool, facts, day)
}

// stuck is a rollout that the Deployment has given up on.
var stuck = poolFacts{troubles: []string{"e-1: Pending"}, deployment: deployment(3, 3, 0, appsv1.DeploymentCondition{
	Type: appsv1.DeploymentProgressing, Status: corev1.ConditionFalse, Reason: "ProgressDeadlineExceeded", Message: "it timed out",
})}

func TestStatusOfAPoolThatIsBuilt(t *testing.T) {
	late := deployment(3, 3, 3)
	late.Generation = 3
	type want struct{ progressing, available, ready string }
	tests := map[string]struct {
		facts poolFacts
		want  want
	}{
		"everything is there": {
			poolFacts{deployment: deployment(3, 3, 3)},
			want{"True RolledOut: 3 of 3 enforcers are as the spec says", "True Available: 3 of 3 enforcers are ready", "True Ready: 3 of 3 enforcers run the published document"},
		},
		"nothing is there yet": {
			poolFacts{},
			want{"True RollingOut: the Deployment is being created", "False Unavailable: there is no Deployment yet", "False RollingOut: the Deployment is being created"},
		},
		"a rollout": {
			poolFacts{deployment: deployment(4, 2, 3)},
			want{
				"True RollingOut: 2 of 3 enforcers are as the spec says; 2 that are not still run", "True Available: 3 of 3 enforcers are ready",
				"False RollingOut: 2 of 3 enforcers are as the spec says; 2 that are not still run",
			},
		},
		"a rollout that has not begun": {
			poolFacts{deployment: late},
			want{"True RollingOut: 3 of 3 enforcers are as the spec says", "True Available: 3 of 3 enforcers are ready", "False RollingOut: 3 of 3 enforcers are as the spec says"},
		},
		"a pod is lost": {
			poolFacts{deployment: deployment(3, 3, 2)},
			want{"True RolledOut: 3 of 3 enforcers are as the spec says", "False Unavailable: 2 of 3 enforcers are ready", "False Unavailable: 2 of 3 enforcers are ready"},
		},
		"pods do not come up": {
			stuck,
			want{
				"False Stuck: 3 of 3 enforcers are as the spec says; Deployment default-enforcers: it timed out; e-1: Pending", "False Unavailable: 0 of 3 enforcers are ready; e-1: Pending",
				"False Stuck: 3 of 3 enforcers are as the spec says; Deployment default-enforcers: it timed out; e-1: Pending",
			},
		},
		"pods are refused": {
			poolFacts{deployment: deployment(0, 0, 0, appsv1.DeploymentCondition{
				Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Message: "exceeded quota",
			})},
			want{
				"True RollingOut: 0 of 3 enforcers are as the spec says; pods cannot be created: exceeded quota", "False Unavailable: 0 of 3 enforcers are ready",
				"False RollingOut: 0 of 3 enforcers are as the spec says; pods cannot be created: exceeded quota",
			},
		},
		"pods that are not ready are named": {
			poolFacts{deployment: deployment(4, 1, 2), troubles: []string{"e-1: Pending", "e-2: ErrImagePull", "e-3: Evil", "e-4: Worse"}},
			want{
				"True RollingOut: 1 of 3 enforcers are as the spec says; 3 that are not still run; e-1: Pending; e-2: ErrImagePull; e-3: Evil; and 1 more",
				"False Unavailable: 2 of 3 enforcers are ready; e-1: Pending; e-2: ErrImagePull; e-3: Evil; and 1 more",
				"False RollingOut: 1 of 3 enforcers are as the spec says; 3 that are not still run; e-1: Pending; e-2: ErrImagePull; e-3: Evil; and 1 more",
			},
		},
		"a pod too many is nobody's concern": {
			poolFacts{deployment: deployment(3, 3, 3), troubles: []string{"e-1: Pending"}},
			want{"True RolledOut: 3 of 3 enforcers are as the spec says", "True Available: 3 of 3 enforcers are ready", "True Ready: 3 of 3 enforcers run the published document"},
		},
		"the API server refuses a part": {
			poolFacts{deployment: deployment(3, 3, 3), unbuilt: errors.New("apply Service sluice: forbidden")},
			want{"False BuildFailed: apply Service sluice: forbidden", "True Available: 3 of 3 enforcers are ready", "False BuildFailed: apply Service sluice: forbidden"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, s := poolStatusOf(tc.facts)
			got := want{
				text(t, s.Conditions, v1alpha1.ConditionProgressing), text(t, s.Conditions, v1alpha1.ConditionAvailable),
				text(t, s.Conditions, v1alpha1.ConditionReady),
			}
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(want{})); diff != "" {
				t.Errorf("status (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWorkloadIsCounted(t *testing.T) {
	pool, s := poolStatusOf(poolFacts{deployment: deployment(5, 4, 3)})
	want := &v1alpha1.WorkloadStatus{
		Desired: 3, Replicas: 5, Updated: 4, Ready: 3,
		Selector: "app.kubernetes.io/component=enforcer,app.kubernetes.io/name=sluice,sluice.dev/pool=default",
	}
	if diff := cmp.Diff(want, s.Workload); diff != "" {
		t.Errorf("workload (-want +got):\n%s", diff)
	}

	// Somebody else runs the enforcers now: what was said of the Deployment goes.
	pool.Status, pool.Spec.ServiceName = s, "theirs"
	s = poolStatus(pool, poolFacts{}, day)
	if s.Workload != nil || len(s.Conditions) != 2 {
		t.Errorf("workload %v, conditions %v; want Published and Ready only", s.Workload, s.Conditions)
	}
}

func TestPoolStatusSpeaksKstatus(t *testing.T) {
	for name, tc := range map[string]struct {
		generation int64 // of the object now
		facts      poolFacts
		want       status.Status
	}{
		"a pool that is as it should be is current":     {4, poolFacts{deployment: deployment(3, 3, 3)}, status.CurrentStatus},
		"a rollout is in progress":                      {4, poolFacts{deployment: deployment(4, 2, 3)}, status.InProgressStatus},
		"a rollout that is stuck has failed":            {4, stuck, status.FailedStatus},
		"a pool that changed since then is in progress": {5, poolFacts{deployment: deployment(3, 3, 3)}, status.InProgressStatus},
	} {
		t.Run(name, func(t *testing.T) {
			pool, s := poolStatusOf(tc.facts)
			pool.Status, pool.Generation = s, tc.generation
			object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(pool)
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
