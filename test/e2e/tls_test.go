//go:build e2e

package e2e

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/credentials"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/certtest"
)

// A second pool, whose enforcers speak TLS and want to see a certificate of proxies.
const (
	ofTLSPool     = v1alpha1.LabelPool + "=tls"
	tlsServerName = "sluice-tls." + system + ".svc"

	httpPort = "8080"
	decision = "/v1/auth/tls"
	overHTTP = 5 // requests of a client

	tlsPool = `apiVersion: sluice.dev/v1alpha1
kind: EnforcerPool
metadata: {name: tls, namespace: sluice-system}
spec:
  replicas: 2
  tls:
    secretName: tls-server
    clientValidation: {caCertificateRefs: [{kind: ConfigMap, name: tls-clients}]}
---
apiVersion: sluice.dev/v1alpha1
kind: RateLimitPolicy
metadata: {name: tls, namespace: shop}
spec:
  poolRef: {name: tls}
  domain: tls
  limits:
  - name: per-client
    key: ["descriptor['client']"]
    rate: {requests: 100, per: 1s}
    burst: 100
  - name: over-http
    when: ["request.headers['x-api-key'] != ''"]  # requests over RLS have none
    rate: {requests: 5, per: 24h}
`
)

// issuer is where certificates come from: whatever makes such a Secret will do.
type issuer struct {
	*certtest.Authority
	proxy certtest.Pair // what proxies show
}

func newIssuer(t *testing.T) *issuer {
	a := certtest.New(t)
	return &issuer{a, a.Issue("envoy")}
}

// speakTLS asks a pool by TLS whatever can be asked, and replaces under load all that is
// secret: the certificate, its authority, that of the proxies, and the key of gossip.
func (c *cluster) speakTLS(t *testing.T, r *results) {
	ctx, before, after := t.Context(), newIssuer(t), newIssuer(t)
	c.certify(t, before, before.PEM)
	c.apply(t, tlsPool)
	pods := c.askByTLS(t, before)

	// Proxies trust both authorities while one follows the other.
	trusting := before.Client(tlsServerName)
	trusting.RootCAs.AppendCertsFromPEM(after.PEM)
	var shows atomic.Pointer[tls.Certificate]
	show := func(i *issuer) { shows.Store(new(i.proxy.TLS(t))) }
	trusting.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return shows.Load(), nil }
	show(before)
	replace := scenario{"secrets replaced", unnoticed, func(ctx context.Context, c *cluster) error {
		c.certify(t, after, slices.Concat(before.PEM, after.PEM))
		if err := kubectl(ctx, "patch", "epool/tls", "-n", system, "--type=merge", "-p", `{"spec": {"gossipKeyRotation": "e2e"}}`); err != nil {
			return err
		}
		_, err := eventually(ctx, "every enforcer has the new certificates", func() error {
			for i := range pods {
				if _, err := overTLS(ctx, &pods[i], httpPort, decision, after.Client(tlsServerName, after.proxy)); err != nil {
					return err
				}
			}
			return nil
		})
		show(after)
		return errors.Join(err, kubectl(ctx, "wait", "--for=jsonpath={.status.gossipKeyRotation}=e2e", "epool/tls", "-n", system, "--timeout=90s"))
	}}
	proxies := &cluster{c.Clientset, watchEndpoints(t, c.Clientset, ofTLSPool, credentials.NewTLS(trusting))}
	if err := proxies.awaitReady(ctx, len(pods)); err != nil {
		t.Fatal(err)
	}
	whoAsks := gossiped
	whoAsks.domain = "tls"
	f, unsent := proxies.during(t, &replace, whoAsks)
	r.judge(t, &replace, &f, unsent)
	c.unchanged(t, pods)
	if err := errors.Join(kubectl(ctx, "delete", "epool/tls", "-n", system), kubectl(ctx, "delete", "rlp/tls", "-n", "shop")); err != nil {
		t.Error(err)
	}
}

// askByTLS asks each enforcer of the pool, and kubectl sluice, and returns the pods.
func (c *cluster) askByTLS(t *testing.T, by *issuer) []corev1.Pod {
	t.Helper()
	ctx := t.Context()
	for _, what := range [][]string{{"epool/tls", system}, {"rlp/tls", "shop"}} {
		if err := kubectl(ctx, "wait", "--for=condition=Ready", what[0], "-n", what[1], "--timeout=90s"); err != nil {
			t.Fatal(err)
		}
	}
	pods, err := c.pods(ctx, ofTLSPool)
	if err != nil || len(pods) != 2 {
		t.Fatalf("%d enforcers, want 2 (%v)", len(pods), err)
	}
	for i := range pods {
		var status int
		for range overHTTP + 1 {
			if status, err = overTLS(ctx, &pods[i], httpPort, decision, by.Client(tlsServerName, by.proxy)); err != nil {
				t.Fatal(err)
			}
		}
		if status != http.StatusTooManyRequests {
			t.Errorf("%s answers one request too many with %d", pods[i].Name, status)
		}
		if status, err := overTLS(ctx, &pods[i], httpPort, decision, by.Client(tlsServerName)); err == nil {
			t.Errorf("%s answers a proxy without a certificate with %d", pods[i].Name, status)
		}
		if status, err := overTLS(ctx, &pods[i], adminPort, "/readyz", by.Client(tlsServerName)); status != http.StatusOK {
			t.Errorf("%s answers an operator with %d (%v)", pods[i].Name, status, err)
		}
	}
	expect(t, "shop/tls/per-client applies", "sluice explain tls -n shop --descriptor client=alice")
	return pods
}

// certify has the certificate of the pool come from an issuer, and proxies shown ones of
// some authorities.
func (c *cluster) certify(t *testing.T, by *issuer, proxies []byte) {
	t.Helper()
	server := by.Issue(tlsServerName)
	for _, o := range []any{
		&corev1.Secret{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}, ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: "tls-server"}, Type: corev1.SecretTypeTLS,
			Data: map[string][]byte{"tls.crt": server.Certificate, "tls.key": server.Key, "ca.crt": by.PEM},
		},
		&corev1.ConfigMap{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: "tls-clients"},
			Data: map[string]string{"ca.crt": string(proxies)},
		},
	} {
		text, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		c.apply(t, string(text))
	}
}

// unchanged says of pods whether they are still those, and none has started again.
func (c *cluster) unchanged(t *testing.T, before []corev1.Pod) {
	for i := range before {
		now, err := c.CoreV1().Pods(system).Get(t.Context(), before[i].Name, metav1.GetOptions{})
		if err != nil || now.UID != before[i].UID || restarts(now) > 0 {
			t.Errorf("%s has gone or has started again (%v): secrets are taken up without that", before[i].Name, err)
		}
	}
}

// overTLS asks a pod over a connection of its own, and returns the status of the answer.
func overTLS(ctx context.Context, pod *corev1.Pod, port, path string, config *tls.Config) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+net.JoinHostPort(pod.Status.PodIP, port)+path, nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("X-Api-Key", "alice")
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}
