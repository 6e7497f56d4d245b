package integration

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/enforcer/configmap"
	"github.com/sluice-dev/sluice/enforcer/policy"
	"github.com/sluice-dev/sluice/enforcer/report"
)

// fakeEnforcer follows the document of the pool "default" and tells its state as
// an enforcer does. It decides nothing. It can be told to lag and to die.
type fakeEnforcer struct {
	w       *world
	name    string
	address string
	tls     *tls.Config // nil: it speaks plain text

	loading sync.Mutex // held while load is under way; taken before mu

	mu       sync.Mutex
	server   *http.Server // nil while dead
	started  time.Time
	lagging  bool
	document *policy.Document
	digests  policy.Digests
	usage    report.Usage // of every limit
	keys     []string     // fingerprints of its gossip keys
	old      bool         // it does not know the field cost
}

// startFake starts an enforcer that lives until the test ends.
func startFake(w *world, name string) *fakeEnforcer {
	w.Helper()
	return startAs(&fakeEnforcer{w: w, name: name})
}

// startLagging starts one that lags and has no document.
func startLagging(w *world, name string) *fakeEnforcer {
	w.Helper()
	return startAs(&fakeEnforcer{w: w, name: name, lagging: true})
}

func startAs(e *fakeEnforcer) *fakeEnforcer {
	w := e.w
	w.Helper()
	e.address = "127.0.0.1:0"
	e.start()
	go e.follow(w.Context())
	w.Cleanup(e.kill)
	return e
}

// start lets it answer, with no document yet.
func (e *fakeEnforcer) start() {
	e.w.Helper()
	listener, err := net.Listen("tcp", e.address)
	if err != nil {
		e.w.Fatal(err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.address = listener.Addr().String()
	e.started, e.document, e.digests = time.Now(), nil, policy.Digests{}
	e.server = &http.Server{Handler: e, TLSConfig: e.tls}
	if e.tls != nil {
		listener = tls.NewListener(listener, e.tls)
	}
	go func(s *http.Server) { _ = s.Serve(listener) }(e.server)
}

// kill closes the listener and all connections.
func (e *fakeEnforcer) kill() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.server != nil {
		_ = e.server.Close()
		e.server = nil
	}
}

// restart comes back at the same address and loads the document anew.
func (e *fakeEnforcer) restart() {
	e.w.Helper()
	e.kill()
	e.start()
	e.load(e.w.Context())
}

// lag says whether it takes in new documents; those it missed are loaded at the end.
func (e *fakeEnforcer) lag(lagging bool) {
	e.loading.Lock()
	e.mu.Lock()
	e.lagging = lagging
	e.mu.Unlock()
	e.loading.Unlock()
	if !lagging {
		e.load(e.w.Context())
	}
}

// become has it be replaced by one that is old, or is not.
func (e *fakeEnforcer) become(old bool) {
	e.mu.Lock()
	e.old = old
	e.mu.Unlock()
	e.load(e.w.Context())
}

func (e *fakeEnforcer) use(usage report.Usage) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.usage = usage
}

// takeKeys reads the gossip keys of the pool, as the kubelet has an enforcer do some
// time after they changed.
func (e *fakeEnforcer) takeKeys() {
	e.w.Helper()
	keys := e.w.keyring()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.keys = keys
}

func (e *fakeEnforcer) follow(ctx context.Context) {
	for ctx.Err() == nil {
		changes, err := e.w.client.Watch(ctx, &corev1.ConfigMapList{}, e.scope()...)
		if err != nil {
			continue
		}
		e.load(ctx)
		for range changes.ResultChan() {
			e.load(ctx)
		}
	}
}

func (e *fakeEnforcer) scope() []client.ListOption {
	return []client.ListOption{client.InNamespace(e.w.operator), client.MatchingLabelsSelector{Selector: configmap.Selector("default")}}
}

// load puts what the ConfigMaps hold into force, unless it is torn. Questions are
// answered meanwhile.
func (e *fakeEnforcer) load(ctx context.Context) {
	e.loading.Lock()
	defer e.loading.Unlock()
	var list corev1.ConfigMapList
	if e.lags() || e.w.client.List(ctx, &list, e.scope()...) != nil {
		return
	}
	index, chunks := configmap.Find("default", list.Items)
	if index == nil {
		return
	}
	encoded, _, err := configmap.Assemble(index, chunks)
	if err != nil {
		return
	}
	document, err := policy.Decode(encoded)
	if err != nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range document.Policies {
		for j := range document.Policies[i].Limits {
			if e.old {
				document.Policies[i].Limits[j].Cost = ""
			}
		}
	}
	e.document, e.digests = document, document.Digests()
}

func (e *fakeEnforcer) lags() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.lagging
}

// ServeHTTP answers GET /v1/state.
func (e *fakeEnforcer) ServeHTTP(resp http.ResponseWriter, req *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	state := report.State{Node: e.name, Version: "v0.9.0", Started: e.started, Now: time.Now(), Ready: e.document != nil, GossipKeys: e.keys}
	if e.document != nil {
		state.Document = &report.Document{Digest: e.digests.Document}
	}
	if !slices.Contains(req.URL.Query()[report.Known], e.digests.Document) {
		state.Policies = e.policiesLocked()
	}
	_ = json.NewEncoder(resp).Encode(state)
}

func (e *fakeEnforcer) policiesLocked() []report.Policy {
	all := []report.Policy{}
	if e.document == nil {
		return all
	}
	for i, p := range e.document.Policies {
		running := report.Policy{Namespace: p.Namespace, Name: p.Name, UID: p.UID, Generation: p.Generation, Digest: report.Digest(e.digests.Policies[i]), Domain: p.Domain}
		for _, l := range p.Limits {
			usage := e.usage
			usage.Name = l.Name
			running.Limits = append(running.Limits, usage)
		}
		all = append(all, running)
	}
	return all
}

// runs returns the policy that the enforcer has under a name, nil for none.
func (e *fakeEnforcer) runs(name types.NamespacedName) *policy.Policy {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.document == nil {
		return nil
	}
	for i := range e.document.Policies {
		if p := &e.document.Policies[i]; p.Namespace == name.Namespace && p.Name == name.Name {
			return p
		}
	}
	return nil
}
