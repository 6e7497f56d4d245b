package integration

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/controllers"
)

// The pool's admin says who may use it, by the labels of namespaces; a change of
// either is followed. The manager has the rights of config/rbac.
func TestAPoolIsForSomeNamespaces(t *testing.T) {
	w := newEmptyWorld(t)
	pool := w.createPool("default")
	e := startFake(w, "sluice-0")
	network := &podNetwork{fakes: map[string]string{}}
	w.create(endpointSlice(w.operator, pool.Service(), []discoveryv1.Endpoint{network.pod(e, "10.1.0.1")}))
	w.startManagerInCluster(controllers.Options{HTTP: &http.Client{Transport: &http.Transport{DialContext: network.dial}}})
	p := w.policy(w.shop, "storefront", "", byKey)
	w.awaitReady(p)

	w.editPool(pool, func(s *v1alpha1.EnforcerPoolSpec) {
		s.AllowedNamespaces = &v1alpha1.AllowedNamespaces{
			From:     v1alpha1.NamespacesFromSelector,
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"team": "payments"}},
		}
	})
	w.awaitPolicy(p, v1alpha1.ConditionAccepted, isFalse, v1alpha1.ReasonNotAllowedByPool)
	w.awaitPolicy(p, v1alpha1.ConditionReady, isFalse, "with the labels team=payments, which "+w.shop+" does not have: name another pool")
	w.label(w.shop, "payments")
	w.awaitReady(p)
	w.label(w.shop, "search")
	w.awaitPolicy(p, v1alpha1.ConditionProgrammed, isFalse, "no version of this policy is in force")
	w.eventually("the enforcer runs no policy that may not use the pool", func() error {
		if e.runs(client.ObjectKeyFromObject(p)) != nil {
			return errors.New("it does")
		}
		return nil
	})
	w.editPool(pool, func(s *v1alpha1.EnforcerPoolSpec) { s.AllowedNamespaces = nil })
	w.awaitReady(p)
}

// Who may reach the enforcers follows the pool's spec, and is everybody again without it.
func TestAPoolIsForSomeClients(t *testing.T) {
	w, pool := builtWorld(t, v1alpha1.EnforcerPoolSpec{})
	froms := func(want ...int) {
		w.eventually(fmt.Sprintf("the rules name %v peers", want), func() error {
			n := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: w.operator, Name: "default-enforcers"}}
			w.read(n)
			var got []int
			for _, rule := range n.Spec.Ingress {
				got = append(got, len(rule.From))
			}
			if !slices.Equal(got, want) {
				return fmt.Errorf("they name %v", got)
			}
			return nil
		})
	}
	froms(0, 0, 1)
	edge := networkingv1.NetworkPolicyPeer{NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": "edge"}}}
	w.editPool(pool, func(s *v1alpha1.EnforcerPoolSpec) {
		s.AllowedClients = &v1alpha1.AllowedClients{Proxies: []networkingv1.NetworkPolicyPeer{edge}, Admin: []networkingv1.NetworkPolicyPeer{edge}}
	})
	froms(1, 2, 1)
	w.editPool(pool, func(s *v1alpha1.EnforcerPoolSpec) { s.AllowedClients = nil })
	froms(0, 0, 1)
}

// label says to which team a namespace belongs.
func (w *world) label(namespace, team string) {
	w.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
	w.read(ns)
	before := ns.DeepCopy()
	ns.Labels["team"] = team
	if err := w.client.Patch(w.Context(), ns, client.MergeFrom(before)); err != nil {
		w.Fatal(err)
	}
}
