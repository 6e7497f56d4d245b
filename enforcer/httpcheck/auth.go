package httpcheck

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/sluice-dev/sluice/enforcer/request"
)

// readAuth describes the request that a proxy asks about. Traefik, Caddy and
// APISIX tell its method, host and path in X-Forwarded-*, nginx as it is
// configured, usually in X-Original-*. They are believed from trusted proxies
// only: anybody else is asking about itself.
func (h *handler) readAuth(r *http.Request, s *scratch) error {
	s.http = request.HTTP{Method: r.Method, Host: hostname(r.Host), Headers: fields{r}, Path: "/"}
	peer := peerAddress(r)
	s.http.Source = peer.String()
	if !h.trusted(peer) {
		return nil
	}
	if method := first(r, "X-Forwarded-Method", "X-Original-Method"); method != "" {
		s.http.Method = strings.ToUpper(method)
	}
	if host := first(r, "X-Forwarded-Host", "X-Original-Host"); host != "" {
		s.http.Host = hostname(host)
	}
	if uri := first(r, "X-Forwarded-Uri", "X-Original-Uri", "X-Original-Url"); uri != "" {
		parsed, err := url.Parse(uri)
		if err != nil {
			return err
		}
		s.http.Path, s.http.Query = parsed.Path, &query{raw: parsed.RawQuery}
	}
	s.http.Source = h.source(r, peer)
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
	writeJSON(w, code, problemType, body)
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
