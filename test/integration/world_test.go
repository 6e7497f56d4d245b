package integration

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/controllers"
	"github.com/sluice-dev/sluice/enforcer/discovery"
)

// patience is how long a test waits for what should take a fraction of a second:
// the machine may be busy.
const patience = time.Minute

// world is one test's operator namespace, its pool "default", a manager and some
// fake enforcers.
type world struct {
	*testing.T
	client    client.WithWatch
	operator  string // namespace of the manager and the pool
	shop      string // namespace of an application team
	enforcers []*fakeEnforcer
	stop      func() // stops the manager
}

// newWorld makes a world with running enforcers and a manager.
func newWorld(t *testing.T, enforcers int) *world {
	t.Helper()
	w := newEmptyWorld(t)
	w.createPool("default")
	for i := range enforcers {
		w.enforcers = append(w.enforcers, startFake(w, fmt.Sprintf("sluice-%d", i)))
	}
	w.startManager()
	return w
}

// newEmptyWorld makes the namespaces and nothing else.
func newEmptyWorld(t *testing.T) *world {
	t.Helper()
	options, err := controllers.ManagerOptions("unused")
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.NewWithWatch(config, client.Options{Scheme: options.Scheme})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, client: c, stop: func() {}}
	w.operator, w.shop = w.createNamespace("operator"), w.createNamespace("shop")
	return w
}

// createNamespace makes a namespace whose policies go away with the test.
func (w *world) createNamespace(prefix string) string {
	w.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: prefix + "-"}}
	w.create(ns)
	w.Cleanup(func() {
		if err := w.client.DeleteAllOf(context.Background(), &v1alpha1.RateLimitPolicy{}, client.InNamespace(ns.Name)); err != nil {
			w.Errorf("clean up: %v", err)
		}
	})
	return ns.Name
}

func (w *world) createPool(name string) *v1alpha1.EnforcerPool {
	w.Helper()
	pool := &v1alpha1.EnforcerPool{ObjectMeta: metav1.ObjectMeta{Namespace: w.operator, Name: name}}
	w.create(pool)
	return pool
}

// startManager runs the reconcilers until the test ends or stop is called.
func (w *world) startManager() {
	w.Helper()
	var addresses []string
	for _, e := range w.enforcers {
		addresses = append(addresses, e.address)
	}
	w.startManagerAs(config, false, controllers.Options{Discover: func(string, string) discovery.Source {
		source, err := discovery.Static(v1alpha1.AdminPort, addresses)
		if err != nil {
			w.Error(err)
		}
		return source
	}})
}

// startManagerAs runs them with somebody's rights.
func (w *world) startManagerAs(user *rest.Config, elect bool, o controllers.Options) {
	w.Helper()
	o.Namespace, o.Image = w.operator, "enforcer:test"
	options, err := controllers.ManagerOptions(w.operator)
	if err != nil {
		w.Fatal(err)
	}
	skip := true
	options.Metrics = metricsserver.Options{BindAddress: "0"}
	options.Controller.SkipNameValidation = &skip // one process runs many managers, one after the other
	options.LeaderElection = elect
	options.LeaderElectionID = "sluice-manager"
	options.LeaderElectionNamespace = w.operator
	options.LeaderElectionReleaseOnCancel = true
	mgr, err := ctrl.NewManager(user, options)
	if err != nil {
		w.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	if err := controllers.Setup(ctx, mgr, o); err != nil {
		w.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	stopped := false
	w.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			w.Errorf("manager: %v", err)
		}
	}
	w.Cleanup(w.stop)
}

func (w *world) create(o client.Object) {
	w.Helper()
	if err := w.client.Create(w.Context(), o); err != nil {
		w.Fatal(err)
	}
}

// policy creates a policy with one limit that is keyed by an expression.
func (w *world) policy(namespace, name, domain, key string) *v1alpha1.RateLimitPolicy {
	w.Helper()
	p := w.newPolicy(namespace, name, domain, key)
	w.create(p)
	return p
}

func (w *world) newPolicy(namespace, name, domain, key string) *v1alpha1.RateLimitPolicy {
	return &v1alpha1.RateLimitPolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.RateLimitPolicySpec{
			Domain: domain,
			Limits: []v1alpha1.Limit{{
				Name: "per-client",
				Key:  []v1alpha1.Expression{v1alpha1.Expression(key)},
				Rate: v1alpha1.Rate{Requests: 10, Per: "1s"},
			}},
		},
	}
}

// change edits the spec of a policy, and returns when the API server has it.
func (w *world) change(p *v1alpha1.RateLimitPolicy, edit func(*v1alpha1.RateLimitPolicySpec)) {
	w.Helper()
	before := p.DeepCopy()
	edit(&p.Spec)
	if err := w.client.Patch(w.Context(), p, client.MergeFrom(before)); err != nil {
		w.Fatal(err)
	}
}

// read gets an object again.
func (w *world) read(o client.Object) {
	w.Helper()
	if err := w.client.Get(w.Context(), client.ObjectKeyFromObject(o), o); err != nil {
		w.Fatal(err)
	}
}

// eventually waits until check is nil, and returns how long that took. The longer
// it takes, the less often it looks: looking costs time too.
func (w *world) eventually(what string, check func() error) time.Duration {
	w.Helper()
	start := time.Now()
	for deadline := time.NewTimer(patience); ; {
		err := check()
		if err == nil {
			return time.Since(start)
		}
		select {
		case <-deadline.C:
			w.Fatalf("%s: still not after %s: %v", what, patience, err)
		case <-time.After(max(5*time.Millisecond, time.Since(start)/20)):
		}
	}
}

// awaitPolicy waits until a condition of this generation of a policy has a status
// and a message that contains a text.
func (w *world) awaitPolicy(p *v1alpha1.RateLimitPolicy, condition string, status metav1.ConditionStatus, message string) time.Duration {
	w.Helper()
	return w.eventually(fmt.Sprintf("%s of %s/%s is %s: %s", condition, p.Namespace, p.Name, status, message), func() error {
		if err := w.client.Get(w.Context(), client.ObjectKeyFromObject(p), p); err != nil {
			return err
		}
		c := meta.FindStatusCondition(p.Status.Conditions, condition)
		if c == nil || c.Status != status || c.ObservedGeneration != p.Generation || !strings.Contains(c.Message+" "+c.Reason, message) {
			return fmt.Errorf("generation %d has %v", p.Generation, p.Status.Conditions)
		}
		return nil
	})
}

func (w *world) awaitReady(p *v1alpha1.RateLimitPolicy) time.Duration {
	w.Helper()
	return w.awaitPolicy(p, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
}

// never checks that something does not happen within a while in which it would.
func (w *world) never(what string, within time.Duration, check func() bool) {
	w.Helper()
	if happens(within, check) {
		w.Fatalf("%s happened", what)
	}
}

// happens says whether something does within a while.
func happens(within time.Duration, check func() bool) bool {
	for deadline := time.NewTimer(within); ; {
		if check() {
			return true
		}
		select {
		case <-deadline.C:
			return false
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// withinASecond checks that what took so long in the usual case took a second at
// most. On a machine that is busy or slow a second is as long as something else
// takes there.
func (w *world) withinASecond(what string, took []time.Duration, orElse time.Duration) {
	w.Helper()
	usual, most := median(took), max(time.Second, orElse)
	w.Logf("%s: median %s, worst of %d %s; a second is %s here", what, usual, len(took), slices.Max(took), most)
	if usual > most {
		w.Errorf("%s: the median is %s, want %s at most", what, usual, most)
	}
}

// writing returns how long one write to the API server takes here.
func (w *world) writing() time.Duration {
	w.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.shop}}
	w.read(ns)
	took := make([]time.Duration, 11)
	for i := range took {
		ns.Annotations = map[string]string{"written": fmt.Sprint(i)}
		start := time.Now()
		if err := w.client.Update(w.Context(), ns); err != nil {
			w.Fatal(err)
		}
		took[i] = time.Since(start)
	}
	return median(took)
}

// changing changes a policy some times, and returns how long it took each time
// until it was Programmed.
func (w *world) changing(p *v1alpha1.RateLimitPolicy, times int) (took []time.Duration) {
	w.Helper()
	for range times {
		w.read(p)
		start := time.Now()
		w.change(p, func(s *v1alpha1.RateLimitPolicySpec) { s.Limits[0].Rate.Requests++ })
		w.awaitPolicy(p, v1alpha1.ConditionProgrammed, metav1.ConditionTrue, fmt.Sprintf("runs on %[1]d of %[1]d enforcers", len(w.enforcers)))
		took = append(took, time.Since(start))
		for _, e := range w.enforcers {
			if running := e.runs(client.ObjectKeyFromObject(p)); running == nil || running.Generation != p.Generation {
				w.Errorf("Programmed is True, but %s runs %v, want generation %d", e.name, running, p.Generation)
			}
		}
	}
	return took
}

func median(of []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[len(sorted)/2]
}

func (w *world) gone(o client.Object) {
	w.Helper()
	if err := w.client.Delete(w.Context(), o); err != nil && !apierrors.IsNotFound(err) {
		w.Fatal(err)
	}
}
