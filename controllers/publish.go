package controllers

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/enforcer/configmap"
	"github.com/sluice-dev/sluice/enforcer/policy"
	"github.com/sluice-dev/sluice/enforcer/report"
)

// fieldManager owns what the manager applies.
const fieldManager = "sluice-manager"

// publisher keeps the documents of pools in their ConfigMaps.
type publisher struct {
	client client.Client // reads come from the cache
	live   client.Reader // reads come from the API server
}

// publication is a document together with how it is published. It is immutable.
type publication struct {
	document *policy.Document
	digest   string
	runs     documentRuns
	bytes    int64
	index    corev1.ConfigMap
	chunks   []corev1.ConfigMap
}

func newPublication(pool types.NamespacedName, document *policy.Document, digests policy.Digests) (*publication, error) {
	encoded, err := policy.Encode(document)
	if err != nil {
		return nil, err
	}
	index, chunks, err := configmap.Layout(pool.Name, pool.Namespace, encoded, digests.Document)
	if err != nil {
		return nil, err
	}
	return &publication{document, digests.Document, runsOf(document, digests.Policies), int64(len(encoded)), index, chunks}, nil
}

// inForce returns what the ConfigMaps of a pool hold, or nil when they hold
// nothing. It asks the API server itself: another manager may have published a
// moment ago.
func (p *publisher) inForce(ctx context.Context, pool types.NamespacedName) (*publication, error) {
	var stored corev1.ConfigMapList
	if err := p.live.List(ctx, &stored, inPool(pool)...); err != nil {
		return nil, fmt.Errorf("read the document in force: %w", err)
	}
	index, rest := configmap.Find(pool.Name, stored.Items)
	if index == nil {
		return nil, nil
	}
	encoded, _, err := configmap.Assemble(index, rest)
	if err != nil {
		return nil, &unreadableError{err}
	}
	document, err := policy.Decode(encoded)
	if err != nil {
		return nil, &unreadableError{err}
	}
	return newPublication(pool, document, document.Digests())
}

// runsOf returns what an enforcer runs that has a document in force.
func runsOf(d *policy.Document, says []uint64) documentRuns {
	runs := make(documentRuns, len(d.Policies))
	for i := range d.Policies {
		p := &d.Policies[i]
		runs[types.NamespacedName{Namespace: p.Namespace, Name: p.Name}] = running{types.UID(p.UID), p.Generation, report.Digest(says[i])}
	}
	return runs
}

// unreadableError says that what is published cannot be read, so nothing can be
// kept of it.
type unreadableError struct{ error }

// publish makes the ConfigMaps of a pool hold a publication: chunks first, then
// the index that makes them count, and then away with what no index names. It
// writes only what differs.
func (p *publisher) publish(ctx context.Context, pool *v1alpha1.EnforcerPool, want *publication) error {
	var list corev1.ConfigMapList
	// They are only looked at, so there is no need to copy megabytes.
	if err := p.client.List(ctx, &list, append(inPool(client.ObjectKeyFromObject(pool)), client.UnsafeDisableDeepCopy)...); err != nil {
		return err
	}
	index, chunks := configmap.Find(pool.Name, list.Items)
	stored := make(map[string]*corev1.ConfigMap, len(chunks))
	for i := range chunks {
		stored[chunks[i].Name] = &chunks[i]
	}
	for i := range want.chunks {
		chunk := &want.chunks[i]
		if err := p.apply(ctx, pool, chunk, stored[chunk.Name], true); err != nil {
			return err
		}
		delete(stored, chunk.Name)
	}
	if err := p.apply(ctx, pool, &want.index, index, false); err != nil {
		return err
	}
	for name, obsolete := range stored {
		if err := client.IgnoreNotFound(p.client.Delete(ctx, obsolete)); err != nil {
			return fmt.Errorf("delete ConfigMap %s of an older document: %w", name, err)
		}
	}
	return nil
}

// apply writes one ConfigMap unless it is stored as it should be; stored is nil
// when there is none.
func (p *publisher) apply(ctx context.Context, pool *v1alpha1.EnforcerPool, want, stored *corev1.ConfigMap, immutable bool) error {
	if stored != nil && configmap.Same(want, stored) && metav1.IsControlledBy(stored, pool) {
		return nil
	}
	desired := corev1ac.ConfigMap(want.Name, want.Namespace).
		WithLabels(want.Labels).
		WithData(want.Data).
		WithBinaryData(want.BinaryData).
		WithOwnerReferences(metav1ac.OwnerReference().
			WithAPIVersion(v1alpha1.GroupVersion.String()).
			WithKind("EnforcerPool").
			WithName(pool.Name).
			WithUID(pool.UID).
			WithController(true))
	if immutable {
		desired.WithImmutable(true)
	}
	err := p.client.Apply(ctx, desired, client.FieldOwner(fieldManager), client.ForceOwnership)
	if err != nil {
		return fmt.Errorf("apply ConfigMap %s: %w", want.Name, err)
	}
	return nil
}

func inPool(pool types.NamespacedName) []client.ListOption {
	return []client.ListOption{
		client.InNamespace(pool.Namespace),
		client.MatchingLabelsSelector{Selector: configmap.Selector(pool.Name)},
	}
}
