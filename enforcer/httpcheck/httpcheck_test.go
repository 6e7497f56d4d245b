package httpcheck_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/enforcer/httpcheck"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/request"
)

// asked is what a Decider was asked, without what only lives during the call.
type asked struct {
	Domain               string
	Cost                 limit.Amount
	HTTP                 bool
	Method, Path, Host   string
	Source, APIKey, Page string // a header and a query parameter
	HostHeader           string
	Descriptors          []request.Descriptor
}

// decider answers the same every time and remembers what it was asked.
type decider struct {
	asked  asked
	answer request.Answer
}

func (d *decider) Decide(req *request.Request, ans *request.Answer) {
	d.asked = asked{Domain: req.Domain, Cost: req.Cost, HTTP: req.HTTP != nil}
	d.asked.Descriptors = append(d.asked.Descriptors, req.Descriptors...)
	if h := req.HTTP; h != nil {
		d.asked.Method, d.asked.Path, d.asked.Host, d.asked.Source = h.Method, h.Path, h.Host, h.Source
		d.asked.APIKey, d.asked.HostHeader = request.Find(h.Headers, "x-api-key"), request.Find(h.Headers, "host")
		d.asked.Page = request.Find(h.Query, "page")
	}
	*ans = d.answer
}

// call sends one request from a peer, host:port, to a handler in front of d.
func call(d *decider, method, target, peer, body string, header map[string]string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.RemoteAddr = peer
	for name, value := range header {
		if name == "Host" {
			r.Host = value
			continue
		}
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	httpcheck.New(httpcheck.Options{Decider: d, Node: "n1"}).ServeHTTP(w, r)
	return w
}

const (
	proxy    = "10.0.0.1:1234"
	stranger = "203.0.113.9:1234"
)

func TestForwardAuthDescribesTheRequest(t *testing.T) {
	for name, tc := range map[string]struct {
		method string // GET by default
		peer   string
		header map[string]string
		want   asked
	}{
		"as Traefik and Caddy tell it": {
			peer: proxy,
			header: map[string]string{
				"X-Forwarded-Method": "post", "X-Forwarded-Host": "Shop.example:443", "X-Forwarded-Uri": "/a%20b?page=2&page=3",
				"X-Forwarded-For": "198.51.100.7", "X-Api-Key": "alice",
			},
			want: asked{Method: "POST", Path: "/a b", Host: "shop.example", HostHeader: "Shop.example:443", Source: "198.51.100.7", APIKey: "alice", Page: "2"},
		},
		"as nginx tells it": {
			peer:   proxy,
			header: map[string]string{"X-Original-Method": "PUT", "X-Original-Url": "http://shop.example/x?page=1", "X-Original-Host": "shop.example"},
			want:   asked{Method: "PUT", Path: "/x", Host: "shop.example", HostHeader: "shop.example", Source: "10.0.0.1", Page: "1"},
		},
		"what a proxy does not tell is the call's own": {
			method: http.MethodHead, peer: "[fd00::1]:1", header: map[string]string{"Host": "[fd00::2]:8080"},
			want: asked{Method: "HEAD", Path: "/", Host: "fd00::2", HostHeader: "[fd00::2]:8080", Source: "fd00::1"},
		},
		"a path that begins with two slashes stays a path": {
			peer: proxy, header: map[string]string{"X-Forwarded-Uri": "//admin/x"},
			want: asked{Method: "GET", Path: "//admin/x", Host: "example.com", HostHeader: "example.com", Source: "10.0.0.1"},
		},
		"the source is the last hop that is no proxy": {
			peer: proxy, header: map[string]string{"X-Forwarded-For": "1.2.3.4, 198.51.100.7, 192.168.3.3, ::ffff:10.1.1.1"},
			want: asked{Method: "GET", Path: "/", Host: "example.com", HostHeader: "example.com", Source: "198.51.100.7"},
		},
		"hops are believed as far as they are addresses": {
			peer: proxy, header: map[string]string{"X-Forwarded-For": "1.2.3.4, unknown, 192.168.3.3"},
			want: asked{Method: "GET", Path: "/", Host: "example.com", HostHeader: "example.com", Source: "192.168.3.3"},
		},
		"a stranger is asked about itself": {
			peer: stranger,
			header: map[string]string{
				"X-Forwarded-Method": "POST", "X-Forwarded-Host": "shop.example", "X-Forwarded-Uri": "/x?page=2", "X-Forwarded-For": "198.51.100.7", "X-Api-Key": "mallory",
			},
			want: asked{Method: "GET", Path: "/", Host: "example.com", HostHeader: "example.com", Source: "203.0.113.9", APIKey: "mallory"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := &decider{}
			method := tc.method
			if method == "" {
				method = http.MethodGet
			}
			if w := call(d, method, "/v1/auth/shop", tc.peer, "", tc.header); w.Code != http.StatusOK || w.Body.Len() != 0 {
				t.Errorf("answer %d %q, want an empty 200", w.Code, w.Body)
			}
			tc.want.Domain, tc.want.Cost, tc.want.HTTP = "shop", 1, true
			if diff := cmp.Diff(tc.want, d.asked); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTrustedProxiesCanBeNamed(t *testing.T) {
	for peer, want := range map[string]string{stranger: "/x", proxy: "/"} {
		d := &decider{}
		r := httptest.NewRequest(http.MethodGet, "/v1/auth/shop", nil)
		r.RemoteAddr = peer
		r.Header.Set("X-Forwarded-Uri", "/x")
		options := httpcheck.Options{Decider: d, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}}
		httpcheck.New(options).ServeHTTP(httptest.NewRecorder(), r)
		if d.asked.Path != want {
			t.Errorf("%s: path %q, want %q", peer, d.asked.Path, want)
		}
	}
}

func TestCheckDescribesTheRequest(t *testing.T) {
	three := limit.Amount(3)
	for name, tc := range map[string]struct {
		body string
		want asked
	}{
		"nothing": {"", asked{Cost: 1, HTTP: true}},
		"everything": {
			`{"method":"GET","path":"/x","host":"Shop","query":{"page":"2"},"headers":{"X-Api-Key":"alice"},"source":{"address":"1.2.3.4"},"cost":3}`,
			asked{Cost: 3, HTTP: true, Method: "GET", Path: "/x", Host: "shop", Page: "2", APIKey: "alice", Source: "1.2.3.4"},
		},
		"descriptors alone describe no HTTP request": {
			`{"descriptors":[{"entries":[{"key":"tenant","value":"acme"}]},{"entries":[{"key":"plan","value":"free"}],"cost":3}]}`,
			asked{Cost: 1, Descriptors: []request.Descriptor{
				{Entries: []request.Entry{{Key: "tenant", Value: "acme"}}},
				{Entries: []request.Entry{{Key: "plan", Value: "free"}}, Cost: three, HasCost: true},
			}},
		},
		"descriptors beside an HTTP request": {
			`{"path":"/x","descriptors":[{"entries":[{"key":"tenant","value":"acme"}]}],"cost":0}`,
			asked{HTTP: true, Path: "/x", Descriptors: []request.Descriptor{{Entries: []request.Entry{{Key: "tenant", Value: "acme"}}}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := &decider{}
			w := call(d, http.MethodPost, "/v1/check/shop", stranger, tc.body, nil)
			if w.Code != http.StatusOK {
				t.Fatalf("answer %d %s", w.Code, w.Body)
			}
			tc.want.Domain = "shop"
			if diff := cmp.Diff(tc.want, d.asked); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	long := strings.Repeat("x", request.MaxDomain+1)
	many := `{"descriptors":[` + strings.TrimSuffix(strings.Repeat(`{"entries":[{"key":"a"}]},`, 65), ",") + `]}`
	for name, tc := range map[string]struct {
		method, target, body string
		header               map[string]string
		code                 int
		want                 string // in the detail
	}{
		"no JSON":                {"POST", "/v1/check/shop", "hello", nil, 400, "the body is not a check"},
		"an unknown field":       {"POST", "/v1/check/shop", `{"cots":1}`, nil, 400, `unknown field "cots"`},
		"two values":             {"POST", "/v1/check/shop", `{} {}`, nil, 400, "send one"},
		"a fraction":             {"POST", "/v1/check/shop", `{"cost":1.5}`, nil, 400, "the body is not a check"},
		"an empty descriptor":    {"POST", "/v1/check/shop", `{"descriptors":[{"entries":[]}]}`, nil, 400, "descriptors[0].entries is empty: send at least one"},
		"too many descriptors":   {"POST", "/v1/check/shop", many, nil, 400, "descriptors has 65 items: send at most 64"},
		"too large":              {"POST", "/v1/check/shop", `{"path":"` + strings.Repeat("x", 70_000) + `"}`, nil, 413, "too large"},
		"a check by GET":         {"GET", "/v1/check/shop", "", nil, 405, "send POST"},
		"a long domain":          {"GET", "/v1/auth/" + long, "", nil, 400, "the domain has 318 characters"},
		"elsewhere":              {"GET", "/", "", nil, 404, "ask POST /v1/check/DOMAIN or /v1/auth/DOMAIN"},
		"a path that is garbled": {"GET", "/v1/auth/shop", "", map[string]string{"X-Forwarded-Uri": "/%zz"}, 400, "what the proxy says of the request"},
	} {
		t.Run(name, func(t *testing.T) {
			d := &decider{}
			w := call(d, tc.method, tc.target, proxy, tc.body, tc.header)
			var problem struct {
				Title, Detail string
				Status        int
			}
			if err := json.Unmarshal(w.Body.Bytes(), &problem); err != nil {
				t.Fatalf("%v in %s", err, w.Body)
			}
			if w.Code != tc.code || problem.Status != tc.code || problem.Title == "" || !strings.Contains(problem.Detail, tc.want) {
				t.Errorf("answer %d %+v, want %d with %q", w.Code, problem, tc.code, tc.want)
			}
			if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
				t.Errorf("Content-Type %s", got)
			}
			if d.asked.Domain != "" {
				t.Error("the Decider was asked all the same")
			}
		})
	}
}

// answers as an engine gives them.
var (
	quota    = request.Quota{Namespace: "ns", Policy: "shop", Limit: "per-client", Requests: 10, Burst: 20, Per: limit.Second}
	shadow   = request.Quota{Namespace: "ns", Policy: "shop", Limit: "trial", Requests: 1, Burst: 1, Per: limit.Minute, Shadow: true}
	free     = request.Quota{Namespace: "ns", Policy: "shop", Limit: "per-client", Requests: limit.MaxAmount, Burst: limit.MaxAmount}
	admitted = request.Verdict{Quota: &quota, Remaining: 7, ResetAfter: 1300 * limit.Millisecond}
	denied   = request.Verdict{Quota: &quota, Denied: true, ResetAfter: 2 * limit.Second, RetryAfter: 100 * limit.Millisecond}
	tried    = request.Verdict{Quota: &shadow, Denied: true, ResetAfter: limit.Minute, RetryAfter: limit.Minute}
	never    = request.Verdict{Quota: &quota, Denied: true, RetryAfter: limit.Forever}
)

func TestAnswers(t *testing.T) {
	for name, tc := range map[string]struct {
		answer request.Answer
		target string
		code   int
		header map[string]string // "" says that it is absent
		body   string
	}{
		"admitted": {
			request.Answer{Outcome: request.Admitted, KnownDomain: true, Verdict: admitted, Applied: []request.Verdict{admitted, tried}},
			"/v1/check/shop", 200,
			map[string]string{
				"Content-Type": "application/json", "RateLimit": `"shop/per-client";r=7;t=2`, "RateLimit-Policy": `"shop/per-client";q=10;w=1;sluice-burst=20`,
				"Retry-After": "", "X-Ratelimit-Remaining": "7", "X-Sluice-Node": "n1", "X-Sluice-Domain": "", "Cache-Control": "no-store",
			},
			`{"outcome":"admitted","limit":"shop/per-client","remaining":7,"resetAfter":"1.3s","limits":[` +
				`{"limit":"shop/per-client","remaining":7,"resetAfter":"1.3s"},` +
				`{"limit":"shop/trial","denied":true,"shadow":true,"remaining":0,"resetAfter":"1m0s","retryAfter":"1m0s"}]}`,
		},
		"denied": {
			request.Answer{Outcome: request.Denied, KnownDomain: true, Verdict: denied, Applied: []request.Verdict{denied, tried}},
			"/v1/check/shop", 429,
			map[string]string{"Content-Type": "application/problem+json", "Retry-After": "1", "RateLimit": `"shop/per-client";r=0;t=1`},
			`{"type":"https://iana.org/assignments/http-problem-types#quota-exceeded","title":"Quota exceeded","status":429,` +
				`"detail":"limit shop/per-client has no room for this request: retry after 100ms","violated-policies":["shop/per-client"],` +
				`"outcome":"denied","limit":"shop/per-client","denied":true,"remaining":0,"resetAfter":"2s","retryAfter":"100ms","limits":[` +
				`{"limit":"shop/per-client","denied":true,"remaining":0,"resetAfter":"2s","retryAfter":"100ms"},` +
				`{"limit":"shop/trial","denied":true,"shadow":true,"remaining":0,"resetAfter":"1m0s","retryAfter":"1m0s"}]}`,
		},
		"denied to a proxy": {
			request.Answer{Outcome: request.Denied, KnownDomain: true, Verdict: denied},
			"/v1/auth/shop", 429,
			map[string]string{"Content-Type": "application/problem+json", "Retry-After": "1", "X-Ratelimit-Status": ""},
			`{"type":"https://iana.org/assignments/http-problem-types#quota-exceeded","title":"Quota exceeded","status":429,` +
				`"detail":"limit shop/per-client has no room for this request: retry after 100ms",` +
				`"outcome":"denied","limit":"shop/per-client","denied":true,"remaining":0,"resetAfter":"2s","retryAfter":"100ms"}`,
		},
		"what never will be admitted has no time to retry": {
			request.Answer{Outcome: request.Denied, KnownDomain: true, Verdict: never},
			"/v1/auth/shop", 429,
			map[string]string{"Retry-After": "", "X-Ratelimit-Reset": ""},
			`{"type":"https://iana.org/assignments/http-problem-types#quota-exceeded","title":"Quota exceeded","status":429,` +
				`"detail":"limit shop/per-client has no room for this request, and never will have",` +
				`"outcome":"denied","limit":"shop/per-client","denied":true,"remaining":0,"resetAfter":"0s"}`,
		},
		"unlimited": {
			request.Answer{Outcome: request.Admitted, KnownDomain: true, Verdict: request.Verdict{Quota: &free, Remaining: limit.MaxAmount}},
			"/v1/check/shop", 200,
			map[string]string{"RateLimit": "", "X-Ratelimit-Limit": ""},
			`{"outcome":"admitted","limit":"shop/per-client","unlimited":true}`,
		},
		"a domain that no policy has": {
			request.Answer{}, "/v1/check/shop", 200, map[string]string{"RateLimit": "", "X-Sluice-Domain": "unknown"}, `{"outcome":"not_limited"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := call(&decider{answer: tc.answer}, http.MethodPost, tc.target, proxy, "", nil)
			if w.Code != tc.code {
				t.Errorf("status %d, want %d", w.Code, tc.code)
			}
			for name, want := range tc.header {
				if got := w.Header().Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			if diff := cmp.Diff(tc.body, strings.TrimSpace(w.Body.String())); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNginxTakes403(t *testing.T) {
	d := &decider{answer: request.Answer{Outcome: request.Denied, KnownDomain: true, Verdict: denied}}
	w := call(d, http.MethodGet, "/v1/auth/shop?deny=403", proxy, "", nil)
	if w.Code != http.StatusForbidden || w.Header().Get("X-Ratelimit-Status") != "429" || w.Header().Get("Retry-After") != "1" {
		t.Errorf("answer %d %v", w.Code, w.Header())
	}
}

func TestOutcomesAreObserved(t *testing.T) {
	seen := map[string]int{}
	d := &decider{answer: request.Answer{Outcome: request.Admitted, Verdict: admitted}}
	h := httpcheck.New(httpcheck.Options{Decider: d, Observe: func(outcome string, took time.Duration) {
		seen[outcome]++
		if took < 0 {
			t.Errorf("took %v", took)
		}
	}})
	for _, body := range []string{"", "garbage", "{}"} {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/v1/check/shop", strings.NewReader(body)))
	}
	if diff := cmp.Diff(map[string]int{"admitted": 2, "invalid": 1}, seen); diff != "" {
		t.Errorf("observed (-want +got):\n%s", diff)
	}
}
