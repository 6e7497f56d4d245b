package workload

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

func pool(name string, spec v1alpha1.EnforcerPoolSpec) *v1alpha1.EnforcerPool {
	return &v1alpha1.EnforcerPool{ObjectMeta: metav1.ObjectMeta{Namespace: "limits", Name: name}, Spec: spec}
}

func TestWhatAPoolAsksFor(t *testing.T) {
	tests := map[string]struct {
		pool         *v1alpha1.EnforcerPool
		want         string
		wantObsolete string
	}{
		"nothing said": {
			pool("default", v1alpha1.EnforcerPoolSpec{}),
			"ServiceAccount default-enforcers, Role default-enforcers, RoleBinding default-enforcers, Service default-enforcers, " +
				"Service sluice, NetworkPolicy default-enforcers, Deployment default-enforcers, PodDisruptionBudget default-enforcers",
			"HorizontalPodAutoscaler default-enforcers",
		},
		"another pool, that scales": {
			pool("edge", v1alpha1.EnforcerPoolSpec{Autoscaling: &v1alpha1.Autoscaling{MinReplicas: 2, MaxReplicas: 5}}),
			"ServiceAccount edge-enforcers, Role edge-enforcers, RoleBinding edge-enforcers, Service edge-enforcers, " +
				"Service sluice-edge, NetworkPolicy edge-enforcers, Deployment edge-enforcers, PodDisruptionBudget edge-enforcers, " +
				"HorizontalPodAutoscaler edge-enforcers",
			"",
		},
		"somebody else runs it": {
			pool("default", v1alpha1.EnforcerPoolSpec{ServiceName: "theirs"}),
			"",
			"ServiceAccount default-enforcers, Role default-enforcers, RoleBinding default-enforcers, Service default-enforcers, " +
				"Service sluice, NetworkPolicy default-enforcers, Deployment default-enforcers, PodDisruptionBudget default-enforcers, " +
				"HorizontalPodAutoscaler default-enforcers",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			wanted, obsolete := Objects(Input{Pool: tc.pool})
			if diff := cmp.Diff(tc.want, names(wanted)); diff != "" {
				t.Errorf("wanted (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.wantObsolete, names(obsolete)); diff != "" {
				t.Errorf("obsolete (-want +got):\n%s", diff)
			}
			for _, o := range slices.Concat(wanted, obsolete) {
				if o.GetNamespace() != "limits" || o.GetLabels()[v1alpha1.LabelPool] != tc.pool.Name {
					t.Errorf("%s is in namespace %q with labels %v", o.GetName(), o.GetNamespace(), o.GetLabels())
				}
			}
		})
	}
}

// names lists objects by kind and name.
func names(objects []client.Object) string {
	all := make([]string, len(objects))
	for i, o := range objects {
		all[i] = reflect.TypeOf(o).Elem().Name() + " " + o.GetName()
	}
	return strings.Join(all, ", ")
}

// Whatever a pool asks for is of a kind that the manager watches.
func TestKindsAreThoseOfTheObjects(t *testing.T) {
	kinds := map[reflect.Type]bool{}
	for _, o := range Kinds() {
		kinds[reflect.TypeOf(o)] = true
	}
	wanted, obsolete := Objects(Input{Pool: pool("default", v1alpha1.EnforcerPoolSpec{})})
	for _, o := range slices.Concat(wanted, obsolete) {
		if !kinds[reflect.TypeOf(o)] {
			t.Errorf("%T is not among Kinds", o)
		}
	}
}

func TestReplicasAreOwnedByWhoAsksForThem(t *testing.T) {
	scaling := &v1alpha1.Autoscaling{MinReplicas: 2, MaxReplicas: 5}
	for name, tc := range map[string]struct {
		spec v1alpha1.EnforcerPoolSpec
		new  bool
		want *int32 // nil: others own it
	}{
		"a new pool begins with three":        {v1alpha1.EnforcerPoolSpec{}, true, new(int32(3))},
		"and is left alone then":              {v1alpha1.EnforcerPoolSpec{}, false, nil},
		"a number that is asked for is kept":  {v1alpha1.EnforcerPoolSpec{Replicas: new(int32(5))}, false, new(int32(5))},
		"an autoscaler begins with its least": {v1alpha1.EnforcerPoolSpec{Autoscaling: scaling}, true, new(int32(2))},
		"and has its way then":                {v1alpha1.EnforcerPoolSpec{Autoscaling: scaling}, false, nil},
	} {
		got := Input{Pool: pool("default", tc.spec), New: tc.new}.deployment().Spec.Replicas
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s: replicas (-want +got):\n%s", name, diff)
		}
	}
}

func TestAutoscaler(t *testing.T) {
	got := Input{Pool: pool("edge", v1alpha1.EnforcerPoolSpec{
		Autoscaling: &v1alpha1.Autoscaling{MinReplicas: 2, MaxReplicas: 5, TargetCPUUtilizationPercentage: 60, TargetCallsPerSecond: new(int32(30_000))},
	})}.autoscaler().Spec
	want := autoscalingv2.HorizontalPodAutoscalerSpec{
		ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "edge-enforcers"},
		MinReplicas:    new(int32(2)),
		MaxReplicas:    5,
		Metrics: []autoscalingv2.MetricSpec{
			{Type: "Resource", Resource: &autoscalingv2.ResourceMetricSource{
				Name: "cpu", Target: autoscalingv2.MetricTarget{Type: "Utilization", AverageUtilization: new(int32(60))},
			}},
			{Type: "Pods", Pods: &autoscalingv2.PodsMetricSource{
				Metric: autoscalingv2.MetricIdentifier{Name: "sluice_calls_per_second"},
				Target: autoscalingv2.MetricTarget{Type: "AverageValue", AverageValue: new(resource.MustParse("30k"))},
			}},
		},
		Behavior: &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleDown: &autoscalingv2.HPAScalingRules{
			Policies: []autoscalingv2.HPAScalingPolicy{{Type: "Percent", Value: 10, PeriodSeconds: 15}},
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("autoscaler (-want +got):\n%s", diff)
	}
	if cpuOnly := loads(&v1alpha1.Autoscaling{TargetCPUUtilizationPercentage: 60}); !cmp.Equal(cpuOnly, want.Metrics[:1]) {
		t.Errorf("without a number of calls it goes by %v", cpuOnly)
	}
}

// What is there for an adapter makes the metric that autoscalers ask for.
func TestTheAdapterServesTheMetric(t *testing.T) {
	text, err := os.ReadFile("../../config/autoscaling/prometheus-adapter.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var values struct {
		Rules struct {
			Custom []struct {
				SeriesQuery string
				Name        struct{ As string }
			}
		}
	}
	if err := yaml.Unmarshal(text, &values); err != nil {
		t.Fatal(err)
	}
	rules := values.Rules.Custom
	if len(rules) != 1 || rules[0].Name.As != callsMetric || !strings.HasPrefix(rules[0].SeriesQuery, "sluice_request_duration_seconds_count{") {
		t.Errorf("the rules are %+v", rules)
	}
}

// Everything that selects pods selects those of the Deployment, and none of
// another pool.
func TestSelectorsMeetThePods(t *testing.T) {
	in := Input{Pool: pool("edge", v1alpha1.EnforcerPoolSpec{})}
	mine := labels.Set(in.deployment().Spec.Template.Labels)
	others := labels.Set(Input{Pool: pool("default", v1alpha1.EnforcerPoolSpec{})}.deployment().Spec.Template.Labels)
	for name, s := range map[string]*metav1.LabelSelector{
		"Deployment":          in.deployment().Spec.Selector,
		"members Service":     {MatchLabels: in.membersService().Spec.Selector},
		"front Service":       {MatchLabels: in.frontService().Spec.Selector},
		"PodDisruptionBudget": in.disruptionBudget().Spec.Selector,
		"NetworkPolicy":       &in.networkPolicy().Spec.PodSelector,
		"gossip peers":        in.networkPolicy().Spec.Ingress[2].From[0].PodSelector,
		"zone spread":         in.topologySpread()[0].LabelSelector,
		"node spread":         in.topologySpread()[1].LabelSelector,
	} {
		selector, err := metav1.LabelSelectorAsSelector(s)
		if err != nil || !selector.Matches(mine) || selector.Matches(others) {
			t.Errorf("%s selects %v (%v), want the pods of its pool", name, selector, err)
		}
	}
	if selector, err := labels.Parse(Selector(in.Pool)); err != nil || !selector.Matches(mine) || selector.Matches(others) {
		t.Errorf("Selector is %v (%v)", selector, err)
	}
}

// What Services and the NetworkPolicy lead to are ports of the container, which has one
// of the two for admin.
func TestPortsLeadSomewhere(t *testing.T) {
	for _, tc := range []struct {
		tls         *v1alpha1.TLS
		wantNowhere string
	}{
		{nil, "admin-tls"},
		{&v1alpha1.TLS{SecretName: "t"}, "admin"},
	} {
		in := Input{Pool: pool("default", v1alpha1.EnforcerPoolSpec{TLS: tc.tls})}
		open := map[string]corev1.ContainerPort{}
		for _, p := range in.container().Ports {
			open[p.Name] = p
		}
		for _, service := range []*corev1.Service{in.membersService(), in.frontService()} {
			for _, p := range service.Spec.Ports {
				to, ok := open[p.TargetPort.StrVal]
				if p.Name == portAdminTLS {
					p.Port = numberAdmin // its own means nothing
				}
				if ok == (p.Name == tc.wantNowhere) || ok && (to.Protocol != p.Protocol || to.ContainerPort != p.Port) {
					t.Errorf("port %s of Service %s leads to %v", p.Name, service.Name, to)
				}
			}
		}
		want := map[string]bool{}
		for name, p := range open {
			want[fmt.Sprint(p.Protocol, p.ContainerPort)] = !strings.HasPrefix(name, "gossip")
		}
		forAll := map[string]bool{}
		for _, rule := range in.networkPolicy().Spec.Ingress {
			for _, p := range rule.Ports {
				forAll[fmt.Sprint(*p.Protocol, p.Port)] = len(rule.From) == 0
			}
		}
		if diff := cmp.Diff(want, forAll); diff != "" {
			t.Errorf("ports, and whether everybody may use them (-want +got):\n%s", diff)
		}
	}
}

func TestAllowedClients(t *testing.T) {
	peer := func(name string) networkingv1.NetworkPolicyPeer {
		return networkingv1.NetworkPolicyPeer{NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"name": name}}}
	}
	manager := networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{MatchLabels: managerLabels()}}
	for name, tc := range map[string]struct {
		allowed        *v1alpha1.AllowedClients
		proxies, admin []networkingv1.NetworkPolicyPeer // nil: everybody
	}{
		"everybody, by default":       {nil, nil, nil},
		"some proxies":                {&v1alpha1.AllowedClients{Proxies: []networkingv1.NetworkPolicyPeer{peer("edge")}}, []networkingv1.NetworkPolicyPeer{peer("edge")}, nil},
		"somebody beside the manager": {&v1alpha1.AllowedClients{Admin: []networkingv1.NetworkPolicyPeer{peer("monitoring")}}, nil, []networkingv1.NetworkPolicyPeer{manager, peer("monitoring")}},
	} {
		rules := Input{Pool: pool("default", v1alpha1.EnforcerPoolSpec{AllowedClients: tc.allowed})}.networkPolicy().Spec.Ingress
		if diff := cmp.Diff(tc.proxies, rules[0].From); diff != "" {
			t.Errorf("%s: proxies (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(tc.admin, rules[1].From); diff != "" {
			t.Errorf("%s: admin (-want +got):\n%s", name, diff)
		}
	}
}

// The manager that may always ask is the one that config/manager and the chart run.
func TestManagerLabelsAreTheManagers(t *testing.T) {
	want := fmt.Sprintf("{%s: sluice, %s: manager}", labelName, labelComponent)
	for _, path := range []string{"../../config/manager/deployment.yaml", "../../charts/sluice/templates/manager.yaml"} {
		if text, err := os.ReadFile(path); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s has no labels %s (%v)", path, want, err)
		}
	}
}
