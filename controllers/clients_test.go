package controllers

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/enforcer/discovery"
	"github.com/sluice-dev/sluice/internal/certtest"
)

const serverName = "sluice.sluice-system.svc"

// serve runs an enforcer whose admin port has a name; with a pair it speaks TLS.
func serve(t *testing.T, port string, pairs ...certtest.Pair) discovery.Endpoint {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"node": "a"}`) }))
	if len(pairs) > 0 {
		server.TLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pairs[0].TLS(t)}}
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	at, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(at.Port())
	if err != nil {
		t.Fatal(err)
	}
	return discovery.Endpoint{Name: "a", Host: at.Hostname(), Ports: map[string]int{port: number}}
}

func TestEnforcersAreVerified(t *testing.T) {
	authority, others := certtest.New(t), certtest.New(t)
	good, late := authority.Issue(serverName), authority.IssueUntil(time.Now().Add(-time.Minute), serverName)
	for name, tc := range map[string]struct {
		roots    [][]byte // that were told one after the other
		enforcer discovery.Endpoint
		want     string // problem; "" for none
	}{
		"one of the authority":            {[][]byte{authority.PEM}, serve(t, "admin-tls", good), ""},
		"one with a certificate of ours":  {[][]byte{good.Certificate}, serve(t, "admin-tls", good), ""},
		"one that has not changed yet":    {[][]byte{authority.PEM, others.PEM}, serve(t, "admin-tls", good), ""},
		"one that has not for long":       {[][]byte{authority.PEM, others.PEM, certtest.New(t).PEM}, serve(t, "admin-tls", good), "shows a certificate that does not lead to ca.crt of the pool's Secret"},
		"one of another authority":        {[][]byte{authority.PEM}, serve(t, "admin-tls", others.Issue(serverName)), "shows a certificate that does not lead to ca.crt of the pool's Secret"},
		"one with another name":           {[][]byte{authority.PEM}, serve(t, "admin-tls", authority.Issue("sluice")), "shows a certificate that is not for sluice.sluice-system.svc"},
		"one that is late":                {[][]byte{authority.PEM}, serve(t, "admin-tls", late), "shows a certificate that has expired, or is not valid yet"},
		"one that speaks plain text":      {[][]byte{authority.PEM}, serve(t, "admin"), ""},
		"one that only says it does":      {[][]byte{authority.PEM}, serve(t, "admin-tls"), "does not answer"},
		"one that nobody can verify":      {nil, serve(t, "admin-tls", good), "speaks TLS, and the manager has no certificate to verify it by: say spec.tls.secretName in the pool"},
		"one that cannot be asked at all": {nil, discovery.Endpoint{Host: "127.0.0.1"}, "has no port named admin"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClients(newHTTPClient())
			for _, roots := range tc.roots {
				c.verify("default", serverName, roots)
			}
			if got := c.ask(t.Context(), "default", tc.enforcer, nil); got.problem != tc.want || (got.state != nil) != (tc.want == "") {
				t.Errorf("problem %q, state %v; want %q", got.problem, got.state, tc.want)
			}
			c.forget("default")
			if _, speaks := tc.enforcer.Ports[v1alpha1.AdminTLSPort]; speaks && c.ask(t.Context(), "default", tc.enforcer, nil).state != nil {
				t.Error("it is trusted after its pool is gone")
			}
		})
	}
}
