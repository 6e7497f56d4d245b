package controllers

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// barred returns those namespaces of some policies that may not use a pool, each
// with what the authors of the policies are told.
func (r *poolReconciler) barred(ctx context.Context, pool *v1alpha1.EnforcerPool, policies []v1alpha1.RateLimitPolicy) (map[string]string, error) {
	allowed := pool.Spec.AllowedNamespaces
	if allowed == nil {
		return nil, nil
	}
	all := map[string]string{}
	asked := map[string]bool{}
	for i := range policies {
		name := policies[i].Namespace
		if asked[name] {
			continue
		}
		asked[name] = true
		namespace := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if allowed.From == v1alpha1.NamespacesFromSelector {
			namespace.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
			if err := r.applier.find(ctx, types.NamespacedName{Name: name}, namespace); client.IgnoreNotFound(err) != nil {
				return nil, fmt.Errorf("read the labels of namespace %s: %w", name, err)
			}
		}
		if why := refusal(pool, namespace); why != "" {
			all[name] = why
		}
	}
	return all, nil
}

// refusal says why the policies of a namespace may not use a pool, "" if they may.
func refusal(pool *v1alpha1.EnforcerPool, namespace *metav1.PartialObjectMetadata) string {
	why := ""
	switch allowed := pool.Spec.AllowedNamespaces; {
	case allowed == nil:
	case allowed.From == v1alpha1.NamespacesFromSame && namespace.Name != pool.Namespace:
		why = "is for policies of namespace " + pool.Namespace
	case allowed.From == v1alpha1.NamespacesFromSelector:
		selector, err := metav1.LabelSelectorAsSelector(allowed.Selector)
		if err != nil {
			why = fmt.Sprintf("has an allowedNamespaces.selector that selects nothing (%v)", err)
		} else if !selector.Matches(labels.Set(namespace.Labels)) {
			why = fmt.Sprintf("is for policies of namespaces with the labels %s, which %s does not have", selector, namespace.Name)
		}
	}
	if why == "" {
		return ""
	}
	return fmt.Sprintf("EnforcerPool %s %s: name another pool in spec.poolRef, or have its admin change spec.allowedNamespaces", pool.Name, why)
}

// selecting returns the pools that select namespaces by their labels.
func (r *poolReconciler) selecting(ctx context.Context, _ client.Object) (requests []reconcile.Request) {
	var list v1alpha1.EnforcerPoolList
	if err := r.client.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "Cannot list the pools that select namespaces")
		return nil
	}
	for i := range list.Items {
		pool := &list.Items[i]
		if allowed := pool.Spec.AllowedNamespaces; allowed != nil && allowed.From == v1alpha1.NamespacesFromSelector {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(pool)})
		}
	}
	return requests
}
