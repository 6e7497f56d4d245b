package workload

import (
	"cmp"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// firstReplicas is how many enforcers a pool begins with that asks for no number:
// one may be lost and those that are left still have most of the pool.
const firstReplicas = 3

// replicas is the number that the operator owns, or nil for what others may
// change: an autoscaler, or whoever scales a pool that asks for no number.
func (in Input) replicas() *int32 {
	spec := &in.Pool.Spec
	switch {
	case spec.Replicas != nil || !in.New:
		return spec.Replicas
	case spec.Autoscaling != nil:
		return new(spec.Autoscaling.MinReplicas)
	default:
		return new(int32(firstReplicas))
	}
}

// disruptionBudget lets one pod at a time be moved elsewhere, and one that does
// not work at any time.
func (in Input) disruptionBudget() *policyv1.PodDisruptionBudget {
	return &policyv1.PodDisruptionBudget{ObjectMeta: in.meta(), Spec: policyv1.PodDisruptionBudgetSpec{
		MaxUnavailable:             new(intstr.FromInt32(1)),
		Selector:                   in.podSelector(),
		UnhealthyPodEvictionPolicy: new(policyv1.AlwaysAllow),
	}}
}

// callsMetric is the load of an enforcer, as an adapter calls it that makes it of
// the counts of sluice_request_duration_seconds.
const callsMetric = "sluice_calls_per_second"

// autoscaler is empty when the pool asks for none. Its metrics are a list: the
// highest number that any of them asks for counts.
func (in Input) autoscaler() *autoscalingv2.HorizontalPodAutoscaler {
	a := in.Pool.Spec.Autoscaling
	if a == nil {
		return &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: in.meta()}
	}
	return &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: in.meta(), Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
		ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{
			APIVersion: appsv1.SchemeGroupVersion.String(), Kind: "Deployment", Name: Name(in.Pool),
		},
		MinReplicas: new(a.MinReplicas),
		MaxReplicas: a.MaxReplicas,
		Metrics:     loads(a),
		// Each step takes pods first that share a node, as they did before it: a large
		// one may leave two on one node, small ones do not. A tenth is one at least.
		Behavior: &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleDown: &autoscalingv2.HPAScalingRules{
			Policies: []autoscalingv2.HPAScalingPolicy{{Type: autoscalingv2.PercentScalingPolicy, Value: 10, PeriodSeconds: 15}},
		}},
	}}
}

// loads is what the number of enforcers follows.
func loads(a *v1alpha1.Autoscaling) []autoscalingv2.MetricSpec {
	all := []autoscalingv2.MetricSpec{{
		Type: autoscalingv2.ResourceMetricSourceType,
		Resource: &autoscalingv2.ResourceMetricSource{
			Name:   corev1.ResourceCPU,
			Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: new(a.TargetCPUUtilizationPercentage)},
		},
	}}
	if calls := a.TargetCallsPerSecond; calls != nil {
		all = append(all, autoscalingv2.MetricSpec{
			Type: autoscalingv2.PodsMetricSourceType,
			Pods: &autoscalingv2.PodsMetricSource{
				Metric: autoscalingv2.MetricIdentifier{Name: callsMetric},
				Target: autoscalingv2.MetricTarget{Type: autoscalingv2.AverageValueMetricType, AverageValue: resource.NewQuantity(int64(*calls), resource.DecimalSI)},
			},
		})
	}
	return all
}

// topologySpread returns the pool's constraints, each about the pods of the pool
// unless it says otherwise, or the default ones.
func (in Input) topologySpread() []corev1.TopologySpreadConstraint {
	constraints := in.Pool.Spec.TopologySpreadConstraints
	if constraints == nil {
		constraints = []corev1.TopologySpreadConstraint{evenly(corev1.LabelTopologyZone), evenly(corev1.LabelHostname)}
	}
	all := make([]corev1.TopologySpreadConstraint, len(constraints))
	for i, c := range constraints {
		c.LabelSelector = cmp.Or(c.LabelSelector, in.podSelector())
		all[i] = c
	}
	return all
}

// evenly spreads the pods over the values of a node's label, if that can be. Those
// of a rollout are spread by themselves: the old ones are about to go.
func evenly(topology string) corev1.TopologySpreadConstraint {
	return corev1.TopologySpreadConstraint{
		MaxSkew: 1, TopologyKey: topology, WhenUnsatisfiable: corev1.ScheduleAnyway,
		MatchLabelKeys: []string{appsv1.DefaultDeploymentUniqueLabelKey},
	}
}
