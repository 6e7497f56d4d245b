package controllers

import (
	"context"
	"errors"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/enforcer/assemble"
	"github.com/sluice-dev/sluice/enforcer/policy"
)

// publishSpacing is the least time between two documents of a pool of up to a
// thousand policies, and with more for each thousand: everybody takes in a document as
// a whole. The first change after a quiet time is published at once; a thousand
// policies that are applied in a row become some documents and not a thousand.
const publishSpacing = 100 * time.Millisecond

// poolReconciler builds what runs the enforcers of a pool, judges its policies and
// publishes their document. Its root kind is EnforcerPool.
type poolReconciler struct {
	client    client.Client
	statuses  *statusWriter
	applier   *applier
	publisher *publisher
	board     *board
	collector *collector
	clients   *clients
	policies  *trigger
	events    events.EventRecorder
	now       func() time.Time

	mu     sync.Mutex
	memory map[string]*poolMemory // by pool name
}

// poolMemory is what is kept of a pool between two passes. The queue never has a
// pool in two passes at once, so it needs no lock.
type poolMemory struct {
	known     bool         // inForce is what the ConfigMaps hold
	inForce   *publication // nil: nothing is published
	published time.Time    // when that changed last; zero: before this manager
	checks    *assemble.Cache
	built     built
}

// Reconcile brings what belongs to a pool up to date, and its status.
func (r *poolReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var pool v1alpha1.EnforcerPool
	if err := r.client.Get(ctx, req.NamespacedName, &pool); apierrors.IsNotFound(err) {
		r.forget(ctx, req.NamespacedName)
		return ctrl.Result{}, nil
	} else if err != nil {
		return ctrl.Result{}, err
	}
	if !pool.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil // what belongs to it is being deleted: nothing is made anew
	}
	if r.statuses.behind(&pool) {
		return ctrl.Result{RequeueAfter: lag}, nil
	}
	memory := r.remember(pool.Name)
	if wait := memory.spacing() - r.now().Sub(memory.published); wait > 0 {
		return ctrl.Result{RequeueAfter: wait}, nil
	}
	var facts poolFacts
	if o := r.board.of(pool.Name).observation; o != nil {
		facts.enforcers = o.enforcers
	}
	facts.deployment, facts.rotation, facts.unbuilt = r.applier.build(ctx, &pool, memory.built, facts.enforcers)
	facts.unbuilt = errors.Join(facts.unbuilt, r.trust(ctx, &pool))
	var err error
	if facts.autoscaler, err = r.applier.autoscaler(ctx, &pool); err != nil {
		return ctrl.Result{}, err
	}
	if facts.troubles, err = r.troubles(ctx, &pool); err != nil {
		return ctrl.Result{}, err
	}
	if facts.unpublished = r.recall(ctx, req.NamespacedName, memory); facts.unpublished != nil {
		return r.report(ctx, &pool, memory, facts)
	}
	policies, err := r.policiesOf(ctx, pool.Name)
	if err != nil {
		return ctrl.Result{}, err
	}
	barred, err := r.barred(ctx, &pool, policies)
	if err != nil {
		return ctrl.Result{}, err
	}
	assembled := assemble.Document(assemble.Input{
		Pool: pool.Name, Policies: policies, Barred: barred, Defaults: pool.Spec.Defaults, Previous: memory.document(), Cache: memory.checks,
	})
	verdicts := verdictsOn(policies, assembled.Outcomes)
	facts.unpublished = r.publish(ctx, &pool, memory, assembled.Document)

	r.policies.pull(r.board.judge(pool.Name, newJudgment(verdicts, memory, facts.unpublished))...)
	r.collector.follow(ctx, pool.Name, pool.Service())
	return r.report(ctx, &pool, memory, facts)
}

// recall learns what is published from the API server, once: after that the
// manager knows what it published. So the last good version of a policy survives
// a restart of the manager.
func (r *poolReconciler) recall(ctx context.Context, pool types.NamespacedName, memory *poolMemory) error {
	if memory.known {
		return nil
	}
	inForce, err := r.publisher.inForce(ctx, pool)
	var unreadable *unreadableError
	if errors.As(err, &unreadable) {
		logf.FromContext(ctx).Error(err, "The published document cannot be read and is replaced; last good versions of invalid policies are lost")
	} else if err != nil {
		return err
	}
	memory.known, memory.inForce = true, inForce
	return nil
}

// policiesOf returns the policies of a pool. They are shared with the cache:
// nobody may change them.
func (r *poolReconciler) policiesOf(ctx context.Context, pool string) ([]v1alpha1.RateLimitPolicy, error) {
	var list v1alpha1.RateLimitPolicyList
	err := r.client.List(ctx, &list, client.MatchingFields{poolField: pool}, client.UnsafeDisableDeepCopy)
	return list.Items, err
}

// publish publishes a document and remembers it.
func (r *poolReconciler) publish(ctx context.Context, pool *v1alpha1.EnforcerPool, memory *poolMemory, document *policy.Document) error {
	want := memory.inForce
	if digests := document.Digests(); want == nil || want.digest != digests.Document {
		var err error
		if want, err = newPublication(client.ObjectKeyFromObject(pool), document, digests); err != nil {
			return err
		}
	}
	if err := r.publisher.publish(ctx, pool, want); err != nil {
		memory.known = false // it may have arrived all the same
		return err
	}
	if want != memory.inForce {
		memory.inForce, memory.published = want, r.now()
		logf.FromContext(ctx).Info("Published", "digest", want.digest, "policies", len(document.Policies), "bytes", want.bytes)
	}
	return nil
}

// remember returns the memory of a pool, a new one for a new pool.
func (r *poolReconciler) remember(pool string) *poolMemory {
	r.mu.Lock()
	defer r.mu.Unlock()
	memory, ok := r.memory[pool]
	if !ok {
		memory = &poolMemory{checks: assemble.NewCache(), built: built{}}
		r.memory[pool] = memory
	}
	return memory
}

// forget drops everything that is known of a pool that is gone. What belongs to it
// goes with it, as it owns that; enforcers that somebody else runs go on with what
// they have.
func (r *poolReconciler) forget(ctx context.Context, pool types.NamespacedName) {
	r.collector.leave(ctx, pool.Name)
	r.clients.forget(pool.Name)
	r.board.forget(pool.Name)
	r.statuses.forget(pool)
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.memory, pool.Name)
}

func (m *poolMemory) document() *policy.Document {
	if m.inForce == nil {
		return nil
	}
	return m.inForce.document
}

// spacing returns how long after the last document the next one may follow.
func (m *poolMemory) spacing() time.Duration {
	if m.inForce == nil {
		return publishSpacing
	}
	return publishSpacing * time.Duration(max(1000, len(m.inForce.document.Policies))) / 1000
}

// verdictsOn returns the verdict on each policy. So the list of policies, which is
// megabytes, need not be there while their document is published.
func verdictsOn(policies []v1alpha1.RateLimitPolicy, outcomes map[types.NamespacedName]assemble.Outcome) map[types.NamespacedName]verdict {
	verdicts := make(map[types.NamespacedName]verdict, len(policies))
	for i := range policies {
		p := &policies[i]
		name := client.ObjectKeyFromObject(p)
		verdicts[name] = verdict{p.UID, p.Generation, outcomes[name]}
	}
	return verdicts
}

func newJudgment(verdicts map[types.NamespacedName]verdict, memory *poolMemory, problem error) *judgment {
	j := &judgment{verdicts: verdicts}
	if memory.inForce != nil {
		j.digest, j.runs = memory.inForce.digest, memory.inForce.runs
	}
	if problem != nil {
		j.problem = problem.Error()
	}
	return j
}
