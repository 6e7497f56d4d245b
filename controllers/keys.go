package controllers

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/controllers/workload"
	"github.com/sluice-dev/sluice/enforcer/gossipkey"
)

// keepKeys makes sure that a pool has a Secret with a gossip key. One that is there
// is never written over, whoever made it: the enforcers seal with it.
func (a *applier) keepKeys(ctx context.Context, pool *v1alpha1.EnforcerPool) error {
	stored := a.stored(corev1.SchemeGroupVersion.WithKind("Secret"))
	name := client.ObjectKey{Namespace: pool.Namespace, Name: workload.KeySecret(pool)}
	if err := a.client.Get(ctx, name, stored); !apierrors.IsNotFound(err) {
		return err
	}
	key, err := gossipkey.New(a.random)
	if err != nil {
		return err
	}
	secret := &corev1.Secret{
		ObjectMeta: workload.Meta(pool, name.Name),
		Data:       map[string][]byte{workload.KeyFile: gossipkey.Format([]gossipkey.Key{key})},
	}
	secret.OwnerReferences = ownedBy(pool)
	if err := a.client.Create(ctx, secret, client.FieldOwner(fieldManager)); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create Secret %s: %w", name.Name, err)
	}
	return nil
}
