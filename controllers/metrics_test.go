package controllers

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/enforcer/assemble"
)

func TestMetrics(t *testing.T) {
	b := newBoard()
	verdictOf := func(reason string) verdict { return verdict{outcome: assemble.Outcome{Reason: reason}} }
	b.judge("default", &judgment{digest: "new", verdicts: map[types.NamespacedName]verdict{
		{Name: "a"}: verdictOf(v1alpha1.ReasonAccepted),
		{Name: "b"}: verdictOf(v1alpha1.ReasonAccepted),
		{Name: "c"}: verdictOf(v1alpha1.ReasonDomainConflict),
	}})
	b.judge("empty", &judgment{})
	b.observe("default", &observation{enforcers: []enforcer{
		{name: "a", digest: "new"}, {name: "b", digest: "old"}, {name: "c", digest: "new", problem: "does not answer"},
	}})
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(metrics{b}); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	text := w.Body.String()
	for _, want := range []string{
		`sluice_pool_policies{pool="default",reason="Accepted"} 2`, `sluice_pool_policies{pool="default",reason="DomainConflict"} 1`,
		`sluice_pool_enforcers{pool="default",state="programmed"} 1`, `sluice_pool_enforcers{pool="default",state="lagging"} 1`,
		`sluice_pool_enforcers{pool="default",state="silent"} 1`, `sluice_manager_build_info{revision="`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the metrics have no %s:\n%s", want, text)
		}
	}
	if problems, err := promlint.New(strings.NewReader(text)).Lint(); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	b.forget("default")
	w = httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if strings.Contains(w.Body.String(), "default") {
		t.Error("a pool that is gone has metrics")
	}
}
