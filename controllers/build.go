package controllers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/controllers/workload"
	"github.com/sluice-dev/sluice/enforcer/gossipkey"
)

// replicasManager is who owns the number of replicas between the operator, which
// owns it no more, and the first one who scales.
const replicasManager = "sluice-replicas"

// applier has the API server hold the objects that run the enforcers of pools. It
// owns the fields that package workload fills in and leaves all others alone.
type applier struct {
	client client.Client // reads come from the cache
	live   client.Reader // reads come from the API server
	image  string        // of enforcers whose pool names none
	random io.Reader     // for gossip keys
}

// built is what was applied of one pool, by kind and name.
type built map[string]stamp

// stamp tells whether an object has to be applied again: when something else is
// wanted than was applied, or when somebody has written it since.
type stamp struct{ wanted, version string }

// build makes the objects of a pool, removes those that its spec does not ask for
// any more, and moves a rotation of the gossip keys on if the enforcers that were
// seen are ready for that. It returns the Deployment as it was last seen, nil when
// there is none, and which rotation is complete.
func (a *applier) build(ctx context.Context, pool *v1alpha1.EnforcerPool, done built, seen []enforcer) (deployment *appsv1.Deployment, rotation string, err error) {
	deployment, err = a.deployment(ctx, pool)
	if err != nil {
		return nil, pool.Status.GossipKeyRotation, err
	}
	wanted, obsolete := workload.Objects(workload.Input{Pool: pool, Image: a.image, New: deployment == nil})
	var errs []error
	for _, o := range obsolete {
		errs = append(errs, a.prune(ctx, pool, o))
	}
	if len(wanted) > 0 {
		rotation, err = a.keepKeys(ctx, pool, func(keys []gossipkey.Key) bool { return haveKeys(deployment, seen, keys) })
		errs = append(errs, err)
	}
	for _, o := range wanted {
		if d, ok := o.(*appsv1.Deployment); ok && d.Spec.Replicas == nil {
			if err := a.handOver(ctx, deployment); err != nil {
				errs = append(errs, err)
				continue
			}
		}
		errs = append(errs, a.apply(ctx, pool, o, done))
	}
	return deployment, rotation, errors.Join(errs...)
}

// deployment returns that of a pool which the operator builds, nil when there is
// none.
func (a *applier) deployment(ctx context.Context, pool *v1alpha1.EnforcerPool) (*appsv1.Deployment, error) {
	if !pool.BuiltByOperator() {
		return nil, nil
	}
	d := &appsv1.Deployment{}
	if err := a.find(ctx, client.ObjectKey{Namespace: pool.Namespace, Name: workload.Name(pool)}, d); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	return d, nil
}

// find reads what must not be taken for new by mistake: an object that the cache
// does not have may have been made a moment ago, or lost its label.
func (a *applier) find(ctx context.Context, name client.ObjectKey, into client.Object) error {
	err := a.client.Get(ctx, name, into)
	if apierrors.IsNotFound(err) {
		err = a.live.Get(ctx, name, into)
	}
	return err
}

// apply applies one object, unless nothing has changed since it was applied.
func (a *applier) apply(ctx context.Context, pool *v1alpha1.EnforcerPool, wanted client.Object, done built) error {
	config, err := a.config(pool, wanted)
	if err != nil {
		return err
	}
	text, err := json.Marshal(config)
	if err != nil {
		return err
	}
	name := config.GetKind() + " " + config.GetName()
	stored := a.stored(config.GroupVersionKind())
	switch err := a.client.Get(ctx, client.ObjectKeyFromObject(config), stored); {
	case err == nil && done[name] == stamp{string(text), stored.GetResourceVersion()}:
		return nil
	case client.IgnoreNotFound(err) != nil:
		return err
	}
	err = a.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(config), client.FieldOwner(fieldManager), client.ForceOwnership)
	if err != nil {
		delete(done, name)
		return fmt.Errorf("apply %s: %w", name, err)
	}
	done[name] = stamp{string(text), config.GetResourceVersion()}
	return nil
}

// config is what is applied to have an object as wanted, as the pool's own.
func (a *applier) config(pool *v1alpha1.EnforcerPool, wanted client.Object) (*unstructured.Unstructured, error) {
	kind, err := a.client.GroupVersionKindFor(wanted)
	if err != nil {
		return nil, err
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(wanted)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", kind.Kind, wanted.GetName(), err)
	}
	delete(content, "status")
	config := &unstructured.Unstructured{Object: content}
	config.SetGroupVersionKind(kind)
	config.SetOwnerReferences(ownedBy(pool))
	return config, nil
}

// ownedBy has an object go with its pool.
func ownedBy(pool *v1alpha1.EnforcerPool) []metav1.OwnerReference {
	return []metav1.OwnerReference{{
		APIVersion: v1alpha1.GroupVersion.String(), Kind: "EnforcerPool", Name: pool.Name, UID: pool.UID, Controller: new(true),
	}}
}

// stored returns an empty object to read one of a kind into. Of most kinds the
// cache has the metadata only: nobody asks for their status, and what is in them is
// compared by the API server.
func (a *applier) stored(kind schema.GroupVersionKind) client.Object {
	switch kind.Kind {
	case "Deployment":
		return &appsv1.Deployment{}
	case "HorizontalPodAutoscaler":
		return &autoscalingv2.HorizontalPodAutoscaler{}
	}
	o := &metav1.PartialObjectMetadata{}
	o.SetGroupVersionKind(kind)
	return o
}

// handOver gives away the number of replicas if the operator owns it, as it is: a
// field that its only owner leaves out would become 1. It looks at the Deployment
// itself, since what the cache has may be what somebody has changed.
func (a *applier) handOver(ctx context.Context, cached *appsv1.Deployment) error {
	if !ownsReplicas(cached) {
		return nil
	}
	now := &appsv1.Deployment{}
	if err := a.live.Get(ctx, client.ObjectKeyFromObject(cached), now); err != nil || !ownsReplicas(now) {
		return client.IgnoreNotFound(err)
	}
	config := &unstructured.Unstructured{Object: map[string]any{
		"spec": map[string]any{"replicas": int64(desired(now))},
	}}
	config.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind("Deployment"))
	config.SetNamespace(now.Namespace)
	config.SetName(now.Name)
	config.SetResourceVersion(now.ResourceVersion)
	err := a.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(config), client.FieldOwner(replicasManager), client.ForceOwnership)
	if err != nil {
		return fmt.Errorf("hand over the replicas of Deployment %s: %w", now.Name, err)
	}
	return nil
}

// ownsReplicas says whether the operator has applied a number of replicas last.
func ownsReplicas(d *appsv1.Deployment) bool {
	for _, m := range d.ManagedFields {
		if m.Manager != fieldManager || m.Operation != metav1.ManagedFieldsOperationApply || m.FieldsV1 == nil {
			continue
		}
		var fields fieldpath.Set
		if fields.FromJSON(m.FieldsV1.GetRawReader()) == nil && fields.Has(fieldpath.MakePathOrDie("spec", "replicas")) {
			return true
		}
	}
	return false
}

// prune deletes what belongs to the pool and is not wanted any more.
func (a *applier) prune(ctx context.Context, pool *v1alpha1.EnforcerPool, obsolete client.Object) error {
	kind, err := a.client.GroupVersionKindFor(obsolete)
	if err != nil {
		return err
	}
	stored := a.stored(kind)
	err = a.client.Get(ctx, client.ObjectKeyFromObject(obsolete), stored)
	if err == nil && metav1.IsControlledBy(stored, pool) {
		err = a.client.Delete(ctx, stored, client.Preconditions{UID: new(stored.GetUID())})
	}
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("delete %s %s, which the pool does not ask for any more: %w", kind.Kind, obsolete.GetName(), err)
	}
	return nil
}
