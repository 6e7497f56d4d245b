package controllers

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFetchState(t *testing.T) {
	tests := map[string]struct {
		handler     http.HandlerFunc
		wantNode    string
		wantProblem string
	}{
		"a state is read": {
			handler:  func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"node": "a"}`) },
			wantNode: "a",
		},
		"a status that is not 200": {
			handler:     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
			wantProblem: "answers /v1/state with status 503",
		},
		"a redirect is not followed": {
			handler: func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "http://example.com/", http.StatusFound)
			},
			wantProblem: "answers /v1/state with status 302",
		},
		"what is no state": {
			handler:     func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") },
			wantProblem: "answers /v1/state with something else",
		},
		"a state that is cut": {
			handler:     func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"node": "a", "policies": []`) },
			wantProblem: "answers /v1/state with something else",
		},
		"policies that are none": {
			handler:     func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"policies": {}}`) },
			wantProblem: "answers /v1/state with something else",
		},
		"an answer that takes too long": {
			handler:     func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
			wantProblem: "does not answer: timeout",
		},
		"an answer that never ends": {
			handler: func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, `{"node": "`)
				for r.Context().Err() == nil {
					_, _ = io.WriteString(w, strings.Repeat("a", 1<<20))
				}
			},
			wantProblem: "answers /v1/state with something else",
		},
		"a connection that is cut": {
			handler: func(w http.ResponseWriter, _ *http.Request) {
				conn, _, _ := w.(http.Hijacker).Hijack()
				_ = conn.Close()
			},
			wantProblem: "does not answer",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(tc.handler)
			defer server.Close()
			got := fetchState(t.Context(), newHTTPClient(), server.URL, nil)
			node := ""
			if got.state != nil {
				node = got.state.Node
			}
			// A fast machine meets the bound on the body first, a slow one the timeout.
			if name == "an answer that never ends" && got.problem == "does not answer: timeout" {
				return
			}
			if diff := cmp.Diff([]string{tc.wantNode, tc.wantProblem}, []string{node, got.problem}); diff != "" {
				t.Errorf("node and problem (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFetchStateOfADeadEnforcer(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	if got := fetchState(t.Context(), newHTTPClient(), "http://"+address, nil); got.problem != "does not answer: connection refused" {
		t.Errorf("problem %q, want one without addresses that change each time", got.problem)
	}
}
