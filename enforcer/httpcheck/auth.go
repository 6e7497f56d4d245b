package httpcheck

import (
	"cmp"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/sluice-dev/sluice/enforcer/jsonhttp"
	"github.com/sluice-dev/sluice/enforcer/request"
)

// readAuth describes the request that a proxy asks about. Traefik, Caddy and
// APISIX tell its method, host and path in X-Forwarded-*, nginx as it is
// configured, usually in X-Original-*. They are believed from trusted proxies
// only: anybody else is asking about itself.
func (h *handler) readAuth(r *http.Request, s *scratch) error {
	peer, host := peerAddress(r), r.Host
	s.http = request.HTTP{Method: r.Method, Path: "/", Source: peer.String()}
	if h.trusted(peer) {
		if err := believe(r, s); err != nil {
			return err
		}
		host = cmp.Or(first(r, "X-Forwarded-Host", "X-Original-Host"), host)
		s.http.Source = h.source(r, peer)
	}
	s.http.Host, s.http.Headers = hostname(host), fields{r.Header, host}
	return nil
}

// believe takes over what a proxy says of the request's method and target.
func believe(r *http.Request, s *scratch) error {
	if method := first(r, "X-Forwarded-Method", "X-Original-Method"); method != "" {
		s.http.Method = strings.ToUpper(method)
	}
	if uri := first(r, "X-Forwarded-Uri", "X-Original-Uri", "X-Original-Url"); uri != "" {
		parsed, err := url.ParseRequestURI(uri) // unlike Parse it takes //a for a path
		if err != nil {
			return fmt.Errorf("what the proxy says of the request: %w", err)
		}
		s.http.Path, s.http.Query = cmp.Or(parsed.Path, "/"), &query{raw: parsed.RawQuery}
	}
	return nil
}

// writeAuth writes an empty 200, or a denial: 429, or for nginx's auth_request,
// which takes any other code for a fault, 403 with ?deny=403 in the path.
func writeAuth(w http.ResponseWriter, r *http.Request, ans *request.Answer) {
	if ans.Outcome != request.Denied {
		w.WriteHeader(http.StatusOK)
		return
	}
	code := http.StatusTooManyRequests
	if strings.Contains(r.URL.RawQuery, "deny=403") {
		code = http.StatusForbidden
		w.Header().Set("X-RateLimit-Status", "429")
	}
	body := answer{Outcome: ans.Outcome.String(), verdict: verdictOf(&ans.Verdict)}
	describeProblem(&body, ans)
	jsonhttp.Write(w, code, jsonhttp.ProblemType, body)
}

// source returns the client's address: the last hop of X-Forwarded-For that is no
// trusted proxy, or the peer itself.
func (h *handler) source(r *http.Request, peer netip.Addr) string {
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		addr, err := netip.ParseAddr(hostname(strings.TrimSpace(hops[i])))
		if err != nil {
			break
		}
		if peer = addr.Unmap(); !h.trusted(peer) {
			break
		}
	}
	return peer.String()
}

func (h *handler) trusted(a netip.Addr) bool {
	for _, p := range h.options.TrustedProxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

func peerAddress(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return peer.Addr().Unmap()
}

func first(r *http.Request, names ...string) string {
	for _, name := range names {
		if value := r.Header.Get(name); value != "" {
			return value
		}
	}
	return ""
}

// hostname returns a host without its port and brackets, in lower case.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.Trim(host, "[]"))
}

// query parses itself when it is first asked.
type query struct {
	raw    string
	values url.Values
}

// Get returns the first value of a parameter. Parts that do not parse are left
// out.
func (q *query) Get(name string) string {
	if q.values == nil {
		q.values, _ = url.ParseQuery(q.raw)
	}
	return q.values.Get(name)
}
