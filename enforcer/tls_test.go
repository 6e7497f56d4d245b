package enforcer_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	ratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/sluice-dev/sluice/enforcer"
	"github.com/sluice-dev/sluice/internal/certtest"
)

// serverName is what the certificates of these tests are for.
const serverName = "sluice.sluice-system.svc"

// startTLS runs an enforcer that speaks TLS, or either on some ports, with the files in
// folder, until the test ends, and returns when it is ready.
func startTLS(t *testing.T, folder string, either bool, authority, clients *certtest.Authority) *running {
	t.Helper()
	policies := filepath.Join(folder, "web.yaml")
	writePolicy(t, policies, perHour(5))
	writePair(t, folder, authority.Issue(serverName))
	writePolicy(t, filepath.Join(folder, "clients.crt"), string(clients.PEM))
	e := launch(t, enforcer.Options{
		Policies: policies, Node: "n", TLSCertFile: filepath.Join(folder, "tls.crt"), TLSPrivateKeyFile: filepath.Join(folder, "tls.key"),
		TLSClientCAFiles: []string{filepath.Join(folder, "clients.crt")}, TLSPermissive: either,
	})
	e.eventually("ready", func() error {
		_, err := fetch(t, "https://"+e.Admin+"/readyz", authority.Client(serverName))
		return err
	})
	return e
}

func writePair(t *testing.T, folder string, p certtest.Pair) {
	t.Helper()
	writePolicy(t, filepath.Join(folder, "tls.crt"), string(p.Certificate))
	writePolicy(t, filepath.Join(folder, "tls.key"), string(p.Key))
}

// fetch asks over a connection of its own and returns the body of a good answer.
func fetch(t *testing.T, url string, config *tls.Config) (string, error) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true, DisableKeepAlives: true}}
	resp, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, body)
	}
	return string(body), err
}

// dial connects to RLS; it counts connections.
func (r *running) dial(c credentials.TransportCredentials, connections *atomic.Int32) rlsv3.RateLimitServiceClient {
	r.t.Helper()
	conn, err := grpc.NewClient(r.RLS, grpc.WithTransportCredentials(c),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			connections.Add(1)
			return new(net.Dialer).DialContext(ctx, "tcp", address)
		}))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = conn.Close() })
	return rlsv3.NewRateLimitServiceClient(conn)
}

// tenant is what Envoy says of a request by one.
func tenant(name string) []*ratelimitv3.RateLimitDescriptor {
	return []*ratelimitv3.RateLimitDescriptor{{Entries: []*ratelimitv3.RateLimitDescriptor_Entry{{Key: "tenant", Value: name}}}}
}

func TestProxiesShowCertificatesAndProbesDoNot(t *testing.T) {
	authority, clients := certtest.New(t), certtest.New(t)
	e := startTLS(t, t.TempDir(), false, authority, clients)
	envoy, nobody := authority.Client(serverName, clients.Issue("envoy")), authority.Client(serverName)
	var connections atomic.Int32
	call := &rlsv3.RateLimitRequest{Domain: "elsewhere", Descriptors: tenant("acme")}
	if _, err := e.dial(credentials.NewTLS(envoy), &connections).ShouldRateLimit(t.Context(), call); err != nil {
		t.Errorf("RLS with a certificate: %v", err)
	}
	if _, err := e.dial(credentials.NewTLS(nobody), &connections).ShouldRateLimit(t.Context(), call); err == nil {
		t.Error("RLS answers a client without a certificate")
	}
	if _, err := fetch(t, "https://"+e.HTTP+"/v1/auth/web", envoy); err != nil {
		t.Errorf("HTTP with a certificate: %v", err)
	}
	if _, err := fetch(t, "https://"+e.HTTP+"/v1/auth/web", nobody); err == nil {
		t.Error("HTTP answers a client without a certificate")
	}
	for _, plain := range []string{e.HTTP, e.Admin} {
		if _, err := fetch(t, "http://"+plain+"/healthz", nil); err == nil {
			t.Errorf("%s answers plain text", plain)
		}
	}
	metrics, err := fetch(t, "https://"+e.Admin+"/metrics", nobody)
	if err != nil || !strings.Contains(metrics, "sluice_tls_last_reload_successful 1\n") || !strings.Contains(metrics, "sluice_tls_certificate_expiration_timestamp_seconds 1.") {
		t.Errorf("metrics %v:\n%s", err, metrics)
	}
}

// While proxies change over, those that have and those that have not are answered.
func TestProxiesChangeOneByOne(t *testing.T) {
	authority, clients := certtest.New(t), certtest.New(t)
	e := startTLS(t, t.TempDir(), true, authority, clients)
	changed, half := authority.Client(serverName, clients.Issue("envoy")), authority.Client(serverName)
	var connections atomic.Int32
	call := &rlsv3.RateLimitRequest{Domain: "elsewhere", Descriptors: tenant("acme")}
	for name, c := range map[string]credentials.TransportCredentials{"changed": credentials.NewTLS(changed), "not changed": insecure.NewCredentials()} {
		if _, err := e.dial(c, &connections).ShouldRateLimit(t.Context(), call); err != nil {
			t.Errorf("RLS by a proxy that has %s: %v", name, err)
		}
	}
	if _, err := e.dial(credentials.NewTLS(half), &connections).ShouldRateLimit(t.Context(), call); err == nil {
		t.Error("RLS answers a client that speaks TLS without a certificate")
	}
	for _, url := range []string{"https://" + e.HTTP, "http://" + e.HTTP} {
		if _, err := fetch(t, url+"/v1/auth/web", changed); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
	if _, err := fetch(t, "http://"+e.Admin+"/readyz", nil); err == nil {
		t.Error("admin answers plain text")
	}
}

func TestACertificateIsReplacedUnderACall(t *testing.T) {
	folder, authority, clients := t.TempDir(), certtest.New(t), certtest.New(t)
	e := startTLS(t, folder, false, authority, clients)
	var connections atomic.Int32
	proxy := e.dial(credentials.NewTLS(authority.Client(serverName, clients.Issue("envoy"))), &connections)
	call := &rlsv3.RateLimitRequest{Domain: "web", Descriptors: tenant("acme")}
	if _, err := proxy.ShouldRateLimit(t.Context(), call); err != nil {
		t.Fatal(err)
	}
	next := certtest.New(t)
	writePair(t, folder, next.Issue(serverName))
	e.eventually("a new handshake has the new certificate", func() error {
		conn, err := tls.DialWithDialer(&net.Dialer{Timeout: time.Second}, "tcp", e.Admin, next.Client(serverName))
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		if version := conn.ConnectionState().Version; version != tls.VersionTLS13 {
			t.Errorf("%s is spoken, want TLS 1.3", tls.VersionName(version))
		}
		return nil
	})
	for i, want := range []rlsv3.RateLimitResponse_Code{rlsv3.RateLimitResponse_OK, rlsv3.RateLimitResponse_OVER_LIMIT} {
		if answer, err := proxy.ShouldRateLimit(t.Context(), call); err != nil || answer.GetOverallCode() != want {
			t.Errorf("call %d after that: %v, %v; want %v", i, answer.GetOverallCode(), err, want)
		}
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("%d connections, want the first one to go on", n)
	}

	if err := os.Remove(filepath.Join(folder, "tls.key")); err != nil {
		t.Fatal(err)
	}
	e.eventually("what is wrong is told, and does no harm", func() error {
		metrics, err := fetch(t, "https://"+e.Admin+"/metrics", next.Client(serverName))
		if err == nil && !strings.Contains(metrics, "sluice_tls_last_reload_successful 0\n") {
			err = errors.New(metrics)
		}
		return err
	})
}
