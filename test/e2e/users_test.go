//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// askAsUser asks the enforcers like somebody who may view a namespace and has the Role
// for those who ask, and no other right.
func (c *cluster) askAsUser(t *testing.T) {
	grant := func(namespace, role string) {
		if err := kubectl(t.Context(), "create", "rolebinding", "-n", namespace, "jane-"+role[strings.Index(role, "=")+1:], role, "--user=jane"); err != nil {
			t.Fatal(err)
		}
	}
	grant("shop", "--clusterrole=view")
	grant(system, "--role=sluice-observer")
	ask(t, "--as=jane")
	reset := "sluice keys reset storefront per-client -n shop --key alice --as=jane"
	expect(t, `User "jane" cannot update resource "pods/proxy"`, reset)
	expect(t, `User "jane" cannot list resource "secrets"`, "get secrets -n "+system+" --as=jane")
	expect(t, `User "jane" cannot patch resource "ratelimitpolicies"`, "label rlp storefront -n shop a=b --as=jane")
	grant(system, "--role=sluice-key-resetter")
	expect(t, "LEFT", reset)
}

// ask asks the enforcers what kubectl sluice can ask, by way of kubectl, of the API
// server and of kubelet.
func ask(t *testing.T, flags string) {
	t.Helper()
	expect(t, "shop/storefront/per-client applies", "sluice explain storefront -n shop -H X-Api-Key:alice "+flags)
	expect(t, "shop/storefront/per-client   admitted", "sluice try storefront -n shop -H X-Api-Key:alice "+flags)
	expect(t, "ENFORCER", "sluice keys storefront per-client -n shop --key alice "+flags)
	expect(t, "storefront", "sluice top -n shop --once "+flags)
}

// expect waits until kubectl says something: rights take a moment.
func expect(t *testing.T, want, line string) {
	t.Helper()
	if _, err := eventually(t.Context(), "kubectl "+line, func() error {
		out, err := command(t.Context(), "", "kubectl", strings.Fields(line)...)
		if strings.Contains(out, want) || err != nil && strings.Contains(err.Error(), want) {
			return nil
		}
		return errors.Join(err, fmt.Errorf("it says %q, want %q", out, want))
	}); err != nil {
		t.Error(err)
	}
}
