package controllers

import (
	"testing"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

func says(kind autoscalingv2.HorizontalPodAutoscalerConditionType, status corev1.ConditionStatus, reason, message string) autoscalingv2.HorizontalPodAutoscalerCondition {
	return autoscalingv2.HorizontalPodAutoscalerCondition{Type: kind, Status: status, Reason: reason, Message: message}
}

// autoscaler goes by the CPU and by calls, and says some things.
func autoscaler(current []autoscalingv2.MetricStatus, told ...autoscalingv2.HorizontalPodAutoscalerCondition) *autoscalingv2.HorizontalPodAutoscaler {
	return &autoscalingv2.HorizontalPodAutoscaler{
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{Metrics: []autoscalingv2.MetricSpec{
			{Type: autoscalingv2.ResourceMetricSourceType, Resource: &autoscalingv2.ResourceMetricSource{Name: "cpu"}},
			{Type: autoscalingv2.PodsMetricSourceType, Pods: &autoscalingv2.PodsMetricSource{Metric: autoscalingv2.MetricIdentifier{Name: "calls"}}},
		}},
		Status: autoscalingv2.HorizontalPodAutoscalerStatus{Conditions: told, CurrentMetrics: current},
	}
}

func TestScaling(t *testing.T) {
	cpu := autoscalingv2.MetricStatus{Type: autoscalingv2.ResourceMetricSourceType}
	calls := autoscalingv2.MetricStatus{Type: autoscalingv2.PodsMetricSourceType}
	missing := autoscalingv2.MetricStatus{}
	able := says(autoscalingv2.AbleToScale, corev1.ConditionTrue, "ReadyForNewScale", "it can")
	active := says(autoscalingv2.ScalingActive, corev1.ConditionTrue, "ValidMetricFound", "it does")
	unlimited := says(autoscalingv2.ScalingLimited, corev1.ConditionFalse, "DesiredWithinRange", "it is")
	for name, tc := range map[string]struct {
		autoscaler *autoscalingv2.HorizontalPodAutoscaler
		want       string // "": no condition
	}{
		"there is none":           {nil, ""},
		"one that has not looked": {autoscaler(nil), ""},
		"one that works":          {autoscaler([]autoscalingv2.MetricStatus{cpu, calls}, able, active, unlimited), "True Scaling: the autoscaler has a value of each of its metrics"},
		"one that need not look":  {autoscaler(nil, able), "True Scaling: the autoscaler has a value of each of its metrics"},
		"one without any metric": {
			autoscaler([]autoscalingv2.MetricStatus{missing, missing}, able, says(autoscalingv2.ScalingActive, corev1.ConditionFalse, "FailedGetResourceMetric", "no metrics returned")),
			"False NotScaling: FailedGetResourceMetric: no metrics returned",
		},
		"one that may not scale": {
			autoscaler(nil, says(autoscalingv2.AbleToScale, corev1.ConditionFalse, "FailedGetScale", "forbidden")),
			"False NotScaling: FailedGetScale: forbidden",
		},
		"no adapter": {
			autoscaler([]autoscalingv2.MetricStatus{cpu, missing}, able, active),
			"False NotScaling: custom.metrics.k8s.io has no calls of the pods, and without that the pool never shrinks: install an adapter as in config/autoscaling, or leave out autoscaling.targetCallsPerSecond",
		},
		"no metrics server": {
			autoscaler([]autoscalingv2.MetricStatus{missing, calls}, able, active),
			"False NotScaling: metrics.k8s.io has no CPU of the pods, and without that the pool never shrinks: install metrics-server",
		},
	} {
		_, s := poolStatusOf(poolFacts{deployment: deployment(3, 3, 3), autoscaler: tc.autoscaler})
		got := ""
		if scaling(tc.autoscaler) != nil {
			got = text(t, s.Conditions, v1alpha1.ConditionScaling)
		}
		if got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
		if ready := text(t, s.Conditions, v1alpha1.ConditionReady); ready != "True Ready: 3 of 3 enforcers run the published document" {
			t.Errorf("%s: the pool is %s", name, ready)
		}
	}
}

// An autoscaler writes down what it measures every 15 seconds: no reason to look at
// the pool.
func TestFiguresOfAnAutoscalerWakeNobody(t *testing.T) {
	active := says(autoscalingv2.ScalingActive, corev1.ConditionTrue, "ValidMetricFound", "it does")
	before := autoscaler(nil, active)
	for name, tc := range map[string]struct {
		change func(*autoscalingv2.HorizontalPodAutoscaler)
		want   bool
	}{
		"a figure": {func(h *autoscalingv2.HorizontalPodAutoscaler) {
			h.Status.CurrentMetrics = []autoscalingv2.MetricStatus{{Type: autoscalingv2.ResourceMetricSourceType}}
			h.Status.LastScaleTime = &metav1.Time{Time: day}
		}, false},
		"a problem": {func(h *autoscalingv2.HorizontalPodAutoscaler) { h.Status.Conditions[0].Status = corev1.ConditionFalse }, true},
		"a spec":    {func(h *autoscalingv2.HorizontalPodAutoscaler) { h.Spec.MaxReplicas = 4 }, true},
		"a label":   {func(h *autoscalingv2.HorizontalPodAutoscaler) { h.Labels = map[string]string{"a": "b"} }, true},
	} {
		now := before.DeepCopy()
		tc.change(now)
		if got := scalingChanges.Update(event.UpdateEvent{ObjectOld: before, ObjectNew: now}); got != tc.want {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}
