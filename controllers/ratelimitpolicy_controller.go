package controllers

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// policyReconciler writes the status of policies. Its root kind is
// RateLimitPolicy. It decides nothing: verdicts and observations are on the board.
type policyReconciler struct {
	client    client.Client
	statuses  *statusWriter
	namespace string // of the pools
	board     *board
	events    events.EventRecorder
	now       func() time.Time

	mu        sync.Mutex
	announced map[types.NamespacedName]running // what was last announced as programmed
}

// Reconcile brings the status of a policy up to date.
func (r *policyReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var policy v1alpha1.RateLimitPolicy
	if err := r.client.Get(ctx, req.NamespacedName, &policy); apierrors.IsNotFound(err) {
		r.forget(req.NamespacedName)
		return ctrl.Result{}, nil
	} else if err != nil {
		return ctrl.Result{}, err
	}
	if r.statuses.behind(&policy) {
		return ctrl.Result{RequeueAfter: lag}, nil
	}
	facts, known, err := r.gather(ctx, &policy)
	if err != nil || !known {
		return ctrl.Result{}, err
	}
	before := policy.Status
	policy.Status = policyStatus(&policy, facts, r.now())
	if equality.Semantic.DeepEqual(before, policy.Status) {
		return ctrl.Result{}, nil
	}
	if again, err := r.statuses.write(ctx, &policy); err != nil || again > 0 {
		return ctrl.Result{RequeueAfter: again}, client.IgnoreNotFound(err)
	}
	r.announce(&policy, &before)
	return ctrl.Result{}, nil
}

// gather collects what the status is a function of. It is not known while this
// generation has not been judged, or no enforcer has been asked since the manager
// started: whoever does that pulls the trigger, and until then the status stays.
func (r *policyReconciler) gather(ctx context.Context, policy *v1alpha1.RateLimitPolicy) (facts policyFacts, known bool, err error) {
	facts = policyFacts{pool: types.NamespacedName{Namespace: r.namespace, Name: policy.Pool()}}
	var pool v1alpha1.EnforcerPool
	if err := r.client.Get(ctx, facts.pool, &pool); apierrors.IsNotFound(err) {
		return facts, true, nil
	} else if err != nil {
		return facts, false, err
	}
	facts.poolExists, facts.defaults = true, pool.Spec.Defaults

	notes := r.board.of(facts.pool.Name)
	if notes.judgment == nil || notes.observation == nil {
		return facts, false, nil
	}
	name := client.ObjectKeyFromObject(policy)
	verdict := notes.judgment.verdicts[name]
	if verdict.uid != policy.UID || verdict.generation != policy.Generation {
		return facts, false, nil
	}
	facts.outcome, facts.unpublished = verdict.outcome, notes.judgment.problem
	facts.usage = notes.observation.usage[policy.UID]
	for _, e := range notes.observation.enforcers {
		s := policySighting{name: e.name, version: e.version, problem: e.problem, refused: e.refused}
		if running := e.runs[name]; running.uid == policy.UID {
			s.generation, s.otherwise = running.generation, running.otherwise(notes.judgment.runs[name])
		}
		facts.enforcers = append(facts.enforcers, s)
	}
	return facts, true, nil
}

// announce makes events of what changed: a fault, and that it is mended, and each
// generation that became programmed, which says that it is valid too. An enforcer that
// comes and goes is an event of the pool.
func (r *policyReconciler) announce(policy *v1alpha1.RateLimitPolicy, before *v1alpha1.RateLimitPolicyStatus) {
	accepted := meta.FindStatusCondition(policy.Status.Conditions, v1alpha1.ConditionAccepted)
	was := meta.FindStatusCondition(before.Conditions, v1alpha1.ConditionAccepted)
	valid := accepted.Status == metav1.ConditionTrue
	if was == nil && !valid || was != nil && (was.Status != accepted.Status || was.Reason != accepted.Reason || was.Message != accepted.Message) {
		kind := corev1.EventTypeWarning
		if valid {
			kind = corev1.EventTypeNormal
		}
		r.events.Eventf(policy, nil, kind, accepted.Reason, "Check", "%s", shorten(accepted.Message, maxNote))
	}
	programmed := meta.FindStatusCondition(policy.Status.Conditions, v1alpha1.ConditionProgrammed)
	if programmed.Status == metav1.ConditionTrue && r.firstTime(policy) && !programmedBefore(policy, before) {
		r.events.Eventf(policy, nil, corev1.EventTypeNormal, programmed.Reason, "Program", "%s", shorten(programmed.Message, maxNote))
	}
}

// programmedBefore says whether the status said so before, of this generation: a
// manager that starts has nothing new to tell.
func programmedBefore(policy *v1alpha1.RateLimitPolicy, before *v1alpha1.RateLimitPolicyStatus) bool {
	was := meta.FindStatusCondition(before.Conditions, v1alpha1.ConditionProgrammed)
	return was != nil && was.Status == metav1.ConditionTrue && was.ObservedGeneration == policy.Generation
}

// firstTime says whether this generation has not been announced as programmed.
func (r *policyReconciler) firstTime(policy *v1alpha1.RateLimitPolicy) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	name, this := client.ObjectKeyFromObject(policy), running{uid: policy.UID, generation: policy.Generation}
	if r.announced[name] == this {
		return false
	}
	r.announced[name] = this
	return true
}

func (r *policyReconciler) forget(name types.NamespacedName) {
	r.statuses.forget(name)
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.announced, name)
}
