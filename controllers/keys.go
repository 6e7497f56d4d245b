package controllers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/controllers/workload"
	"github.com/sluice-dev/sluice/enforcer/gossipkey"
)

// Annotations of the Secret with the gossip keys of a pool.
const (
	// rotationAnnotation is the value of spec.gossipKeyRotation that the newest key was
	// made for.
	rotationAnnotation = "sluice.dev/gossip-key-rotation"

	// stepAnnotation is how far a rotation is; it is not there when none is under way.
	stepAnnotation = "sluice.dev/gossip-key-step"
)

// The steps of a rotation. Each is taken when every enforcer has taken the one
// before, so whatever one of them seals all others can open.
const (
	stepNone  = ""
	stepAdded = "Added" // the new key is the last: it opens
	stepSeals = "Seals" // the new key is the first: it seals, and the old ones still open
)

// keyring is what the Secret of a pool holds.
type keyring struct {
	keys     []gossipkey.Key // the one that seals first
	rotation string          // what the newest was made for
	step     string
}

// idle says whether there is nothing to do for whoever asks for a rotation, or for
// none.
func (k keyring) idle(asked string) bool {
	return k.step == stepNone && (asked == "" || asked == k.rotation)
}

// next returns the keyring after the next step. A rotation that is under way is
// finished before another one begins.
func (k keyring) next(asked string, fresh func() (gossipkey.Key, error)) (keyring, error) {
	switch k.step {
	case stepAdded:
		last := len(k.keys) - 1
		return keyring{slices.Insert(k.keys[:last:last], 0, k.keys[last]), k.rotation, stepSeals}, nil
	case stepSeals:
		return keyring{k.keys[:1], k.rotation, stepNone}, nil
	default:
		if len(k.keys) == gossipkey.Max {
			return k, fmt.Errorf("it has %d keys, and a rotation adds one: leave the first one", len(k.keys))
		}
		key, err := fresh()
		return keyring{append(slices.Clip(k.keys), key), asked, stepAdded}, err
	}
}

// keepKeys makes sure that a pool has a Secret with a gossip key, and takes the next
// step of a rotation if one is asked for; have says whether every enforcer has some
// keys. It returns which rotation is complete. What is there is never written over
// but to rotate it, and only if the operator made it.
func (a *applier) keepKeys(ctx context.Context, pool *v1alpha1.EnforcerPool, have func([]gossipkey.Key) bool) (rotation string, err error) {
	name := client.ObjectKey{Namespace: pool.Namespace, Name: workload.KeySecret(pool)}
	stored, asked := a.stored(corev1.SchemeGroupVersion.WithKind("Secret")), pool.Spec.GossipKeyRotation
	if err := a.find(ctx, name, stored); apierrors.IsNotFound(err) {
		if err := a.makeKey(ctx, pool); err != nil {
			return pool.Status.GossipKeyRotation, err
		}
		return asked, nil
	} else if err != nil {
		return pool.Status.GossipKeyRotation, err
	}
	ring := keyring{rotation: stored.GetAnnotations()[rotationAnnotation], step: stored.GetAnnotations()[stepAnnotation]}
	if ring.idle(asked) {
		return ring.rotation, nil
	}
	err = errors.New("somebody else made it: rotate the keys where they come from, and leave spec.gossipKeyRotation out")
	if metav1.IsControlledBy(stored, pool) {
		err = a.rotate(ctx, name, asked, have)
	}
	if err != nil {
		err = fmt.Errorf("rotate the keys in Secret %s: %w", name.Name, err)
	}
	return pool.Status.GossipKeyRotation, err
}

// rotate takes the next step of a rotation, unless it is too early.
func (a *applier) rotate(ctx context.Context, name client.ObjectKey, asked string, have func([]gossipkey.Key) bool) error {
	secret := &corev1.Secret{}
	if err := a.live.Get(ctx, name, secret); err != nil {
		return err
	}
	ring := keyring{rotation: secret.Annotations[rotationAnnotation], step: secret.Annotations[stepAnnotation]}
	var err error
	if ring.keys, err = gossipkey.Parse(secret.Data[workload.KeyFile]); err != nil {
		return err
	}
	if ring.idle(asked) || !have(ring.keys) {
		return nil
	}
	if ring, err = ring.next(asked, func() (gossipkey.Key, error) { return gossipkey.New(a.random) }); err != nil {
		return err
	}
	ring.write(secret)
	if err := a.client.Update(ctx, secret, client.FieldOwner(fieldManager)); err != nil {
		return err
	}
	logf.FromContext(ctx).Info("Rotating the gossip key", "rotation", ring.rotation, "step", ring.step, "keys", len(ring.keys), "seals", ring.keys[0].String())
	return nil
}

// makeKey creates the Secret with a first key.
func (a *applier) makeKey(ctx context.Context, pool *v1alpha1.EnforcerPool) error {
	key, err := gossipkey.New(a.random)
	if err != nil {
		return err
	}
	secret := &corev1.Secret{ObjectMeta: workload.Meta(pool, workload.KeySecret(pool))}
	secret.OwnerReferences = ownedBy(pool)
	keyring{keys: []gossipkey.Key{key}, rotation: pool.Spec.GossipKeyRotation}.write(secret)
	if err := a.client.Create(ctx, secret, client.FieldOwner(fieldManager)); err != nil {
		return fmt.Errorf("create Secret %s: %w", secret.Name, err)
	}
	return nil
}

// write puts a keyring into a Secret.
func (k keyring) write(into *corev1.Secret) {
	into.Data = map[string][]byte{workload.KeyFile: gossipkey.Format(k.keys)}
	for name, value := range map[string]string{rotationAnnotation: k.rotation, stepAnnotation: k.step} {
		if value == "" {
			delete(into.Annotations, name)
		} else {
			metav1.SetMetaDataAnnotation(&into.ObjectMeta, name, value)
		}
	}
}

// haveKeys says whether every pod of a pool has these keys and no others. While
// pods come or do not answer nobody knows.
func haveKeys(d *appsv1.Deployment, seen []enforcer, keys []gossipkey.Key) bool {
	if d == nil || !rolledOut(d) || int(d.Status.Replicas) != len(seen) {
		return false
	}
	want := make([]string, len(keys))
	for i, k := range keys {
		want[i] = k.String()
	}
	return !slices.ContainsFunc(seen, func(e enforcer) bool {
		return e.problem != "" || e.keys != strings.Join(want, " ")
	})
}
