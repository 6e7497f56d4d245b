package controllers

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// certificateError says that spec.tls of a pool names something of no use.
type certificateError struct{ error }

// trust has the enforcers of a pool verified by what its spec names, as that is now.
func (r *poolReconciler) trust(ctx context.Context, pool *v1alpha1.EnforcerPool) error {
	roots, err := r.applier.roots(ctx, pool)
	if roots != nil {
		r.clients.verify(pool.Name, pool.ServerName(), roots)
	}
	return err
}

// certifiedBy returns what maps a Secret or a ConfigMap to the pools whose spec.tls
// names it.
func (r *poolReconciler) certifiedBy(kind string) handler.MapFunc {
	return func(ctx context.Context, o client.Object) (all []reconcile.Request) {
		var pools v1alpha1.EnforcerPoolList
		if err := r.client.List(ctx, &pools, client.InNamespace(o.GetNamespace()), client.UnsafeDisableDeepCopy); err != nil {
			logf.FromContext(ctx).Error(err, "Cannot list the pools that an object may certify", "kind", kind, "name", o.GetName())
		}
		for i := range pools.Items {
			tls, ref := pools.Items[i].Spec.TLS, v1alpha1.CACertificateRef{Kind: kind, Name: o.GetName()}
			if tls != nil && (kind == "Secret" && tls.SecretName == ref.Name || slices.Contains(tls.Authorities(), ref)) {
				all = append(all, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&pools.Items[i])})
			}
		}
		return all
	}
}

// roots returns what the certificates of a pool's enforcers lead to, in PEM; nil when
// it is not known or they speak plain text. The error says what is wrong with what
// spec.tls names. Pods that run are not touched by that, and those that start wait.
func (a *applier) roots(ctx context.Context, pool *v1alpha1.EnforcerPool) (roots []byte, err error) {
	spec := pool.Spec.TLS
	if spec == nil {
		return nil, nil
	}
	const field = "spec.tls.secretName"
	data, err := a.holds(ctx, pool.Namespace, field, v1alpha1.CACertificateRef{Kind: "Secret", Name: spec.SecretName})
	if err != nil {
		return nil, err
	}
	if roots, err = rootsOf(data, pool.ServerName()); err != nil {
		return nil, &certificateError{fmt.Errorf("%s: Secret %s: %w", field, spec.SecretName, err)}
	}
	for i, ref := range spec.Authorities() {
		field := fmt.Sprintf("spec.tls.clientValidation.caCertificateRefs[%d]", i)
		data, err := a.holds(ctx, pool.Namespace, field, ref)
		if err != nil {
			return roots, err
		}
		if !x509.NewCertPool().AppendCertsFromPEM(data[v1alpha1.AuthorityKey]) {
			return roots, &certificateError{fmt.Errorf("%s: %s %s has no certificate in %s: write those of the authorities there, in PEM",
				field, ref.Kind, ref.Name, v1alpha1.AuthorityKey)}
		}
	}
	return roots, nil
}

// holds returns what is in a Secret or ConfigMap that a field names.
func (a *applier) holds(ctx context.Context, namespace, field string, ref v1alpha1.CACertificateRef) (map[string][]byte, error) {
	name := client.ObjectKey{Namespace: namespace, Name: ref.Name}
	data, err := map[string][]byte{}, error(nil)
	if ref.Kind == "Secret" {
		secret := &corev1.Secret{}
		err = a.live.Get(ctx, name, secret)
		data = secret.Data
	} else {
		config := &corev1.ConfigMap{}
		err = a.live.Get(ctx, name, config)
		for key, text := range config.Data {
			data[key] = []byte(text)
		}
	}
	if apierrors.IsNotFound(err) {
		err = &certificateError{fmt.Errorf("%s: there is no %s %s in namespace %s: create it, or name another; pods wait for it", field, ref.Kind, ref.Name, namespace)}
	}
	return data, err
}

// rootsOf returns what a certificate for a name is verified by: its authority or,
// where its issuer does not tell that, itself.
func rootsOf(secret map[string][]byte, name string) ([]byte, error) {
	pair, err := tls.X509KeyPair(secret[corev1.TLSCertKey], secret[corev1.TLSPrivateKeyKey])
	if err != nil {
		return nil, fmt.Errorf("%w: write a certificate in %s and the key that it was made for in %s, both in PEM",
			err, corev1.TLSCertKey, corev1.TLSPrivateKeyKey)
	}
	if err := pair.Leaf.VerifyHostname(name); err != nil {
		return nil, fmt.Errorf("%w: add that name to its dnsNames", err)
	}
	if authority := secret[v1alpha1.AuthorityKey]; len(authority) > 0 {
		return authority, nil
	}
	return secret[corev1.TLSCertKey], nil
}
