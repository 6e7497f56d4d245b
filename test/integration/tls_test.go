package integration

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/controllers"
	"github.com/sluice-dev/sluice/internal/certtest"
)

// certify has the Secret sluice-tls as cert-manager would have it.
func (w *world) certify(authority *certtest.Authority, pair certtest.Pair) {
	w.Helper()
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.operator, Name: "sluice-tls"}, Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{"tls.crt": pair.Certificate, "tls.key": pair.Key, "ca.crt": authority.PEM},
	}
	if err := w.client.Update(w.Context(), secret); err != nil {
		w.create(secret)
	}
}

// serverName is what the certificates of the pool "default" are for.
func (w *world) serverName() string { return "sluice." + w.operator + ".svc" }

func TestWhatIsWrongWithCertificatesIsTold(t *testing.T) {
	w, pool := builtWorld(t, v1alpha1.EnforcerPoolSpec{TLS: &v1alpha1.TLS{
		SecretName:       "sluice-tls",
		ClientValidation: &v1alpha1.ClientValidation{CACertificateRefs: []v1alpha1.CACertificateRef{{Kind: "Secret", Name: "proxies"}}},
	}})
	authority := certtest.New(t)
	tells := func(says string) {
		t.Helper()
		w.awaitPool(pool, v1alpha1.ConditionReady, isFalse, "InvalidCertificateRef: "+says)
	}
	tells("spec.tls.secretName: there is no Secret sluice-tls in namespace " + w.operator + ": create it, or name another; pods wait for it")
	w.certify(authority, authority.Issue("sluice.example.com"))
	tells("spec.tls.secretName: Secret sluice-tls: x509: certificate is valid for sluice.example.com, not " + w.serverName() + ": add that name to its dnsNames")
	w.certify(authority, certtest.Pair{Certificate: authority.Issue(w.serverName()).Certificate, Key: authority.Issue(w.serverName()).Key})
	tells("spec.tls.secretName: Secret sluice-tls: tls: private key does not match public key: write a certificate in tls.crt and the key that it was made for in tls.key, both in PEM")
	w.certify(authority, authority.Issue(w.serverName()))
	tells("spec.tls.clientValidation.caCertificateRefs[0]: there is no Secret proxies in namespace " + w.operator + ": create it, or name another; pods wait for it")
	proxies := metav1.ObjectMeta{Namespace: w.operator, Name: "proxies"}
	w.create(&corev1.Secret{ObjectMeta: proxies})
	tells("spec.tls.clientValidation.caCertificateRefs[0]: Secret proxies has no certificate in ca.crt: write those of the authorities there, in PEM")
	authorities := &corev1.ConfigMap{ObjectMeta: proxies, Data: map[string]string{"ca.crt": "none"}}
	w.create(authorities)
	w.editPool(pool, func(s *v1alpha1.EnforcerPoolSpec) { s.TLS.ClientValidation.CACertificateRefs[0].Kind = "ConfigMap" })
	tells("spec.tls.clientValidation.caCertificateRefs[0]: ConfigMap proxies has no certificate in ca.crt: write those of the authorities there, in PEM")
	for _, step := range []struct{ certificates, tells string }{
		{string(authority.PEM), ""},
		{"gone", "spec.tls.clientValidation.caCertificateRefs[0]: ConfigMap proxies has no certificate in ca.crt: write those of the authorities there, in PEM"},
		{string(authority.PEM), ""},
	} {
		authorities.Data["ca.crt"] = step.certificates
		if err := w.client.Update(t.Context(), authorities); err != nil {
			t.Fatal(err)
		}
		if step.tells != "" {
			tells(step.tells)
		} else {
			w.awaitPool(pool, v1alpha1.ConditionProgressing, isTrue, "RollingOut: 0 of 3 enforcers are as the spec says")
		}
	}

	// The API server takes what is built, and lets go of it.
	w.awaitAdmin("admin-tls HTTPS true")
	w.editPool(pool, func(s *v1alpha1.EnforcerPoolSpec) { s.TLS = nil })
	w.awaitAdmin("admin HTTP false")
}

// awaitAdmin waits until the Deployment has a name and a scheme for the port admin, and
// the flag for a certificate or not.
func (w *world) awaitAdmin(want string) {
	w.Helper()
	w.eventually("the port admin is "+want, func() error {
		container := w.deployment().Spec.Template.Spec.Containers[0]
		hasFlag := slices.Contains(container.Args, "--tls-cert-file=/etc/sluice/tls/tls.crt")
		if got := fmt.Sprint(container.Ports[2].Name, " ", container.LivenessProbe.HTTPGet.Scheme, " ", hasFlag); got != want {
			return errors.New(got)
		}
		return nil
	})
}

// While a pool goes over to TLS some pods speak it and some do not, and when it has
// another authority some show the old certificate. The manager asks all of them.
func TestAPoolGoesOverToTLS(t *testing.T) {
	w := newEmptyWorld(t)
	network := &podNetwork{fakes: map[string]string{}}
	w.startManagerInCluster(controllers.Options{HTTP: &http.Client{Transport: &http.Transport{DialContext: network.dial}}})
	first, second := certtest.New(t), certtest.New(t)
	w.certify(first, first.Issue(w.serverName()))
	pool := w.buildPool(v1alpha1.EnforcerPoolSpec{Replicas: new(int32(2)), TLS: &v1alpha1.TLS{SecretName: "sluice-tls"}})
	shows := first.Issue(w.serverName()).TLS(t)
	speaks := startAs(&fakeEnforcer{w: w, name: "sluice-1", tls: &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{shows}}})
	w.enforcers = append(w.enforcers, startFake(w, "sluice-0"), speaks)
	w.create(endpointSlice(w.operator, pool.Service(), []discoveryv1.Endpoint{network.pod(w.enforcers[0], "10.1.0.1")}))
	slice := endpointSlice(w.operator, pool.Service(), []discoveryv1.Endpoint{network.pod(speaks, "10.1.0.2")})
	slice.Ports[0].Name = new(v1alpha1.AdminTLSPort)
	w.create(slice)
	w.deploymentHas(appsv1.DeploymentStatus{Replicas: 2, UpdatedReplicas: 2, ReadyReplicas: 2})
	ready := "Ready: 2 of 2 enforcers run the published document"
	w.awaitPool(pool, v1alpha1.ConditionReady, isTrue, ready)

	w.certify(second, second.Issue(w.serverName()))
	w.never("one that shows the old certificate is given up", 2*time.Second, func() bool {
		w.read(pool)
		return !meta.IsStatusConditionTrue(pool.Status.Conditions, v1alpha1.ConditionReady)
	})
	speaks.kill()
	speaks.tls = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{second.Issue(w.serverName()).TLS(t)}}
	speaks.restart()
	w.editPool(pool, func(s *v1alpha1.EnforcerPoolSpec) { s.TLS = nil })
	w.awaitAdmin("admin HTTP false")
	w.deploymentHas(appsv1.DeploymentStatus{Replicas: 2, UpdatedReplicas: 2, ReadyReplicas: 2})
	w.awaitPool(pool, v1alpha1.ConditionReady, isTrue, ready)

	speaks.kill()
	speaks.tls = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certtest.New(t).Issue(w.serverName()).TLS(t)}}
	speaks.restart()
	w.eventually("one that somebody else certifies is told", func() error {
		w.read(pool)
		c := meta.FindStatusCondition(pool.Status.Conditions, v1alpha1.ConditionReady)
		if !strings.Contains(c.Message, "sluice-1 shows a certificate that does not lead to ca.crt of the pool's Secret") {
			return errors.New(c.Message)
		}
		return nil
	})
}
