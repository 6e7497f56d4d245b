package workload

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

func TestTLSReachesThePods(t *testing.T) {
	spec := v1alpha1.EnforcerPoolSpec{TLS: &v1alpha1.TLS{SecretName: "sluice-tls"}}
	plain, _, before := deploymentOf(v1alpha1.EnforcerPoolSpec{})
	_, pod, c := deploymentOf(spec)
	args := append(before.Args, "--tls-cert-file=/etc/sluice/tls/tls.crt", "--tls-private-key-file=/etc/sluice/tls/tls.key")
	if diff := cmp.Diff(args, c.Args); diff != "" {
		t.Errorf("args (-want +got):\n%s", diff)
	}
	for name, probe := range map[string]*corev1.Probe{"liveness": c.LivenessProbe, "readiness": c.ReadinessProbe} {
		if probe.HTTPGet.Scheme != corev1.URISchemeHTTPS || probe.HTTPGet.Port.StrVal != "admin-tls" {
			t.Errorf("the %s probe asks %+v", name, probe.HTTPGet)
		}
	}
	if before.ReadinessProbe.HTTPGet.Scheme != "" || len(plain.Spec.Template.Spec.Volumes)+1 != len(pod.Volumes) {
		t.Error("a pool without TLS has something of it")
	}

	spec.TLS.ClientValidation = &v1alpha1.ClientValidation{CACertificateRefs: []v1alpha1.CACertificateRef{
		{Kind: "ConfigMap", Name: "proxies"}, {Kind: "Secret", Name: "gateways"},
	}}
	_, pod, c = deploymentOf(spec)
	args = append(args, "--tls-client-ca-file=/etc/sluice/tls/client-ca-0.crt,/etc/sluice/tls/client-ca-1.crt")
	if diff := cmp.Diff(args, c.Args); diff != "" {
		t.Errorf("args (-want +got):\n%s", diff)
	}
	want := []corev1.VolumeProjection{
		{Secret: &corev1.SecretProjection{
			LocalObjectReference: corev1.LocalObjectReference{Name: "sluice-tls"},
			Items:                []corev1.KeyToPath{{Key: "tls.crt", Path: "tls.crt"}, {Key: "tls.key", Path: "tls.key"}},
		}},
		{ConfigMap: &corev1.ConfigMapProjection{
			LocalObjectReference: corev1.LocalObjectReference{Name: "proxies"}, Items: []corev1.KeyToPath{{Key: "ca.crt", Path: "client-ca-0.crt"}},
		}},
		{Secret: &corev1.SecretProjection{
			LocalObjectReference: corev1.LocalObjectReference{Name: "gateways"}, Items: []corev1.KeyToPath{{Key: "ca.crt", Path: "client-ca-1.crt"}},
		}},
	}
	if diff := cmp.Diff(want, pod.Volumes[len(pod.Volumes)-1].Projected.Sources); diff != "" {
		t.Errorf("what is mounted (-want +got):\n%s", diff)
	}
}

// Gateways speak what the Service says. While some enforcers speak plain text only, or
// did until a moment ago, all of them take that.
func TestGatewaysAreToldToSpeakTLS(t *testing.T) {
	for _, tc := range []struct {
		tls               *v1alpha1.TLS
		wantRLS, wantHTTP string
		wantArg           bool
	}{
		{nil, "kubernetes.io/h2c", "http", false},
		{&v1alpha1.TLS{SecretName: "t", Mode: v1alpha1.TLSPermissive}, "kubernetes.io/h2c", "http", true},
		{&v1alpha1.TLS{SecretName: "t", Mode: v1alpha1.TLSStrict}, "https", "https", false},
		{&v1alpha1.TLS{SecretName: "t"}, "https", "https", false},
	} {
		in := Input{Pool: pool("default", v1alpha1.EnforcerPoolSpec{TLS: tc.tls})}
		ports := in.frontService().Spec.Ports
		if *ports[0].AppProtocol != tc.wantRLS || *ports[1].AppProtocol != tc.wantHTTP || slices.Contains(in.args(), "--tls-permissive") != tc.wantArg {
			t.Errorf("%+v: protocols %s and %s, args %v", tc.tls, *ports[0].AppProtocol, *ports[1].AppProtocol, in.args())
		}
	}
}
