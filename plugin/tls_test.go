package plugin_test

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/sluice-dev/sluice/enforcer/requestjson"
	"github.com/sluice-dev/sluice/plugin"
)

// While a pool goes over to TLS some of its pods speak it.
func TestTheAPIServerIsToldWhoSpeaksTLS(t *testing.T) {
	s := serve(t, map[string]string{
		"GET " + webPath: webPolicy, "GET " + poolPath: `{"metadata": {"name": "default"}}`,
		"GET " + podsPath: `{"items": [
			{"ports": [{"name": "admin", "port": 9090}], "endpoints": [{"targetRef": {"kind": "Pod", "name": "a"}}]},
			{"ports": [{"name": "admin-tls", "port": 9090}], "endpoints": [{"targetRef": {"kind": "Pod", "name": "b"}}]}]}`,
		"POST " + proxies + "a:9090/proxy/v1/try": admits, "POST " + proxies + "https:b:9090/proxy/v1/try": admits,
	})
	shows(t, plugin.Options{Kubeconfig: s.kubeconfig(t)}, plugin.Try{Question: ask("web", requestjson.Request{})}, `
admitted by shop/web/l

LIMIT           SAYS       LEFT        FULL IN   RETRY IN
shop/web/l      admitted   7           1.3s      -
shop/web/free   admitted   unlimited   -         -
`)
}

func TestAnEnforcerIsVerified(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"node": "a"}`) }))
	t.Cleanup(s.Close)
	authority := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	try := plugin.Try{Question: ask("web", requestjson.Request{})}
	for want, o := range map[string]plugin.Options{
		"certificate signed by unknown authority":                              {Enforcers: []string{s.URL}},
		"certificate is valid for example.com, *.example.com, not sluice":      {Enforcers: []string{s.URL}, CertificateAuthority: authority, TLSServerName: "sluice"},
		"enforcer a runs no policy web":                                        {Enforcers: []string{s.URL}, CertificateAuthority: authority, TLSServerName: "example.com"},
		"--certificate-authority nowhere.crt: ":                                {Enforcers: []string{s.URL}, CertificateAuthority: "nowhere.crt"},
		"--certificate-authority and --tls-server-name go with --enforcer: th": {CertificateAuthority: authority},
	} {
		refuses(t, o, try, want)
	}
}
