package workload

import (
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
	for _, p := range (Input{Pool: pool("default", spec)}).frontService().Spec.Ports {
		if *p.AppProtocol != "https" {
			t.Errorf("port %s has appProtocol %s: a gateway would speak plain text", p.Name, *p.AppProtocol)
		}
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
