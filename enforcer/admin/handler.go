// Package admin serves what operators ask of an enforcer: metrics, health, and
// its account of itself.
package admin

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sluice-dev/sluice/enforcer/jsonhttp"
	"github.com/sluice-dev/sluice/enforcer/report"
)

// Options configure a handler. All fields are required.
type Options struct {
	// Registry has the metrics.
	Registry *prometheus.Registry

	// Ready returns nil, or why the enforcer should get no traffic.
	Ready func() error

	// State returns the enforcer's account of itself, to somebody who knows the
	// documents with some digests.
	State func(known []string) report.State

	// Inspect answers what people ask of policies and counters.
	Inspect Inspector
}

// New returns a handler for GET /metrics, /healthz, /readyz and /v1/state, and for
// the questions to an Inspector: POST /v1/explain, /v1/try and /v1/keys, and
// PUT /v1/keys, which resets one.
// /healthz answers 200 as long as the process does; /readyz answers 503 with the
// reason while the enforcer is not ready.
func New(o Options) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(o.Registry, promhttp.HandlerOpts{Registry: o.Registry}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { text(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := o.Ready(); err != nil {
			text(w, http.StatusServiceUnavailable, err.Error())
			return
		}
		text(w, http.StatusOK, "ok")
	})
	mux.HandleFunc("GET /v1/state", func(w http.ResponseWriter, r *http.Request) {
		jsonhttp.Write(w, http.StatusOK, jsonhttp.Type, o.State(r.URL.Query()[report.Known]))
	})
	handle(mux, o.Ready, o.Inspect)
	return mux
}

// text writes a line. A client that is gone cannot be told, so errors are dropped.
func text(w http.ResponseWriter, code int, line string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = w.Write([]byte(line + "\n"))
}
