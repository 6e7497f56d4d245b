package controllers

import (
	"context"
	"maps"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/controllers/workload"
)

// autoscaler returns that of a pool, nil when there is none.
func (a *applier) autoscaler(ctx context.Context, pool *v1alpha1.EnforcerPool) (*autoscalingv2.HorizontalPodAutoscaler, error) {
	if !pool.BuiltByOperator() || pool.Spec.Autoscaling == nil {
		return nil, nil
	}
	h := &autoscalingv2.HorizontalPodAutoscaler{}
	if err := a.client.Get(ctx, client.ObjectKey{Namespace: pool.Namespace, Name: workload.Name(pool)}, h); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	return h, nil
}

// scaling says whether an autoscaler works; nil: there is none, or it has not
// looked yet.
func scaling(h *autoscalingv2.HorizontalPodAutoscaler) *metav1.Condition {
	if h == nil || len(h.Status.Conditions) == 0 {
		return nil
	}
	c := &metav1.Condition{
		Type: v1alpha1.ConditionScaling, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonScaling,
		Message: "the autoscaler has a value of each of its metrics",
	}
	if problem := scalingProblem(h); problem != "" {
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, v1alpha1.ReasonNotScaling, problem
	}
	return c
}

// scalingProblem says why an autoscaler does not work as it should, or "". One that
// misses some of its metrics calls itself active as long as it need not scale down,
// which it never does then: the value of such a metric has no type.
func scalingProblem(h *autoscalingv2.HorizontalPodAutoscaler) string {
	for _, c := range h.Status.Conditions {
		if c.Status == corev1.ConditionFalse && (c.Type == autoscalingv2.AbleToScale || c.Type == autoscalingv2.ScalingActive) {
			return c.Reason + ": " + c.Message
		}
	}
	for i, current := range h.Status.CurrentMetrics {
		if current.Type != "" || i >= len(h.Spec.Metrics) {
			continue
		}
		if pods := h.Spec.Metrics[i].Pods; pods != nil {
			return "custom.metrics.k8s.io has no " + pods.Metric.Name + " of the pods, and without that the pool never shrinks: install an adapter as in config/autoscaling, or leave out autoscaling.targetCallsPerSecond"
		}
		return "metrics.k8s.io has no CPU of the pods, and without that the pool never shrinks: install metrics-server"
	}
	return ""
}

// scalingChanges lets through what changes how an autoscaler scales, and whether it
// can: its figures change every 15 seconds.
var scalingChanges = predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
	before, now := e.ObjectOld.(*autoscalingv2.HorizontalPodAutoscaler), e.ObjectNew.(*autoscalingv2.HorizontalPodAutoscaler)
	return !maps.Equal(before.Labels, now.Labels) || !equality.Semantic.DeepEqual(before.Spec, now.Spec) ||
		!equality.Semantic.DeepEqual(scaling(before), scaling(now))
}}
