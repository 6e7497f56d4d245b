package integration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/controllers"
	"github.com/sluice-dev/sluice/enforcer"
	"github.com/sluice-dev/sluice/enforcer/discovery"
	"github.com/sluice-dev/sluice/internal/loopback"
)

// The whole path, with nothing faked: a policy is applied, and requests are denied
// by enforcers that have the rights which the operator gives to its own.
func TestFromApplyToADeniedRequest(t *testing.T) {
	w := newEmptyWorld(t)
	w.createPool("default")
	pool := newPool(w, 3)
	w.startManagerAs(config, false, controllers.Options{Discover: func(string, string) discovery.Source { return pool.admins() }})
	p := w.newPolicy(w.shop, "storefront", "storefront", byKey)
	p.Spec.Limits[0].Rate = v1alpha1.Rate{Requests: 4, Per: "1h"}
	w.create(p)
	w.awaitPolicy(p, v1alpha1.ConditionReady, isTrue, "generation 1 runs on 3 of 3 enforcers")

	for range 4 {
		if code := pool.ask(0, "alice"); code != http.StatusOK {
			t.Fatalf("within the limit: %d", code)
		}
	}
	for i := range pool.members {
		w.eventually("every enforcer knows", func() error { return pool.remains(i, "alice", 0) })
		if code := pool.ask(i, "alice"); code != http.StatusTooManyRequests {
			t.Errorf("enforcer %d answers %d to a client that used its quota elsewhere", i, code)
		}
	}

	// A change is in force wherever Programmed says so.
	w.change(p, func(s *v1alpha1.RateLimitPolicySpec) { s.Limits[0].Rate.Requests = 7 })
	w.awaitPolicy(p, v1alpha1.ConditionProgrammed, isTrue, "generation 2 runs on 3 of 3 enforcers")
	for i := range pool.members {
		if err := pool.remains(i, "bob", 7); err != nil {
			t.Errorf("enforcer %d: Programmed is True, but %v", i, err)
		}
	}

	// A mistake changes nothing, and neither does a manager that is gone.
	w.change(p, func(s *v1alpha1.RateLimitPolicySpec) { s.Limits[0].Key[0] = byTypo })
	w.awaitPolicy(p, v1alpha1.ConditionAccepted, isFalse, "generation 2 stays in force")
	w.stop()
	for i := range pool.members {
		if err := pool.remains(i, "bob", 7); err != nil {
			t.Errorf("enforcer %d, with a mistake and no manager: %v", i, err)
		}
	}

	// An enforcer that restarts has the counts of the others before it is ready.
	for range 7 { // far from the limit an enforcer may take a little without a word
		pool.ask(0, "bob")
	}
	w.eventually("the others know", func() error { return pool.remains(1, "bob", 0) })
	pool.restart(2)
	if err := pool.remains(2, "bob", 0); err != nil {
		t.Errorf("the enforcer that restarted: %v", err)
	}

	w.startManagerAs(config, false, controllers.Options{Discover: func(string, string) discovery.Source { return pool.admins() }})
	w.gone(p)
	for i := range pool.members {
		w.eventually("the limit is gone", func() error {
			if code := pool.ask(i, "alice"); code != http.StatusOK {
				return fmt.Errorf("enforcer %d answers %d", i, code)
			}
			return nil
		})
	}
}

// pool is some real enforcers of the EnforcerPool "default", on loopback.
type pool struct {
	w          *world
	kubeconfig string
	members    []*member
}

// member is one enforcer of a pool. Its addresses stay when it restarts.
type member struct {
	options enforcer.Options
	stop    func()
}

func newPool(w *world, size int) *pool {
	w.Helper()
	p := &pool{w: w, kubeconfig: w.enforcerKubeconfig()}
	var gossip []string
	for i := range size {
		m := &member{options: enforcer.Options{
			Node: fmt.Sprintf("sluice-%d", i), PoolNamespace: w.operator, Kubeconfig: p.kubeconfig,
			HTTPListen: freeAddress(w), RLSListen: freeAddress(w), AdminListen: freeAddress(w), GossipListen: freeAddress(w),
			MaxKeys: 1000,
		}}
		gossip = append(gossip, m.options.GossipListen)
		p.members = append(p.members, m)
	}
	for i, m := range p.members {
		m.options.Peers = strings.Join(gossip, ",")
		p.start(i)
		w.Cleanup(func() { m.stop() })
	}
	return p
}

// start runs a member; it is ready when it has a document.
func (p *pool) start(i int) {
	p.w.Helper()
	m := p.members[i]
	e, err := enforcer.New(p.w.Context(), m.options)
	if err != nil {
		p.w.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	m.stop = func() {
		cancel()
		if err := <-done; err != nil {
			p.w.Errorf("%s: %v", m.options.Node, err)
		}
		m.stop = func() {}
	}
}

// restart stops a member, starts it again and waits until it is ready.
func (p *pool) restart(i int) {
	p.w.Helper()
	p.members[i].stop()
	p.start(i)
	p.w.eventually("ready again", func() error {
		resp, err := http.Get("http://" + p.members[i].options.AdminListen + "/readyz")
		if err != nil {
			return err
		}
		if resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("it answers %s", resp.Status)
		}
		return errors.Join(err, resp.Body.Close())
	})
}

// admins is where the manager finds the members.
func (p *pool) admins() discovery.Source {
	var addresses []string
	for _, m := range p.members {
		addresses = append(addresses, m.options.AdminListen)
	}
	source, err := discovery.Static(v1alpha1.AdminPort, addresses)
	if err != nil {
		p.w.Error(err)
	}
	return source
}

// ask takes one request of a client's quota at a member.
func (p *pool) ask(i int, client string) int {
	p.w.Helper()
	code, _ := p.check(i, client, 1)
	return code
}

// remains is nil when a member says that so much of a client's quota is left.
func (p *pool) remains(i int, client string, want int64) error {
	p.w.Helper()
	if _, got := p.check(i, client, 0); got != want {
		return fmt.Errorf("%s has %d left, want %d", client, got, want)
	}
	return nil
}

func (p *pool) check(i int, client string, cost int) (code int, remaining int64) {
	p.w.Helper()
	body := fmt.Sprintf(`{"headers":{"x-api-key":%q},"cost":%d}`, client, cost)
	resp, err := http.Post("http://"+p.members[i].options.HTTPListen+"/v1/check/storefront", "application/json", strings.NewReader(body))
	if err != nil {
		p.w.Fatal(err)
	}
	defer resp.Body.Close()
	answer := struct{ Remaining int64 }{-1}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		p.w.Fatal(err)
	}
	return resp.StatusCode, answer.Remaining
}

// ports are those of all pools of the tests here.
var ports = loopback.OfProcess()

func freeAddress(w *world) string {
	w.Helper()
	address, err := ports.Free(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	return address
}

// enforcerKubeconfig returns the path of a kubeconfig with the rights that the
// operator gives to the enforcers of the pool "default".
func (w *world) enforcerKubeconfig() string {
	w.Helper()
	name := "enforcers-of-" + w.operator
	user, err := controlPlane.AddUser(envtest.User{Name: name}, nil)
	if err != nil {
		w.Fatal(err)
	}
	w.bind(name, "default-enforcers")
	text, err := user.KubeConfig()
	if err != nil {
		w.Fatal(err)
	}
	path := filepath.Join(w.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		w.Fatal(err)
	}
	return path
}
