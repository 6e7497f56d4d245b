package controllers

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/enforcer/configmap"
)

// settleTime is how long enforcers may take to load a new document before the
// pool counts as not ready: policies come and go, and the pool does not blink.
const settleTime = 2 * time.Second

// poolFacts is everything that the status of a pool is a function of.
type poolFacts struct {
	published *publication // nil: nothing yet
	problem   error        // why the newest document is not published; nil: it is
	settling  bool         // it was published less than settleTime ago
	enforcers []enforcer
}

// report writes the status of a pool if it changed, and ends a pass: a problem is
// tried again.
func (r *poolReconciler) report(ctx context.Context, pool *v1alpha1.EnforcerPool, memory *poolMemory, problem error) (ctrl.Result, error) {
	facts := poolFacts{published: memory.inForce, problem: problem}
	if o := r.board.of(pool.Name).observation; o != nil {
		facts.enforcers = o.enforcers
	} else if problem == nil {
		return ctrl.Result{}, nil // nobody was asked yet: the first answers start another pass
	}
	var result ctrl.Result
	if left := settleTime - r.now().Sub(memory.published); left > 0 && problem == nil {
		facts.settling, result.RequeueAfter = true, left
	}
	before := pool.Status
	pool.Status = poolStatus(&before, pool.Generation, facts, r.now())
	if equality.Semantic.DeepEqual(before, pool.Status) {
		return result, problem
	}
	switch err := r.client.Status().Update(ctx, pool); {
	case apierrors.IsConflict(err):
		return ctrl.Result{RequeueAfter: conflictDelay}, problem
	case err != nil:
		return ctrl.Result{}, errors.Join(problem, err)
	}
	r.announce(pool, before.Conditions)
	return result, problem
}

// announce makes events of what changed.
func (r *poolReconciler) announce(pool *v1alpha1.EnforcerPool, before []metav1.Condition) {
	now := meta.FindStatusCondition(pool.Status.Conditions, v1alpha1.ConditionReady)
	was := meta.FindStatusCondition(before, v1alpha1.ConditionReady)
	if was != nil && was.Status == now.Status && was.Reason == now.Reason {
		return
	}
	kind := corev1.EventTypeWarning
	if now.Status == metav1.ConditionTrue {
		kind = corev1.EventTypeNormal
	}
	r.events.Eventf(pool, nil, kind, now.Reason, "Publish", "%s", shorten(now.Message, maxNote))
}

// poolStatus returns what the status of a pool should be.
func poolStatus(before *v1alpha1.EnforcerPoolStatus, generation int64, f poolFacts, now time.Time) v1alpha1.EnforcerPoolStatus {
	status := *before.DeepCopy()
	status.ObservedGeneration = generation
	status.Document = nil
	if p := f.published; p != nil {
		status.Document = &v1alpha1.DocumentStatus{Digest: p.digest, Policies: int32(len(p.document.Policies)), Bytes: p.bytes}
	}
	var lagging []string
	programmed := 0
	for _, e := range f.enforcers {
		if text := f.lag(e); text != "" {
			lagging = append(lagging, text)
		} else {
			programmed++
		}
	}
	status.Enforcers = enforcerCount(programmed, len(f.enforcers))

	published := f.publishedCondition()
	ready := metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse}
	switch {
	case published.Status != metav1.ConditionTrue:
		ready.Reason, ready.Message = published.Reason, published.Message
	case len(f.enforcers) == 0:
		ready.Reason, ready.Message = v1alpha1.ReasonNoEnforcers, "the pool has no ready enforcer"
	case len(lagging) > 0:
		ready.Reason = v1alpha1.ReasonPending
		ready.Message = fmt.Sprintf("%d of %d enforcers run the published document; %s", programmed, len(f.enforcers), enumerate(lagging))
	default:
		ready.Status, ready.Reason = metav1.ConditionTrue, v1alpha1.ReasonReady
		ready.Message = fmt.Sprintf("%d of %d enforcers run the published document", programmed, len(f.enforcers))
	}
	setConditions(&status.Conditions, generation, now, published, ready)
	return status
}

func (f *poolFacts) publishedCondition() metav1.Condition {
	c := metav1.Condition{Type: v1alpha1.ConditionPublished, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonPublishFailed}
	switch {
	case f.problem != nil:
		c.Message = f.problem.Error()
	case f.published == nil:
		c.Message = "nothing is published yet"
	default:
		c.Status, c.Reason = metav1.ConditionTrue, v1alpha1.ReasonPublished
		c.Message = "the document is in ConfigMap " + configmap.IndexName(f.published.document.Pool)
	}
	return c
}

// lag says in what way an enforcer does not run the published document, or "".
func (f *poolFacts) lag(e enforcer) string {
	switch {
	case e.problem != "":
		return e.name + " " + e.problem
	case f.published != nil && e.digest == f.published.digest, f.settling:
		return ""
	case e.refused != "":
		return e.name + " refuses it: " + shorten(e.refused, maxRefusal)
	case e.digest == "":
		return e.name + " has no document"
	default:
		return e.name + " runs another document"
	}
}
