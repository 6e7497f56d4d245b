package admin_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/sluice-dev/sluice/enforcer/admin"
	"github.com/sluice-dev/sluice/enforcer/report"
)

func get(h http.Handler, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w
}

func TestHandler(t *testing.T) {
	registry, problem := prometheus.NewRegistry(), errors.New("asking the peers for their counts")
	state := report.State{Node: "n", Started: time.Unix(1, 0).UTC(), Policies: []report.Policy{}, Peers: []report.Peer{}}
	h := admin.New(admin.Options{Registry: registry, Ready: func() error { return problem }, State: func([]string) report.State { return state }, Inspect: &inspector{}})

	for _, tc := range []struct {
		path string
		code int
		body string
	}{
		{"/healthz", 200, "ok\n"},
		{"/readyz", 503, "asking the peers for their counts\n"},
		{"/metrics", 200, ""},
		{"/", 404, "404 page not found\n"},
	} {
		if w := get(h, tc.path); w.Code != tc.code || tc.body != "" && w.Body.String() != tc.body {
			t.Errorf("GET %s: %d %q, want %d %q", tc.path, w.Code, w.Body, tc.code, tc.body)
		}
	}
	problem = nil
	if w := get(h, "/readyz"); w.Code != http.StatusOK {
		t.Errorf("GET /readyz: %d when ready", w.Code)
	}
	var got report.State
	if err := json.Unmarshal(get(h, "/v1/state").Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(state, got); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
}

func TestMetrics(t *testing.T) {
	counts := admin.Counts{
		Limits: []admin.Usage{
			{Namespace: "shop", Policy: "web", Limit: "a", ActiveKeys: 2, Admitted: 10, Limited: 3, OverAdmitted: .5},
			{Namespace: "shop", Policy: "web", Limit: "b"},
		},
		Keys: 5, MaxKeys: 100, Evicted: 1, Expired: 2, StoreBytes: 400,
		Frames: []admin.Traffic{
			{Direction: "sent", Protocol: "udp", Frames: 7, Bytes: 70},
			{Direction: "received", Protocol: "tcp", Frames: 6, Bytes: 60},
		},
		TLS:              &admin.TLS{Expires: time.Unix(1_800_000_000, 0), Stale: true},
		FramesDropped:    map[string]uint64{"malformed": 4},
		FramesPassedOn:   6,
		ExpressionErrors: 9, Peers: 2, Digest: "abc", Version: "v1", Revision: "4f2a",
	}
	collector := admin.NewCollector(func() admin.Counts { return counts })
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(collector); err != nil {
		t.Fatal(err)
	}
	latency, err := admin.NewLatency(registry)
	if err != nil {
		t.Fatal(err)
	}
	observe := latency.Observer("http")
	observe("admitted", time.Millisecond)
	observe("what nobody declared", time.Millisecond)

	text := get(admin.New(admin.Options{Registry: registry, Inspect: &inspector{}}), "/metrics").Body.String()
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	for _, want := range []string{
		`sluice_limit_tokens_total{limit="a",namespace="shop",outcome="admitted",policy="web"} 10`,
		`sluice_limit_tokens_total{limit="a",namespace="shop",outcome="limited",policy="web"} 3`,
		`sluice_limit_over_admitted_tokens_total{limit="a",namespace="shop",policy="web"} 0.5`,
		`sluice_limit_active_keys{limit="a",namespace="shop",policy="web"} 2`,
		`sluice_limit_tokens_total{limit="b",namespace="shop",outcome="limited",policy="web"} 0`,
		"sluice_keys 5", "sluice_keys_max 100", "sluice_keys_evicted_total 1", "sluice_keys_expired_total 2", "sluice_store_bytes 400",
		`sluice_gossip_frames_total{direction="sent",protocol="udp"} 7`, `sluice_gossip_bytes_total{direction="received",protocol="tcp"} 60`,
		`sluice_gossip_frames_dropped_total{reason="malformed"} 4`, "sluice_gossip_frames_passed_on_total 6", "sluice_expression_errors_total 9", "sluice_peers 2",
		`sluice_document_info{digest="abc"} 1`, `sluice_build_info{revision="4f2a",version="v1"} 1`,
		"sluice_tls_certificate_expiration_timestamp_seconds 1.8e+09", "sluice_tls_last_reload_successful 0",
		`sluice_request_duration_seconds_count{frontend="http",outcome="admitted"} 1`,
		`sluice_request_duration_seconds_count{frontend="http",outcome="denied"} 0`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("the metrics have no %s", want)
		}
	}
	if strings.Contains(text, "nobody declared") {
		t.Error("an outcome that nobody declared became a label")
	}
}
