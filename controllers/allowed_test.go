package controllers

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

func TestWhoMayUseAPool(t *testing.T) {
	payments := &metav1.LabelSelector{MatchLabels: map[string]string{"team": "payments"}}
	const mend = ": name another pool in spec.poolRef, or have its admin change spec.allowedNamespaces"
	tests := map[string]struct {
		allowed *v1alpha1.AllowedNamespaces
		labels  map[string]string
		own     bool // the policy is in the pool's namespace
		want    string
	}{
		"everybody, by default":          {},
		"everybody":                      {allowed: &v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesFromAll}},
		"the pool's own namespace":       {allowed: &v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesFromSame}, own: true},
		"another than the pool's own":    {allowed: &v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesFromSame}, want: "EnforcerPool default is for policies of namespace sluice-system" + mend},
		"one that is selected":           {allowed: selected(payments), labels: map[string]string{"team": "payments", "env": "prod"}},
		"one with another label":         {allowed: selected(payments), labels: map[string]string{"team": "search"}, want: "EnforcerPool default is for policies of namespaces with the labels team=payments, which shop does not have" + mend},
		"one that is gone has no labels": {allowed: selected(payments), want: "EnforcerPool default is for policies of namespaces with the labels team=payments, which shop does not have" + mend},
		"an empty selector selects all":  {allowed: selected(&metav1.LabelSelector{})},
		"a selector that cannot be": {
			allowed: selected(&metav1.LabelSelector{MatchLabels: map[string]string{"a b": ""}}), labels: map[string]string{"a": ""},
			want: `EnforcerPool default has an allowedNamespaces.selector that selects nothing (key: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]'))` + mend,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			pool := &v1alpha1.EnforcerPool{Spec: v1alpha1.EnforcerPoolSpec{AllowedNamespaces: tc.allowed}}
			pool.Namespace, pool.Name = defaultPool.Namespace, defaultPool.Name
			namespace := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: "shop", Labels: tc.labels}}
			if tc.own {
				namespace.Name = pool.Namespace
			}
			if got := refusal(pool, namespace); got != tc.want {
				t.Errorf("refused with\n  %q, want\n  %q", got, tc.want)
			}
		})
	}
}

func selected(by *metav1.LabelSelector) *v1alpha1.AllowedNamespaces {
	return &v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesFromSelector, Selector: by}
}
