package enforcer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/sluice-dev/sluice/enforcer"
	"github.com/sluice-dev/sluice/enforcer/internal/journal"
	"github.com/sluice-dev/sluice/enforcer/policy"
	"github.com/sluice-dev/sluice/enforcer/report"
	"github.com/sluice-dev/sluice/internal/loopback"
)

// patience is how long a test waits for what takes milliseconds.
const patience = 20 * time.Second

// running is an enforcer of a test, on loopback.
type running struct {
	t *testing.T
	enforcer.Addresses
	stop func() error // ends it and returns what Run did
}

// start runs an enforcer until the test ends or stop is called, and returns when
// it is ready. Options without addresses get free ones.
func start(t *testing.T, o enforcer.Options) *running {
	t.Helper()
	r := launch(t, o)
	r.awaitReady()
	return r
}

func (r *running) awaitReady() {
	r.t.Helper()
	r.eventually("ready", func() error { return r.get("/readyz", nil) })
}

// launch is start without the wait.
func launch(t *testing.T, o enforcer.Options) *running {
	t.Helper()
	for _, address := range []*string{&o.HTTPListen, &o.RLSListen, &o.GossipListen, &o.AdminListen} {
		if *address == "" {
			*address = "127.0.0.1:0"
		}
	}
	o.MaxKeys = 1000
	e, err := enforcer.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	r := &running{t: t, Addresses: e.Addresses()}
	r.stop = func() error {
		cancel()
		err := <-done
		done <- err
		return err
	}
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("%s: %v", o.Node, err)
		}
	})
	return r
}

// startPool runs enforcers that know each other's addresses.
func startPool(t *testing.T, size int, o enforcer.Options) []*running {
	t.Helper()
	var gossip []string
	for range size {
		gossip = append(gossip, freeAddress(t))
	}
	o.Peers = strings.Join(gossip, ",")
	var pool []*running
	for i := range size {
		o.Node, o.GossipListen = fmt.Sprintf("node-%d", i), gossip[i]
		pool = append(pool, launch(t, o))
	}
	for _, e := range pool {
		e.awaitReady()
	}
	return pool
}

// ports are those of all pools of the tests here.
var ports = loopback.OfProcess()

func freeAddress(t *testing.T) string {
	t.Helper()
	address, err := ports.Free(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return address
}

func (r *running) eventually(what string, check func() error) {
	r.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("%s: not within %v: %v", what, patience, err)
		}
	}
}

// get asks the admin port, and decodes the JSON into out unless that is nil.
func (r *running) get(path string, out any) error {
	resp, err := http.Get("http://" + r.Admin + path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("%s: %s: %s", path, resp.Status, body)
	case out == nil:
		return nil
	}
	return json.Unmarshal(body, out)
}

// check asks for a client's cost over HTTP, and returns the status code and what
// remains.
func (r *running) check(domain, client string, cost int) (code int, remaining int64) {
	r.t.Helper()
	body := fmt.Sprintf(`{"headers":{"x-api-key":%q},"cost":%d}`, client, cost)
	resp, err := http.Post("http://"+r.HTTP+"/v1/check/"+domain, "application/json", strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer := struct{ Remaining int64 }{-1}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		r.t.Fatal(err)
	}
	return resp.StatusCode, answer.Remaining
}

// sees waits until an enforcer says that so much remains of a client's quota.
func (r *running) sees(domain, client string, want int64) {
	r.t.Helper()
	r.eventually(fmt.Sprintf("%s has %d left", client, want), func() error {
		if _, got := r.check(domain, client, 0); got != want {
			return fmt.Errorf("it has %d", got)
		}
		return nil
	})
}

// perHour is a policy that grants each client so many requests an hour: as good
// as no refill while a test runs.
func perHour(requests int) string {
	return fmt.Sprintf(`apiVersion: sluice.dev/v1alpha1
kind: RateLimitPolicy
metadata: {name: web, namespace: shop}
spec:
  domain: web
  limits:
  - {name: per-client, key: ["request.headers['x-api-key']"], rate: {requests: %d, per: 1h}}
  - {name: per-tenant, key: ["descriptor['tenant']"], rate: {requests: 2, per: 1h}}
`, requests)
}

func writePolicy(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+"~", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+"~", path); err != nil {
		t.Fatal(err)
	}
}

func TestAPoolAdmitsWhatOneLimiterWould(t *testing.T) {
	path := filepath.Join(t.TempDir(), "web.yaml")
	writePolicy(t, path, perHour(5))
	pool := startPool(t, 3, enforcer.Options{Policies: path})

	for range 5 {
		if code, _ := pool[0].check("web", "alice", 1); code != http.StatusOK {
			t.Fatalf("within the limit: %d", code)
		}
	}
	for i, e := range pool {
		e.sees("web", "alice", 0)
		if code, _ := e.check("web", "alice", 1); code != http.StatusTooManyRequests {
			t.Errorf("enforcer %d answers %d to a client that used its quota at enforcer 0", i, code)
		}
		if code, _ := e.check("web", "bob", 1); code != http.StatusOK {
			t.Errorf("enforcer %d answers %d to a client that used nothing", i, code)
		}
		if code, _ := e.check("elsewhere", "alice", 1); code != http.StatusOK {
			t.Errorf("enforcer %d answers %d in a domain without limits", i, code)
		}
	}

	// One that comes later asks the others before it is ready.
	state := report.State{}
	if err := pool[1].get("/v1/state", &state); err != nil {
		t.Fatal(err)
	}
	if err := pool[2].stop(); err != nil {
		t.Fatal(err)
	}
	again := start(t, enforcer.Options{Policies: path, Node: "node-2", Peers: pool[0].Gossip + "," + pool[1].Gossip, GossipListen: pool[2].Gossip})
	if code, remaining := again.check("web", "alice", 0); remaining != 0 {
		t.Errorf("the enforcer that restarted answers %d, %d remain: it knows nothing of what was used", code, remaining)
	}
	if len(state.Peers) != 2 || !state.Ready || state.Node != "node-1" || state.Document == nil {
		t.Errorf("state %+v", state)
	}
}

func TestAChangeOfTheFilesIsFollowed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "web.yaml")
	writePolicy(t, path, perHour(5))
	e := start(t, enforcer.Options{Policies: path, Node: "n"})
	e.check("web", "alice", 2)
	e.sees("web", "alice", 3)
	refused := func() string {
		state := report.State{}
		if err := e.get("/v1/state", &state); err != nil {
			t.Fatal(err)
		}
		return state.Refused
	}

	writePolicy(t, path, strings.Replace(perHour(50), "request.headers", "request.hedaers", 1))
	e.eventually("the mistake is told", func() error {
		if why := refused(); !strings.Contains(why, "undeclared reference to 'request.hedaers'") {
			return fmt.Errorf("refused is %q", why)
		}
		return nil
	})
	e.sees("web", "alice", 3)

	// Half of it is used: a counter whose rate changed keeps what was taken.
	writePolicy(t, path, perHour(10))
	e.eventually("the new rate is in force", func() error {
		if _, remaining := e.check("web", "bob", 0); remaining != 10 || refused() != "" {
			return fmt.Errorf("%d remain; refused is %q", remaining, refused())
		}
		return nil
	})
	if code, remaining := e.check("web", "alice", 0); remaining >= 10 {
		t.Errorf("alice has %d left (%d): what she used is forgotten", remaining, code)
	}
}

func TestEnvoyIsAnswered(t *testing.T) {
	path := filepath.Join(t.TempDir(), "web.yaml")
	writePolicy(t, path, perHour(5))
	e := start(t, enforcer.Options{Policies: path, Node: "n"})
	conn, err := grpc.NewClient(e.RLS, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	health, client := healthv1.NewHealthClient(conn), rlsv3.NewRateLimitServiceClient(conn)
	e.eventually("serving", func() error {
		h, err := health.Check(t.Context(), &healthv1.HealthCheckRequest{})
		if err == nil && h.GetStatus() != healthv1.HealthCheckResponse_SERVING {
			err = errors.New(h.GetStatus().String())
		}
		return err
	})
	call := &rlsv3.RateLimitRequest{Domain: "web", Descriptors: tenant("acme")}
	for i, want := range []rlsv3.RateLimitResponse_Code{rlsv3.RateLimitResponse_OK, rlsv3.RateLimitResponse_OK, rlsv3.RateLimitResponse_OVER_LIMIT} {
		answer, err := client.ShouldRateLimit(t.Context(), call)
		if err != nil || answer.GetOverallCode() != want {
			t.Fatalf("call %d: %v, %v; want %v", i, answer, err, want)
		}
	}

	resp, err := http.Get("http://" + e.Admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	metrics, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`sluice_limit_tokens_total{limit="per-tenant",namespace="shop",outcome="admitted",policy="web"} 2`,
		`sluice_limit_tokens_total{limit="per-tenant",namespace="shop",outcome="limited",policy="web"} 1`,
		`sluice_request_duration_seconds_count{frontend="rls",outcome="denied"} 1`,
		`sluice_keys 1`,
		"go_goroutines", "process_cpu_seconds_total",
	} {
		if !strings.Contains(string(metrics), want) {
			t.Errorf("the metrics have no %s", want)
		}
	}
}

// With the API server away, an enforcer that restarts goes on with its journal.
func TestAJournalIsEnoughToStart(t *testing.T) {
	dir := t.TempDir()
	kubeconfig := filepath.Join(dir, "kubeconfig")
	// Port 1 of loopback refuses connections.
	writePolicy(t, kubeconfig, `{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}],
clusters: [{name: c, cluster: {server: "http://127.0.0.1:1"}}], users: [{name: u, user: {}}]}`)
	j, err := journal.Open(filepath.Join(dir, "journal"))
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := policy.Encode(&policy.Document{Version: policy.Version, Pool: "default", Policies: []policy.Policy{{
		Namespace: "shop", Name: "web", UID: "u", Generation: 3, Domain: "web",
		Limits: []policy.Limit{{Name: "all", Algorithm: policy.TokenBucket, Rate: policy.Rate{Requests: 1, Per: "1h"}}},
	}}})
	if err == nil {
		err = j.Save(journal.Document, encoded)
	}
	if err != nil {
		t.Fatal(err)
	}
	alone := freeAddress(t)
	e := start(t, enforcer.Options{
		PoolNamespace: "sluice-system", Kubeconfig: kubeconfig, Node: "n", GossipListen: alone, Peers: alone, Journal: filepath.Join(dir, "journal"),
	})
	for i, want := range []int{http.StatusOK, http.StatusTooManyRequests} {
		if code, _ := e.check("web", "alice", 1); code != want {
			t.Errorf("request %d: %d, want %d", i, code, want)
		}
	}
}

func TestWhatIsWrongWithOptionsIsNamed(t *testing.T) {
	good := filepath.Join(t.TempDir(), "web.yaml")
	writePolicy(t, good, perHour(5))
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = busy.Close() }()
	for name, tc := range map[string]struct {
		options enforcer.Options
		want    []string
	}{
		"nothing at all": {enforcer.Options{}, []string{"--policies PATH for files, or --pool-namespace NAMESPACE for Kubernetes"}},
		"both modes":     {enforcer.Options{Policies: good, PoolNamespace: "n"}, []string{"--policies and --pool-namespace exclude each other"}},
		"what belongs to the other mode": {
			enforcer.Options{Policies: good, Journal: "j", Kubeconfig: "k", PoolName: "p", Peers: "kubernetes"},
			[]string{"--journal goes with --pool-namespace", "--kubeconfig goes with", "--pool-name goes with", "--peers kubernetes needs --pool-namespace"},
		},
		"addresses that are none": {
			enforcer.Options{Policies: good, HTTPListen: "8080", GossipListen: "here"},
			[]string{`--http-listen "8080": write host:port`, `--gossip-listen "here"`},
		},
		"a Service without a name":    {enforcer.Options{PoolNamespace: "n", Peers: "kubernetes:"}, []string{"write the Service's name after the colon"}},
		"peers that are no addresses": {enforcer.Options{Policies: good, Peers: "a,b"}, []string{"--peers: "}},
		"a long name":                 {enforcer.Options{Policies: good, Node: strings.Repeat("x", 254)}, []string{"--node-name has 254 characters: use at most 253"}},
		"a certificate without its key": {
			enforcer.Options{Policies: good, TLSCertFile: "c"}, []string{"--tls-cert-file and --tls-private-key-file go together: name both, or neither"},
		},
		"clients with certificates at a server without": {
			enforcer.Options{Policies: good, TLSClientCAFiles: []string{"a"}}, []string{"--tls-client-ca-file and --tls-permissive go with --tls-cert-file"},
		},
		"a certificate that is none": {
			enforcer.Options{Policies: good, TLSCertFile: good, TLSPrivateKeyFile: good},
			[]string{"--tls-cert-file " + good + " and --tls-private-key-file " + good + ": ", "name a certificate in PEM"},
		},
		"too few keys": {enforcer.Options{Policies: good, MaxKeys: 1}, []string{"--max-keys 1: use "}},
		"no kubeconfig outside of a pod": {
			enforcer.Options{PoolNamespace: "n"}, []string{"this is no pod", "--kubeconfig FILE"},
		},
		"no such file":      {enforcer.Options{Policies: "nowhere.yaml"}, []string{"--policies nowhere.yaml", "no such file"}},
		"an address in use": {enforcer.Options{Policies: good, HTTPListen: "127.0.0.1:0", RLSListen: busy.Addr().String()}, []string{"--rls-listen " + busy.Addr().String()}},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := enforcer.New(t.Context(), tc.options)
			if err == nil {
				_ = e.Close()
				t.Fatal("no error")
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %v, want %q in it", err, want)
				}
			}
		})
	}
}
