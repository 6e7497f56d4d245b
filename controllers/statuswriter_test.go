package controllers

import (
	"context"
	"strconv"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// An enforcer lags for less time than the cache needs to show that the status says so.
// The status must not stay as it was then.
func TestAStatusIsNotComparedWithAnOldOne(t *testing.T) {
	store := &lateCache{stored: *policyAt(1)}
	store.stored.ResourceVersion = "1"
	store.sync()
	name := client.ObjectKeyFromObject(&store.stored)
	r := &policyReconciler{
		client: store, statuses: &statusWriter{client: store}, namespace: defaultPool.Namespace, board: newBoard(),
		events: &events.FakeRecorder{}, now: func() time.Time { return day }, announced: map[types.NamespacedName]running{},
	}
	r.board.judge(defaultPool.Name, &judgment{verdicts: map[types.NamespacedName]verdict{
		name: {store.stored.UID, 1, accepted(1)},
	}})
	sees := func(generation int64) ctrl.Result {
		runs := map[types.NamespacedName]running{name: {uid: store.stored.UID, generation: generation}}
		r.board.observe(defaultPool.Name, &observation{enforcers: []enforcer{{name: "a", runs: runs}}})
		result, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: name})
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
	sees(1)
	store.sync()
	sees(0)
	if result := sees(1); result.RequeueAfter != lag {
		t.Errorf("with a cache that is behind, the next try is after %s, want %s", result.RequeueAfter, lag)
	}
	store.sync()
	sees(1)
	if !meta.IsStatusConditionTrue(store.stored.Status.Conditions, v1alpha1.ConditionProgrammed) {
		t.Errorf("the enforcer runs the policy again, and its status says %v", store.stored.Status.Conditions)
	}
}

func TestStatusWriter(t *testing.T) {
	store := &lateCache{stored: *policyAt(1)}
	store.stored.ResourceVersion = "1"
	store.sync()
	w := &statusWriter{client: store}
	read := func() *v1alpha1.RateLimitPolicy {
		p := &v1alpha1.RateLimitPolicy{}
		if err := store.Get(t.Context(), client.ObjectKeyFromObject(&store.stored), p); err != nil {
			t.Fatal(err)
		}
		return p
	}
	write := func(observed int64) time.Duration {
		p := read()
		p.Status.ObservedGeneration = observed
		again, err := w.write(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		return again
	}
	for _, step := range []struct {
		name   string
		do     func()
		behind bool
	}{
		{"nothing was written", func() {}, false},
		{"what was there already is written", func() { write(0) }, false},
		{"a status is written", func() { write(1) }, true},
		{"the cache shows it", store.sync, false},
		{"another one is written", func() { write(2) }, true},
		{"the object is deleted", func() { w.forget(client.ObjectKeyFromObject(&store.stored)) }, false},
		{"somebody else wrote before", func() {
			if again := write(3); again != lag {
				t.Errorf("after a conflict the next try is after %s, want %s", again, lag)
			}
		}, false},
	} {
		if step.do(); w.behind(read()) != step.behind {
			t.Errorf("%s: behind is %t, want %t", step.name, !step.behind, step.behind)
		}
	}
}

// lateCache is an API server with one policy, and a cache that shows what it had when
// sync was called.
type lateCache struct {
	client.Client  // nil: nobody calls what is not here
	stored, cached v1alpha1.RateLimitPolicy
}

func (c *lateCache) sync() { c.cached = *c.stored.DeepCopy() }

// Get implements client.Reader. Every pool exists.
func (c *lateCache) Get(_ context.Context, _ types.NamespacedName, into client.Object, _ ...client.GetOption) error {
	if p, ok := into.(*v1alpha1.RateLimitPolicy); ok {
		c.cached.DeepCopyInto(p)
	}
	return nil
}

// Status implements client.StatusClient.
func (c *lateCache) Status() client.SubResourceWriter { return lateStatus{c: c} }

type lateStatus struct {
	client.SubResourceWriter // nil
	c                        *lateCache
}

// Update implements client.SubResourceWriter.
func (s lateStatus) Update(_ context.Context, o client.Object, _ ...client.SubResourceUpdateOption) error {
	p := o.(*v1alpha1.RateLimitPolicy)
	if p.ResourceVersion != s.c.stored.ResourceVersion {
		return apierrors.NewConflict(schema.GroupResource{Resource: "ratelimitpolicies"}, p.Name, nil)
	}
	if !equality.Semantic.DeepEqual(p.Status, s.c.stored.Status) {
		version, _ := strconv.Atoi(p.ResourceVersion)
		p.ResourceVersion = strconv.Itoa(version + 1)
		s.c.stored = *p.DeepCopy()
	}
	return nil
}
