package integration

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/controllers"
)

func TestThePoolIsBuiltAndBelongsTogether(t *testing.T) {
	w, pool := builtWorld(t, v1alpha1.EnforcerPoolSpec{})
	want := []string{
		"Deployment default-enforcers", "NetworkPolicy default-enforcers", "PodDisruptionBudget default-enforcers",
		"Role default-enforcers", "RoleBinding default-enforcers", "Secret default-gossip-keys",
		"Service default-enforcers", "Service sluice", "ServiceAccount default-enforcers",
	}
	built := w.built()
	if got := slices.Sorted(maps.Keys(built)); !slices.Equal(got, want) {
		t.Errorf("there are %v, want %v", got, want)
	}
	for name, o := range built { // nobody collects garbage here
		if !metav1.IsControlledBy(&o, pool) {
			t.Errorf("%s has owners %v: it would outlive its pool", name, o.OwnerReferences)
		}
	}
	if d := w.deployment(); *d.Spec.Replicas != 3 || d.Spec.Template.Spec.Containers[0].Image != "enforcer:test" {
		t.Errorf("%d replicas of %s", *d.Spec.Replicas, d.Spec.Template.Spec.Containers[0].Image)
	}
	if keys := w.keyring(); len(keys) != 1 {
		t.Errorf("keys %v, want one", keys)
	}
}

// config/default's namespace admits only pods that are restricted.
func TestThePodsAreAdmitted(t *testing.T) {
	w, _ := builtWorld(t, v1alpha1.EnforcerPoolSpec{})
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.operator}}
	w.read(ns)
	ns.Labels["pod-security.kubernetes.io/enforce"] = "restricted"
	if err := w.client.Update(w.Context(), ns); err != nil {
		t.Fatal(err)
	}
	template := w.deployment().Spec.Template
	pod := &corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec}
	pod.Namespace, pod.Name = w.operator, "one"
	if err := w.client.Create(w.Context(), pod.DeepCopy(), client.DryRunAll); err != nil {
		t.Error(err)
	}
	pod.Spec.SecurityContext.SeccompProfile = nil
	w.eventually("the namespace refuses others", func() error {
		if w.client.Create(w.Context(), pod.DeepCopy(), client.DryRunAll) == nil {
			return errors.New("it does not")
		}
		return nil
	})
}

// A Deployment of the name, and with the selector, that config/enforcer had is not
// replaced.
func TestAHandMadeDeploymentIsTakenOver(t *testing.T) {
	w := newEmptyWorld(t)
	labels := map[string]string{"app.kubernetes.io/name": "sluice", "app.kubernetes.io/component": "enforcer", v1alpha1.LabelPool: "default"}
	theirs := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.operator, Name: "default-enforcers", Labels: labels},
		Spec: appsv1.DeploymentSpec{
			Replicas: new(int32(5)), Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "enforcer", Image: "by:hand", Args: []string{"--pool-name=default"}}}},
			},
		},
	}
	w.create(theirs)
	w.startManagerInCluster(controllers.Options{})
	pool := w.buildPool(v1alpha1.EnforcerPoolSpec{})
	d := w.deployment()
	if d.UID != theirs.UID || !metav1.IsControlledBy(d, pool) || *d.Spec.Replicas != 5 || d.Spec.Template.Spec.Containers[0].Image != "enforcer:test" {
		t.Errorf("Deployment %s, owners %v, %d replicas of %v; want the same one, five, with the operator's image",
			d.UID, d.OwnerReferences, *d.Spec.Replicas, d.Spec.Template.Spec.Containers)
	}
}

func TestWhatIsBuiltIsWrittenOnce(t *testing.T) {
	w, pool := builtWorld(t, v1alpha1.EnforcerPoolSpec{Autoscaling: &v1alpha1.Autoscaling{MaxReplicas: 9}})
	w.awaitPool(pool, v1alpha1.ConditionAvailable, isFalse, "Unavailable: 0 of 3 enforcers are ready")
	want := w.versions(pool)
	p := w.policy(w.shop, "storefront", "", byKey) // has the pool reconciled
	w.awaitPolicy(p, v1alpha1.ConditionAccepted, isTrue, "")
	w.eventually("the pool counts its policy", func() error {
		w.read(pool)
		if pool.Status.Document.Policies != 1 {
			return errors.New("not yet")
		}
		return nil
	})
	delete(want, "EnforcerPool default")
	same := func() bool {
		got := w.versions(pool)
		delete(got, "EnforcerPool default")
		return maps.Equal(got, want)
	}
	w.never("a write", time.Second, func() bool { return !same() })

	// Nor does a new manager write: everything is as it should be.
	w.stop()
	w.startManagerAs(config, false, controllers.Options{Discover: w.endpointSlices(config)})
	q := w.policy(w.shop, "second", "", byPath)
	w.awaitPolicy(q, v1alpha1.ConditionAccepted, isTrue, "")
	w.never("a write", time.Second, func() bool { return !same() })
}

func TestWhatIsOursIsMendedAndWhatIsNotStays(t *testing.T) {
	w, _ := builtWorld(t, v1alpha1.EnforcerPoolSpec{})
	w.editDeployment(func(d *appsv1.Deployment) {
		pod := &d.Spec.Template
		pod.Spec.Containers[0].Image = "somebody:else"
		pod.Annotations = map[string]string{"sidecar.istio.io/inject": "false"}
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: "shell", Image: "busybox"})
		d.Labels["team"] = "edge"
		delete(d.Labels, "app.kubernetes.io/name")
	})
	var d *appsv1.Deployment
	w.eventually("what is ours is mended", func() error {
		d = w.deployment()
		if image := d.Spec.Template.Spec.Containers[0].Image; image != "enforcer:test" || d.Labels["app.kubernetes.io/name"] != "sluice" {
			return fmt.Errorf("image %s, labels %v", image, d.Labels)
		}
		return nil
	})
	if d.Labels["team"] != "edge" || d.Spec.Template.Annotations["sidecar.istio.io/inject"] != "false" || len(d.Spec.Template.Spec.Containers) != 2 {
		t.Errorf("labels %v, annotations %v, %d containers: what others added is gone", d.Labels, d.Spec.Template.Annotations, len(d.Spec.Template.Spec.Containers))
	}

	// What is deleted comes back; a key is made anew only then.
	secret := w.keys().DeepCopy()
	for name, o := range w.built() {
		for _, kind := range kindsOfAPool {
			if name != kind.Kind+" "+o.Name {
				continue
			}
			gone := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: o.Namespace, Name: o.Name}}
			gone.SetGroupVersionKind(kind)
			w.gone(gone)
			w.eventually(name+" is back", func() error {
				if again, ok := w.built()[name]; !ok || again.UID == o.UID {
					return errors.New("it is not")
				}
				return nil
			})
		}
	}
	if again := w.keys(); string(again.Data["keys"]) == string(secret.Data["keys"]) {
		t.Error("a key that was deleted came back")
	}
}

// Whoever deletes in the foreground sees a pool that is there until all it owns is
// gone.
func TestAPoolThatIsDeletedIsNotBuiltAgain(t *testing.T) {
	w, pool := builtWorld(t, v1alpha1.EnforcerPoolSpec{})
	before := pool.DeepCopy()
	pool.Finalizers = []string{"example.com/wait"}
	if err := w.client.Patch(w.Context(), pool, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	w.gone(pool)
	d := w.deployment()
	built := func() bool { return w.client.Get(w.Context(), client.ObjectKeyFromObject(d), d) == nil }
	// A manager that has not heard of the deletion yet may build it once more.
	w.eventually("it stays away", func() error {
		w.gone(d)
		if happens(time.Second, built) {
			return errors.New("it was built again")
		}
		return nil
	})
	w.read(pool)
	before = pool.DeepCopy()
	pool.Finalizers = nil
	if err := w.client.Patch(w.Context(), pool, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
}

func TestAnAutoscalerOwnsTheReplicas(t *testing.T) {
	w, pool := builtWorld(t, v1alpha1.EnforcerPoolSpec{Replicas: new(int32(4))})
	w.scaleTo(6) // drift of what the spec says
	w.eventually("the spec has its way", func() error { return w.hasReplicas(4) })

	// Handing over changes nothing: a field that nobody owns any more would become 1.
	w.editPool(pool, func(s *v1alpha1.EnforcerPoolSpec) {
		s.Replicas, s.Autoscaling = nil, &v1alpha1.Autoscaling{MaxReplicas: 9}
	})
	w.eventually("there is an autoscaler", func() error {
		if _, ok := w.built()["HorizontalPodAutoscaler default-enforcers"]; !ok {
			return errors.New("there is none")
		}
		return w.hasReplicas(4)
	})
	w.scaleTo(7)
	w.editPool(pool, func(s *v1alpha1.EnforcerPoolSpec) { s.Image = "enforcer:new" })
	w.eventually("the new image is there", func() error {
		if image := w.deployment().Spec.Template.Spec.Containers[0].Image; image != "enforcer:new" {
			return errors.New(image)
		}
		return nil
	})
	w.never("the operator scales", 500*time.Millisecond, func() bool { return w.hasReplicas(7) != nil })

	// Even one that has lost its label, so that the manager does not see it, is no new one.
	w.editDeployment(func(d *appsv1.Deployment) { delete(d.Labels, v1alpha1.LabelPool) })
	w.eventually("the label is back", func() error {
		if w.deployment().Labels[v1alpha1.LabelPool] == "" {
			return errors.New("it is not")
		}
		return w.hasReplicas(7)
	})

	w.editPool(pool, func(s *v1alpha1.EnforcerPoolSpec) { s.Replicas, s.Autoscaling = new(int32(5)), nil })
	w.eventually("the autoscaler is gone", func() error {
		if _, ok := w.built()["HorizontalPodAutoscaler default-enforcers"]; ok {
			return errors.New("it is not")
		}
		return w.hasReplicas(5)
	})
}

func TestAnAutoscalerThatCannotScaleIsTold(t *testing.T) {
	w, pool := builtWorld(t, v1alpha1.EnforcerPoolSpec{Autoscaling: &v1alpha1.Autoscaling{MaxReplicas: 9, TargetCallsPerSecond: new(int32(20_000))}})
	says := func(active corev1.ConditionStatus, reason, message string) {
		h := &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Namespace: w.operator, Name: "default-enforcers"}}
		w.eventually("the autoscaler says so", func() error {
			w.read(h)
			h.Status.Conditions = []autoscalingv2.HorizontalPodAutoscalerCondition{{Type: autoscalingv2.ScalingActive, Status: active, Reason: reason, Message: message}}
			return w.client.Status().Update(w.Context(), h)
		})
	}
	says(corev1.ConditionFalse, "FailedGetPodsMetric", "no metrics returned")
	w.awaitPool(pool, v1alpha1.ConditionScaling, isFalse, "NotScaling: FailedGetPodsMetric: no metrics returned")
	says(corev1.ConditionTrue, "ValidMetricFound", "it computed a number")
	w.awaitPool(pool, v1alpha1.ConditionScaling, isTrue, "Scaling: the autoscaler has a value of each of its metrics")
	w.editPool(pool, func(s *v1alpha1.EnforcerPoolSpec) { s.Autoscaling = nil })
	w.eventually("nobody speaks of scaling", func() error {
		w.read(pool)
		if c := meta.FindStatusCondition(pool.Status.Conditions, v1alpha1.ConditionScaling); c != nil {
			return fmt.Errorf("%v", c)
		}
		return nil
	})
}

func TestAPoolIsScaledLikeADeployment(t *testing.T) {
	w, pool := builtWorld(t, v1alpha1.EnforcerPoolSpec{})
	scale := &autoscalingv1.Scale{Spec: autoscalingv1.ScaleSpec{Replicas: 6}}
	if err := w.client.SubResource("scale").Update(w.Context(), pool, client.WithSubResourceBody(scale)); err != nil {
		t.Fatal(err)
	}
	w.eventually("there are six", func() error { return w.hasReplicas(6) })
}

func TestSomebodyElseRunsThePool(t *testing.T) {
	w, pool := builtWorld(t, v1alpha1.EnforcerPoolSpec{Autoscaling: &v1alpha1.Autoscaling{MaxReplicas: 9}})
	before := w.keys()
	w.editPool(pool, func(s *v1alpha1.EnforcerPoolSpec) { *s = v1alpha1.EnforcerPoolSpec{ServiceName: "theirs"} })
	w.eventually("only the keys are left", func() error {
		if got := slices.Sorted(maps.Keys(w.built())); !slices.Equal(got, []string{"Secret default-gossip-keys"}) {
			return fmt.Errorf("there are %v", got)
		}
		return nil
	})
	w.awaitPool(pool, v1alpha1.ConditionReady, isFalse, "NoEnforcers: the pool has no ready enforcer")
	w.editPool(pool, func(s *v1alpha1.EnforcerPoolSpec) { s.ServiceName = "" })
	w.eventually("it is built again", func() error {
		return w.client.Get(w.Context(), client.ObjectKey{Namespace: w.operator, Name: "default-enforcers"}, &appsv1.Deployment{})
	})
	if after := w.keys(); after.UID != before.UID || after.ResourceVersion != before.ResourceVersion {
		t.Error("the keys were written over")
	}
}

func TestWhatCannotBeBuiltIsTold(t *testing.T) {
	w, pool := builtWorld(t, v1alpha1.EnforcerPoolSpec{})
	w.editPool(pool, func(s *v1alpha1.EnforcerPoolSpec) {
		s.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{MaxSkew: 0, TopologyKey: "rack", WhenUnsatisfiable: "Maybe"}}
	})
	w.eventually("the status says what the API server says", func() error {
		w.read(pool)
		c := cmp.Or(meta.FindStatusCondition(pool.Status.Conditions, v1alpha1.ConditionReady), &metav1.Condition{})
		if c.Reason != v1alpha1.ReasonBuildFailed || c.Status != isFalse {
			return fmt.Errorf("conditions %v", pool.Status.Conditions)
		}
		t.Log(c.Message)
		return nil
	})
	w.editPool(pool, func(s *v1alpha1.EnforcerPoolSpec) { s.TopologySpreadConstraints = nil })
	w.awaitPool(pool, v1alpha1.ConditionProgressing, isTrue, "RollingOut: 0 of 3 enforcers are as the spec says")
}

func TestThePoolTellsOfItsDeployment(t *testing.T) {
	w, pool := builtWorld(t, v1alpha1.EnforcerPoolSpec{})
	w.deploymentHas(appsv1.DeploymentStatus{Replicas: 4, UpdatedReplicas: 2, ReadyReplicas: 3})
	w.awaitPool(pool, v1alpha1.ConditionReady, isFalse, "RollingOut: 2 of 3 enforcers are as the spec says; 2 that are not still run")
	want := v1alpha1.WorkloadStatus{
		Desired: 3, Replicas: 4, Ready: 3, Updated: 2,
		Selector: "app.kubernetes.io/component=enforcer,app.kubernetes.io/name=sluice,sluice.dev/pool=default",
	}
	if *pool.Status.Workload != want {
		t.Errorf("workload %+v, want %+v", *pool.Status.Workload, want)
	}
}

// A rollout that does not get on names the pod, and is over for kstatus; it is not
// when it gets on after all.
func TestThePoolTellsOfItsPods(t *testing.T) {
	w, pool := builtWorld(t, v1alpha1.EnforcerPoolSpec{})
	template := w.deployment().Spec.Template
	pod := &corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec}
	pod.Namespace, pod.Name = w.operator, "default-enforcers-1"
	w.create(pod)
	pod.Status = corev1.PodStatus{
		Conditions:        []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}},
		ContainerStatuses: []corev1.ContainerStatus{{Name: "enforcer", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "no such image"}}}},
	}
	if err := w.client.Status().Update(w.Context(), pod); err != nil {
		t.Fatal(err)
	}
	w.awaitPool(pool, v1alpha1.ConditionProgressing, isTrue, "RollingOut: 0 of 3 enforcers are as the spec says; default-enforcers-1: ImagePullBackOff: no such image")

	now := appsv1.DeploymentStatus{Replicas: 3, UpdatedReplicas: 3, ReadyReplicas: 2, Conditions: []appsv1.DeploymentCondition{
		{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionFalse, Reason: "ProgressDeadlineExceeded", Message: "it timed out"},
	}}
	w.deploymentHas(now)
	says := "Stuck: 3 of 3 enforcers are as the spec says; Deployment default-enforcers: it timed out; default-enforcers-1: ImagePullBackOff: no such image"
	w.awaitPool(pool, v1alpha1.ConditionReady, isFalse, says)
	w.awaitPool(pool, v1alpha1.ConditionStalled, isTrue, says)

	now.Conditions[0].Status = corev1.ConditionTrue
	w.deploymentHas(now)
	w.awaitPool(pool, v1alpha1.ConditionReady, isFalse, "Unavailable: 2 of 3 enforcers are ready; default-enforcers-1: ImagePullBackOff: no such image")
	w.gone(pod)
	w.awaitPool(pool, v1alpha1.ConditionReady, isFalse, "Unavailable: 2 of 3 enforcers are ready")
	if c := meta.FindStatusCondition(pool.Status.Conditions, v1alpha1.ConditionStalled); c != nil {
		t.Errorf("the pool is still stalled: %v", c)
	}
}

func TestTheDefaultPoolComesWithTheManager(t *testing.T) {
	w := newEmptyWorld(t)
	w.startManagerInCluster(controllers.Options{DefaultPool: true})
	p := w.policy(w.shop, "storefront", "", byKey)
	w.awaitPolicy(p, v1alpha1.ConditionAccepted, isTrue, "")
	pool := &v1alpha1.EnforcerPool{ObjectMeta: metav1.ObjectMeta{Namespace: w.operator, Name: "default"}}
	w.read(pool)
	w.editPool(pool, func(s *v1alpha1.EnforcerPoolSpec) { s.Replicas = new(int32(5)) })
	w.eventually("it is built", func() error {
		d := &appsv1.Deployment{}
		if err := w.client.Get(w.Context(), client.ObjectKey{Namespace: w.operator, Name: "default-enforcers"}, d); err != nil {
			return err
		}
		return w.hasReplicas(5)
	})
}
