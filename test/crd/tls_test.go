package crd

import (
	"os"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// The pool of config/tls mounts what cert-manager makes there, for the name that the
// manager expects.
func TestTheCertificatesAreThoseOfThePool(t *testing.T) {
	text, err := os.ReadFile("../../config/tls/cert-manager.yaml")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string][]string{} // that certificates are for, by their Secret
	var pool v1alpha1.EnforcerPool
	for _, document := range strings.Split(string(text), "\n---\n") {
		var certificate struct {
			Kind string
			Spec struct {
				SecretName string
				DNSNames   []string
			}
		}
		if err := yaml.Unmarshal([]byte(document), &certificate); err != nil {
			t.Fatal(err)
		}
		switch certificate.Kind {
		case "Certificate":
			names[certificate.Spec.SecretName] = certificate.Spec.DNSNames
		case "EnforcerPool":
			if err := yaml.UnmarshalStrict([]byte(document), &pool); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !slices.Contains(names[pool.Spec.TLS.SecretName], pool.ServerName()) {
		t.Errorf("Secret %s is for %v, want %s among them", pool.Spec.TLS.SecretName, names[pool.Spec.TLS.SecretName], pool.ServerName())
	}
	pool.Namespace = "default"
	if text, err = yaml.Marshal(&pool); err != nil {
		t.Fatal(err)
	}
	if err := create(t, text); err != nil {
		t.Error(err)
	}
}
