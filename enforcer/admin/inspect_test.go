package admin_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-dev/sluice/enforcer/admin"
	"github.com/sluice-dev/sluice/enforcer/inspect"
)

// inspector knows the domain "web", and remembers which client it reset.
type inspector struct{ reset []string }

func (i *inspector) Explain(r *inspect.Request) (*inspect.Explanation, error) {
	return &inspect.Explanation{Domain: r.Domain}, i.fault(r)
}

func (i *inspector) Try(r *inspect.Request) (*inspect.Answer, error) {
	return &inspect.Answer{Outcome: "admitted"}, i.fault(r)
}

func (i *inspector) Look(c *inspect.Client) (*inspect.Counter, error) {
	return &inspect.Counter{Client: *c, Remaining: 3}, nil
}

func (i *inspector) Reset(c *inspect.Client) (*inspect.Counter, error) {
	i.reset = c.Key
	return &inspect.Counter{Client: *c, Remaining: 5}, nil
}

func (i *inspector) fault(r *inspect.Request) error {
	switch {
	case len(r.Descriptors) > 0:
		return errors.New("descriptors[0].entries is empty: send at least one")
	case r.Domain != "web":
		return inspect.NotFound(fmt.Sprintf("no policy in force has the domain %q", r.Domain))
	}
	return nil
}

func TestQuestions(t *testing.T) {
	var problem error
	i := &inspector{}
	h := admin.New(admin.Options{Registry: prometheus.NewRegistry(), Ready: func() error { return problem }, Inspect: i})
	for name, c := range map[string]struct {
		method, path, body string
		kind               string // Content-Type; JSON by default
		notReady           bool
		code               int
		want               string // a part of the body
	}{
		"explain":                {"POST", "/v1/explain", `{"domain": "web", "path": "/x"}`, "", false, 200, `{"domain":"web","limits":null}`},
		"try":                    {"POST", "/v1/try", `{"domain": "web"}`, "application/json; charset=utf-8", false, 200, `"outcome":"admitted"`},
		"look":                   {"POST", "/v1/keys", `{"limit": "l", "key": ["alice"]}`, "", false, 200, `"key":["alice"],"remaining":3}`},
		"reset":                  {"PUT", "/v1/keys", `{"limit": "l", "key": ["alice"]}`, "", false, 200, `"remaining":5}`},
		"a reset by a form":      {"PUT", "/v1/keys", `{"limit": "l", "key": ["alice"]}`, "text/plain", false, 415, "send JSON"},
		"a reset by a link":      {"GET", "/v1/keys", "", "", false, 405, "send POST or PUT with a JSON body"},
		"a look without a body":  {"GET", "/v1/try", "", "", false, 405, "send POST with a JSON body"},
		"a form":                 {"POST", "/v1/try", "domain=web", "application/x-www-form-urlencoded", false, 415, "send JSON, with Content-Type: application/json"},
		"no JSON":                {"POST", "/v1/explain", "hello", "", false, 400, "the body is not what /v1/explain takes: invalid character"},
		"an unknown field":       {"POST", "/v1/explain", `{"domian": "web"}`, "", false, 400, `unknown field \"domian\"`},
		"two values":             {"POST", "/v1/explain", `{"domain": "web"} {}`, "", false, 400, "more than one JSON value"},
		"a body that is too big": {"POST", "/v1/explain", `{"domain": "` + strings.Repeat("x", 70_000) + `"}`, "", false, 413, "too large"},
		"another domain":         {"POST", "/v1/try", `{"domain": "other"}`, "", false, 404, `no policy in force has the domain \"other\"`},
		"a faulty question":      {"POST", "/v1/try", `{"domain": "web", "descriptors": [{}]}`, "", false, 400, "send at least one"},
		"before it is ready":     {"POST", "/v1/try", `{"domain": "web"}`, "", true, 503, "asking the peers for their counts"},
	} {
		t.Run(name, func(t *testing.T) {
			problem, i.reset = nil, nil
			if c.notReady {
				problem = errors.New("asking the peers for their counts")
			}
			r := httptest.NewRequest(c.method, c.path, strings.NewReader(c.body))
			if r.Header.Set("Content-Type", "application/json"); c.kind != "" {
				r.Header.Set("Content-Type", c.kind)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != c.code || !strings.Contains(w.Body.String(), c.want) {
				t.Errorf("%d %s, want %d and %q", w.Code, w.Body, c.code, c.want)
			}
			if done := len(i.reset) > 0; done != (c.code == http.StatusOK && c.method == http.MethodPut) {
				t.Errorf("%v was reset", i.reset)
			}
			if c.code == http.StatusOK {
				return
			}
			var told struct {
				Status int
				Detail string
			}
			if err := json.Unmarshal(w.Body.Bytes(), &told); err != nil || told.Status != c.code || told.Detail == "" || w.Header().Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s is not a problem: %v", w.Body, err)
			}
			if c.code == http.StatusMethodNotAllowed && !strings.HasPrefix(w.Header().Get("Allow"), "POST") {
				t.Errorf("Allow: %q", w.Header().Get("Allow"))
			}
		})
	}
}
