package integration

import (
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/controllers"
)

// kindsOfAPool are those of what the operator makes for a pool.
var kindsOfAPool = []schema.GroupVersionKind{
	{Version: "v1", Kind: "ServiceAccount"},
	{Version: "v1", Kind: "Service"},
	{Version: "v1", Kind: "Secret"},
	{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "Role"},
	{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "RoleBinding"},
	{Group: "networking.k8s.io", Version: "v1", Kind: "NetworkPolicy"},
	{Group: "apps", Version: "v1", Kind: "Deployment"},
	{Group: "policy", Version: "v1", Kind: "PodDisruptionBudget"},
	{Group: "autoscaling", Version: "v2", Kind: "HorizontalPodAutoscaler"},
}

// builtWorld is a world with a manager that has the rights of config/rbac, and a
// pool "default" that it has built.
func builtWorld(t *testing.T, spec v1alpha1.EnforcerPoolSpec) (*world, *v1alpha1.EnforcerPool) {
	t.Helper()
	w := newEmptyWorld(t)
	w.startManagerInCluster(controllers.Options{})
	return w, w.buildPool(spec)
}

// buildPool creates the pool "default" and waits until it is built.
func (w *world) buildPool(spec v1alpha1.EnforcerPoolSpec) *v1alpha1.EnforcerPool {
	w.Helper()
	pool := &v1alpha1.EnforcerPool{ObjectMeta: metav1.ObjectMeta{Namespace: w.operator, Name: "default"}, Spec: spec}
	w.create(pool)
	w.eventually("the pool is built", func() error {
		for _, want := range []string{"Deployment default-enforcers", "PodDisruptionBudget default-enforcers"} {
			if _, ok := w.built()[want]; !ok {
				return fmt.Errorf("there is no %s", want)
			}
		}
		return nil
	})
	return pool
}

// built returns the metadata of what the pool "default" has, by kind and name.
func (w *world) built() map[string]metav1.ObjectMeta {
	w.Helper()
	all := map[string]metav1.ObjectMeta{}
	for _, kind := range kindsOfAPool {
		list := &metav1.PartialObjectMetadataList{}
		list.SetGroupVersionKind(kind)
		if err := w.client.List(w.Context(), list, client.InNamespace(w.operator), client.MatchingLabels{v1alpha1.LabelPool: "default"}); err != nil {
			w.Fatal(err)
		}
		for _, o := range list.Items {
			all[kind.Kind+" "+o.Name] = o.ObjectMeta
		}
	}
	return all
}

// versions returns the resourceVersion of everything that belongs to the pool, and
// of the pool.
func (w *world) versions(pool *v1alpha1.EnforcerPool) map[string]string {
	w.Helper()
	w.read(pool)
	all := map[string]string{"EnforcerPool " + pool.Name: pool.ResourceVersion}
	for name, o := range w.built() {
		all[name] = o.ResourceVersion
	}
	return all
}

func (w *world) deployment() *appsv1.Deployment {
	w.Helper()
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: w.operator, Name: "default-enforcers"}}
	w.read(d)
	return d
}

// editDeployment changes the Deployment as somebody would who is not the operator.
func (w *world) editDeployment(edit func(*appsv1.Deployment)) {
	w.Helper()
	d := w.deployment()
	before := d.DeepCopy()
	edit(d)
	if err := w.client.Patch(w.Context(), d, client.MergeFrom(before)); err != nil {
		w.Fatal(err)
	}
}

// editPool changes the spec of a pool.
func (w *world) editPool(pool *v1alpha1.EnforcerPool, edit func(*v1alpha1.EnforcerPoolSpec)) {
	w.Helper()
	w.read(pool)
	before := pool.DeepCopy()
	edit(&pool.Spec)
	if err := w.client.Patch(w.Context(), pool, client.MergeFrom(before)); err != nil {
		w.Fatal(err)
	}
}

// awaitPool waits until a condition of this generation of a pool has a status and
// says a text.
func (w *world) awaitPool(pool *v1alpha1.EnforcerPool, condition string, want metav1.ConditionStatus, says string) {
	w.Helper()
	w.eventually(fmt.Sprintf("%s is %s: %s", condition, want, says), func() error {
		w.read(pool)
		c := meta.FindStatusCondition(pool.Status.Conditions, condition)
		if c == nil || c.Status != want || c.ObservedGeneration != pool.Generation || c.Reason+": "+c.Message != says {
			return fmt.Errorf("generation %d has %v", pool.Generation, pool.Status.Conditions)
		}
		return nil
	})
}

// scaleTo does what an autoscaler does.
func (w *world) scaleTo(replicas int32) {
	w.Helper()
	scale := &autoscalingv1.Scale{Spec: autoscalingv1.ScaleSpec{Replicas: replicas}}
	if err := w.client.SubResource("scale").Update(w.Context(), w.deployment(), client.WithSubResourceBody(scale)); err != nil {
		w.Fatal(err)
	}
}

func (w *world) hasReplicas(want int32) error {
	w.Helper()
	if got := *w.deployment().Spec.Replicas; got != want {
		return fmt.Errorf("%d replicas, want %d", got, want)
	}
	return nil
}

// deploymentHas does what the Deployment's controller does.
func (w *world) deploymentHas(status appsv1.DeploymentStatus) {
	w.Helper()
	d := w.deployment()
	before := d.DeepCopy()
	d.Status = status
	d.Status.ObservedGeneration = d.Generation
	if err := w.client.Status().Patch(w.Context(), d, client.MergeFrom(before)); err != nil {
		w.Fatal(err)
	}
}
