package controllers

import (
	"slices"
	"unique"

	corev1 "k8s.io/api/core/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// slim makes a policy small before the cache keeps it: it drops who wrote which field,
// which nobody here reads and is longer than most policies, and has texts that many
// policies share stored once. The API server does not miss what a status is written
// without.
func slim(o any) (any, error) {
	p, ok := o.(*v1alpha1.RateLimitPolicy)
	if !ok {
		return o, nil // a mark that it was deleted
	}
	p.ManagedFields = nil
	delete(p.Annotations, corev1.LastAppliedConfigAnnotation)
	intern(&p.Kind, &p.APIVersion, &p.Namespace)
	for i := range p.Spec.Limits {
		slimLimit(&p.Spec.Limits[i])
	}
	p.Status.Conditions = slices.Clone(p.Status.Conditions) // without the room to grow that reading it left
	for i := range p.Status.Conditions {
		c := &p.Status.Conditions[i]
		intern(&c.Type, &c.Reason, &c.Message)
		intern(&c.Status)
	}
	for i := range p.Status.Limits {
		intern(&p.Status.Limits[i].Name, &p.Status.Limits[i].OverAdmission)
	}
	if p.Status.Enforcers != nil {
		intern(&p.Status.Enforcers.Summary)
	}
	return p, nil
}

func slimLimit(l *v1alpha1.Limit) {
	intern(&l.Name)
	intern(&l.Algorithm)
	intern(&l.Mode)
	intern(&l.Sharing)
	intern(&l.OnUnreachable)
	intern(&l.FirstBurst)
	intern(&l.Rate.Per)
	for _, expressions := range [][]v1alpha1.Expression{l.When, l.Key} {
		for i := range expressions {
			intern(&expressions[i])
		}
	}
	for i := range l.Overrides {
		if rate := l.Overrides[i].Rate; rate != nil {
			intern(&rate.Per)
		}
	}
}

// intern has equal texts share their memory.
func intern[T ~string](texts ...*T) {
	for _, text := range texts {
		*text = unique.Make(*text).Value()
	}
}

// slimConfigMap keeps what is in the documents of pools, which the publisher compares.
// Of others, such as those that spec.tls names, the cache only tells that they changed.
func slimConfigMap(o any) (any, error) {
	if m, ok := o.(*corev1.ConfigMap); ok && m.Labels[v1alpha1.LabelPool] == "" {
		m.Data, m.BinaryData, m.ManagedFields = nil, nil, nil
	}
	return o, nil
}
