package controllers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
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
	deployment  *appsv1.Deployment                     // nil: there is none
	troubles    []string                               // why pods are not ready
	autoscaler  *autoscalingv2.HorizontalPodAutoscaler // nil: there is none
	rotation    string                                 // of the gossip keys, that is complete
	unbuilt     error                                  // why what runs the enforcers is not as it should be; nil: it is
	published   *publication                           // nil: nothing yet
	unpublished error                                  // why the newest document is not published; nil: it is
	settling    bool                                   // it was published less than settleTime ago
	enforcers   []enforcer
}

// report writes the status of a pool if it changed, and ends a pass: a problem is
// tried again.
func (r *poolReconciler) report(ctx context.Context, pool *v1alpha1.EnforcerPool, memory *poolMemory, facts poolFacts) (ctrl.Result, error) {
	problem := errors.Join(facts.unbuilt, facts.unpublished)
	facts.published = memory.inForce
	if o := r.board.of(pool.Name).observation; o != nil {
		facts.enforcers = o.enforcers
	} else if problem == nil {
		return ctrl.Result{}, nil // nobody was asked yet: the first answers start another pass
	}
	var result ctrl.Result
	if left := settleTime - r.now().Sub(memory.published); left > 0 && facts.unpublished == nil {
		facts.settling, result.RequeueAfter = true, left
	}
	before := pool.Status
	pool.Status = poolStatus(pool, facts, r.now())
	if equality.Semantic.DeepEqual(before, pool.Status) {
		return result, problem
	}
	if again, err := r.statuses.write(ctx, pool); err != nil || again > 0 {
		return ctrl.Result{RequeueAfter: again}, errors.Join(problem, err)
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
	if now.Status == metav1.ConditionTrue || now.Reason == v1alpha1.ReasonRollingOut {
		kind = corev1.EventTypeNormal
	}
	r.events.Eventf(pool, nil, kind, now.Reason, "Publish", "%s", shorten(now.Message, maxNote))
}

// poolStatus returns what the status of a pool should be. Conditions of others are
// kept.
func poolStatus(pool *v1alpha1.EnforcerPool, f poolFacts, now time.Time) v1alpha1.EnforcerPoolStatus {
	status := *pool.Status.DeepCopy()
	status.ObservedGeneration = pool.Generation
	status.GossipKeyRotation = f.rotation
	status.Document = nil
	if p := f.published; p != nil {
		status.Document = &v1alpha1.DocumentStatus{Digest: p.digest, Policies: int32(len(p.document.Policies)), Bytes: p.bytes}
	}
	lagging := f.lagging()
	status.Members = f.members()
	status.Enforcers = enforcerCount(len(f.enforcers)-len(lagging), len(f.enforcers))

	all := []metav1.Condition{f.publishedCondition()}
	status.Workload = nil
	if pool.BuiltByOperator() {
		status.Workload = workloadStatus(pool, f.deployment)
		all = append(all, f.progressing(), f.available())
	}
	all = append(append(all, f.ready(all, lagging)), f.extras()...)
	for _, kind := range []string{v1alpha1.ConditionProgressing, v1alpha1.ConditionAvailable, v1alpha1.ConditionScaling, v1alpha1.ConditionStalled} {
		if !slices.ContainsFunc(all, func(c metav1.Condition) bool { return c.Type == kind }) {
			meta.RemoveStatusCondition(&status.Conditions, kind)
		}
	}
	setConditions(&status.Conditions, pool.Generation, now, all...)
	return status
}

// extras are conditions that a pool has while there is something to say of them.
func (f *poolFacts) extras() (all []metav1.Condition) {
	if c := scaling(f.autoscaler); c != nil {
		all = append(all, *c)
	}
	if c := f.progressing(); c.Reason == v1alpha1.ReasonStuck {
		c.Type, c.Status = v1alpha1.ConditionStalled, metav1.ConditionTrue
		all = append(all, c)
	}
	return all
}

func (f *poolFacts) publishedCondition() metav1.Condition {
	c := metav1.Condition{Type: v1alpha1.ConditionPublished, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonPublishFailed}
	switch {
	case f.unpublished != nil:
		c.Message = f.unpublished.Error()
	case f.published == nil:
		c.Message = "nothing is published yet"
	default:
		c.Status, c.Reason = metav1.ConditionTrue, v1alpha1.ReasonPublished
		c.Message = "the document is in ConfigMap " + configmap.IndexName(f.published.document.Pool)
	}
	return c
}

// ready sums up the other conditions, and says what the enforcers run.
func (f *poolFacts) ready(parts []metav1.Condition, lagging []string) metav1.Condition {
	c := metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse}
	for _, p := range parts {
		if p.Status != metav1.ConditionTrue || p.Reason == v1alpha1.ReasonRollingOut {
			c.Reason, c.Message = p.Reason, p.Message
			return c
		}
	}
	c.Message = fmt.Sprintf("%d of %d enforcers run the published document", len(f.enforcers)-len(lagging), len(f.enforcers))
	switch {
	case len(f.enforcers) == 0:
		c.Reason, c.Message = v1alpha1.ReasonNoEnforcers, "the pool has no ready enforcer"
	case len(lagging) > 0:
		c.Reason = v1alpha1.ReasonPending
		c.Message += "; " + enumerate(lagging)
	case len(f.apart()) > 0:
		c.Reason = v1alpha1.ReasonApart
		c.Message += "; " + enumerate(f.apart())
	default:
		c.Status, c.Reason = metav1.ConditionTrue, v1alpha1.ReasonReady
	}
	return c
}

// members says how many enforcers each counts: one number, or the least and the most.
func (f *poolFacts) members() string {
	var counts []int
	for _, e := range f.enforcers {
		if e.members > 0 {
			counts = append(counts, e.members)
		}
	}
	if len(counts) == 0 {
		return ""
	}
	if least, most := slices.Min(counts), slices.Max(counts); least < most {
		return fmt.Sprintf("%d-%d", least, most)
	}
	return fmt.Sprint(counts[0])
}

// apart says of each enforcer that does not hear all others how many those are.
func (f *poolFacts) apart() (all []string) {
	for _, e := range f.enforcers {
		if e.apart != "" {
			all = append(all, e.apart)
		}
	}
	return all
}

// lagging says of each enforcer that does not run the published document what it
// does instead.
func (f *poolFacts) lagging() (all []string) {
	for _, e := range f.enforcers {
		if text := f.lag(e); text != "" {
			all = append(all, text)
		}
	}
	return all
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
	case f.published != nil && maps.EqualFunc(e.runs, f.published.runs, running.like):
		return e.name + " runs it otherwise: " + whyOtherwise(e.version)
	default:
		return e.name + " runs another document"
	}
}
