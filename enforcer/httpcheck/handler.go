// Package httpcheck answers over HTTP: a check that describes the request in
// JSON, and forward auth for proxies that pass the request's own fields on.
package httpcheck

import (
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/sluice-dev/sluice/enforcer/jsonhttp"
	"github.com/sluice-dev/sluice/enforcer/quotafields"
	"github.com/sluice-dev/sluice/enforcer/request"
)

// Decider decides requests. It is called from many goroutines, and does not keep
// what it is given.
type Decider interface {
	Decide(req *request.Request, ans *request.Answer)
}

// Options configure a handler.
type Options struct {
	// Decider decides; required.
	Decider Decider

	// Node names this enforcer in X-Sluice-Node.
	Node string

	// TrustedProxies are the networks whose X-Forwarded-* and X-Original-* fields
	// are believed; nil means DefaultTrustedProxies.
	TrustedProxies []netip.Prefix

	// Observe, unless nil, is told the outcome of each call ("admitted", "denied",
	// "not_limited" or "invalid") and how long it took.
	Observe func(outcome string, took time.Duration)
}

// DefaultTrustedProxies are loopback, link-local and private networks: whoever
// asks an enforcer there is a proxy of the same cluster.
func DefaultTrustedProxies() []netip.Prefix {
	var all []netip.Prefix
	for _, p := range []string{
		"127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "fc00::/7", "fe80::/10",
	} {
		all = append(all, netip.MustParsePrefix(p))
	}
	return all
}

type handler struct {
	options Options
	scratch sync.Pool
}

// scratch is what one call works with.
type scratch struct {
	req  request.Request
	http request.HTTP
	ans  request.Answer

	fields quotafields.Writer
}

// New returns a handler for POST /v1/check/{domain} and /v1/auth/{domain}.
func New(o Options) http.Handler {
	if o.TrustedProxies == nil {
		o.TrustedProxies = DefaultTrustedProxies()
	}
	h := &handler{options: o}
	h.scratch.New = func() any { return new(scratch) }
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/check/{domain}", h.serve(readCheck, writeCheck))
	mux.HandleFunc("/v1/check/{domain}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Allow", http.MethodPost)
		jsonhttp.Problem(w, http.StatusMethodNotAllowed, "send POST with a JSON body")
	})
	mux.HandleFunc("/v1/auth/{domain}", h.serve(h.readAuth, writeAuth))
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		jsonhttp.Problem(w, http.StatusNotFound, "ask POST /v1/check/DOMAIN or /v1/auth/DOMAIN")
	})
	return mux
}

// serve reads a call, decides it and writes the answer.
func (h *handler) serve(read func(*http.Request, *scratch) error, write func(http.ResponseWriter, *http.Request, *request.Answer)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		s := h.scratch.Get().(*scratch)
		defer h.scratch.Put(s)
		s.http = request.HTTP{}
		s.req = request.Request{Domain: r.PathValue("domain"), Cost: 1, HTTP: &s.http, Descriptors: s.req.Descriptors[:0]}
		if len(s.req.Domain) > request.MaxDomain {
			jsonhttp.Problem(w, http.StatusBadRequest, fmt.Sprintf("the domain has %d characters: no policy has one of more than %d", len(s.req.Domain), request.MaxDomain))
			h.observe("invalid", began)
			return
		}
		if err := read(r, s); err != nil {
			jsonhttp.Problem(w, jsonhttp.CodeOf(err), err.Error())
			h.observe("invalid", began)
			return
		}
		h.options.Decider.Decide(&s.req, &s.ans)
		for _, f := range s.fields.Of(&s.ans) {
			w.Header().Set(f.Name, f.Value)
		}
		if h.options.Node != "" {
			w.Header().Set("X-Sluice-Node", h.options.Node)
		}
		if !s.ans.KnownDomain {
			w.Header().Set("X-Sluice-Domain", "unknown")
		}
		write(w, r, &s.ans)
		h.observe(s.ans.Outcome.String(), began)
	}
}

func (h *handler) observe(outcome string, began time.Time) {
	if h.options.Observe != nil {
		h.options.Observe(outcome, time.Since(began))
	}
}

// fields looks header fields up by their lower-case names.
type fields struct {
	header http.Header
	host   string // which Go takes out of the header
}

// Get returns the first value of a field.
func (f fields) Get(name string) string {
	if name == "host" {
		return f.host
	}
	return f.header.Get(name)
}
