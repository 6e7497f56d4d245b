package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// What a GitOps tool does all day: it waits, applies again what is there, and
// removes what is not in Git any more.
func TestGitOps(t *testing.T) {
	w := newWorld(t, 2)
	pool := &unstructured.Unstructured{}
	pool.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("EnforcerPool"))
	pool.SetNamespace(w.operator)
	pool.SetName("default")
	pool.Object["spec"] = map[string]any{"serviceName": "theirs", "allowedNamespaces": map[string]any{"from": "All"}}
	inGit := append(w.samples(), pool)
	for _, o := range inGit {
		w.applyFromGit(o)
	}
	for _, o := range inGit {
		w.eventually(o.GetName()+" is current", func() error { return w.kstatus(o, status.CurrentStatus) })
	}
	w.stop()

	for _, o := range inGit {
		before := o.DeepCopy()
		w.read(before)
		if again := w.applyFromGit(o); again.GetResourceVersion() != before.GetResourceVersion() {
			t.Errorf("%s was applied twice, and changed from\n%v to\n%v", o.GetName(), before, again)
		}
		if len(before.GetFinalizers()) > 0 {
			t.Errorf("%s has finalizers %v: without a manager it would not go", o.GetName(), before.GetFinalizers())
		}
	}
	for _, o := range inGit { // nobody is there to help
		w.gone(o)
		if err := w.client.Get(w.Context(), client.ObjectKeyFromObject(o), o.DeepCopy()); !apierrors.IsNotFound(err) {
			t.Errorf("%s was deleted, but reading it says %v", o.GetName(), err)
		}
	}
}

// A policy must not count as ready because no manager has spoken of it yet.
func TestWhatNobodyHasSeenIsInProgress(t *testing.T) {
	w := newEmptyWorld(t)
	w.createPool("default")
	w.policy(w.shop, "storefront", "", byKey)
	for kind, namespace := range map[string]string{"EnforcerPool": w.operator, "RateLimitPolicy": w.shop} {
		o := &unstructured.Unstructured{}
		o.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind))
		o.SetNamespace(namespace)
		o.SetName(map[string]string{"EnforcerPool": "default", "RateLimitPolicy": "storefront"}[kind])
		if err := w.kstatus(o, status.InProgressStatus); err != nil {
			t.Error(err)
		}
	}
}

// What the operator builds goes with its pool, and nothing of it waits for the
// operator.
func TestNothingBuiltWaitsForTheManager(t *testing.T) {
	w, pool := builtWorld(t, v1alpha1.EnforcerPoolSpec{Autoscaling: &v1alpha1.Autoscaling{MaxReplicas: 9}})
	w.stop()
	for name, o := range w.built() {
		owner := metav1.GetControllerOf(&o)
		if len(o.Finalizers) > 0 || owner == nil || owner.BlockOwnerDeletion != nil {
			t.Errorf("%s has finalizers %v and owner %v", name, o.Finalizers, owner)
		}
	}
	w.gone(pool)
	if err := w.client.Get(w.Context(), client.ObjectKeyFromObject(pool), pool); !apierrors.IsNotFound(err) {
		t.Errorf("the pool was deleted, but reading it says %v", err)
	}
}

// A dry run refuses a change as the change would be refused, and changes nothing.
func TestADryRunRefuses(t *testing.T) {
	w := newEmptyWorld(t)
	for _, o := range w.samples() {
		w.applyFromGit(o)
		before := w.applyFromGit(o)
		limits, _, _ := unstructured.NestedSlice(o.Object, "spec", "limits")
		limits[0].(map[string]any)["rate"].(map[string]any)["per"] = "3 days"
		mistake := o.DeepCopy()
		if err := unstructured.SetNestedSlice(mistake.Object, limits, "spec", "limits"); err != nil {
			t.Fatal(err)
		}
		dry := w.tryApply(mistake.DeepCopy(), client.DryRunAll)
		if wet := w.tryApply(mistake.DeepCopy()); dry == nil || wet == nil || dry.Error() != wet.Error() || !apierrors.IsInvalid(dry) {
			t.Errorf("%s: a dry run says\n%v\nand the real one\n%v", o.GetName(), dry, wet)
		}
		after := o.DeepCopy()
		w.read(after)
		if after.GetResourceVersion() != before.GetResourceVersion() {
			t.Errorf("%s was changed", o.GetName())
		}
	}
}

// samples returns the policies of config/samples, in the namespace of a team.
func (w *world) samples() (all []*unstructured.Unstructured) {
	w.Helper()
	paths, err := filepath.Glob("../../config/samples/*.yaml")
	if err != nil || len(paths) == 0 {
		w.Fatalf("there are no samples (%v)", err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			w.Fatal(err)
		}
		if text, err = yaml.YAMLToJSON(text); err != nil {
			w.Fatal(err)
		}
		o := &unstructured.Unstructured{}
		if strings.HasSuffix(path, "kustomization.yaml") {
			continue
		} else if err := o.UnmarshalJSON(text); err != nil {
			w.Fatal(err)
		}
		o.SetNamespace(w.shop)
		all = append(all, o)
	}
	return all
}

// applyFromGit applies an object, and returns it as it is then.
func (w *world) applyFromGit(o *unstructured.Unstructured) *unstructured.Unstructured {
	w.Helper()
	o = o.DeepCopy()
	if err := w.tryApply(o); err != nil {
		w.Fatal(err)
	}
	return o
}

func (w *world) tryApply(o *unstructured.Unstructured, options ...client.ApplyOption) error {
	options = append(options, client.FieldOwner("gitops"), client.ForceOwnership)
	return w.client.Apply(w.Context(), client.ApplyConfigurationFromUnstructured(o), options...)
}

// kstatus is nil when the library says what is wanted of an object as it is now.
func (w *world) kstatus(o *unstructured.Unstructured, want status.Status) error {
	w.Helper()
	now := o.DeepCopy()
	w.read(now)
	got, err := status.Compute(now)
	if err == nil && got.Status != want {
		err = fmt.Errorf("kstatus says %s (%s), want %s", got.Status, got.Message, want)
	}
	return err
}
