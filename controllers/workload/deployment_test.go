package workload

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/enforcer/account"
)

// deploymentOf returns the Deployment of a pool with this spec.
func deploymentOf(spec v1alpha1.EnforcerPoolSpec) (*appsv1.Deployment, *corev1.PodSpec, *corev1.Container) {
	d := Input{Pool: pool("default", spec), Image: "enforcer:1"}.deployment()
	return d, &d.Spec.Template.Spec, &d.Spec.Template.Spec.Containers[0]
}

// The rules of Pod Security's profile "restricted", which config/default enforces,
// and a root filesystem that nobody writes to.
func TestPodsAreRestricted(t *testing.T) {
	_, pod, c := deploymentOf(v1alpha1.EnforcerPoolSpec{})
	switch s := pod.SecurityContext; {
	case !*s.RunAsNonRoot || *s.RunAsUser == 0 || *s.RunAsGroup == 0:
		t.Error("it may run as root")
	case s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault:
		t.Errorf("seccomp profile %s", s.SeccompProfile.Type)
	}
	switch s := c.SecurityContext; {
	case *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem:
		t.Error("it may gain privileges, or write to its root")
	case !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) || s.Capabilities.Add != nil:
		t.Errorf("capabilities %v", s.Capabilities)
	}
	for _, m := range c.VolumeMounts {
		if m.Name == "gossip-keys" && !m.ReadOnly {
			t.Error("it may write gossip keys")
		}
	}
}

func TestARolloutHasNoFewerEnforcers(t *testing.T) {
	d, pod, c := deploymentOf(v1alpha1.EnforcerPoolSpec{})
	if u := d.Spec.Strategy.RollingUpdate.MaxUnavailable; u.IntValue() != 0 {
		t.Errorf("maxUnavailable %v, want 0", u)
	}
	// 5 s of notice, 6 s to finish calls, 3 s to leave: enforcer/run.go has the latter.
	if notice := c.Lifecycle.PreStop.Sleep.Seconds; *pod.TerminationGracePeriodSeconds < notice+6+3 {
		t.Errorf("%d s of grace with %d s of notice: it is killed before it has left", *pod.TerminationGracePeriodSeconds, notice)
	}
}

func TestTheSpecReachesThePods(t *testing.T) {
	spec := v1alpha1.EnforcerPoolSpec{
		Image: "mine:2", ImagePullPolicy: corev1.PullNever, ImagePullSecrets: []corev1.LocalObjectReference{{Name: "registry"}},
		NodeSelector:      map[string]string{"disk": "fast"},
		Tolerations:       []corev1.Toleration{{Key: "edge", Operator: corev1.TolerationOpExists}},
		Affinity:          &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{}},
		PriorityClassName: "high",
	}
	_, pod, c := deploymentOf(spec)
	got := v1alpha1.EnforcerPoolSpec{
		Image: c.Image, ImagePullPolicy: c.ImagePullPolicy, ImagePullSecrets: pod.ImagePullSecrets, NodeSelector: pod.NodeSelector,
		Tolerations: pod.Tolerations, Affinity: pod.Affinity, PriorityClassName: pod.PriorityClassName,
	}
	if diff := cmp.Diff(spec, got); diff != "" {
		t.Errorf("pods (-want +got):\n%s", diff)
	}
	if _, _, c := deploymentOf(v1alpha1.EnforcerPoolSpec{}); c.Image != "enforcer:1" {
		t.Errorf("image %s, want the manager's default", c.Image)
	}
}

func TestArgs(t *testing.T) {
	always := []string{
		"--pool-namespace=limits", "--pool-name=default", "--peers=kubernetes",
		"--journal=/var/lib/sluice", "--gossip-key-file=/etc/sluice/gossip/keys",
	}
	_, _, c := deploymentOf(v1alpha1.EnforcerPoolSpec{})
	if diff := cmp.Diff(always, c.Args); diff != "" {
		t.Errorf("args (-want +got):\n%s", diff)
	}
	_, _, c = deploymentOf(v1alpha1.EnforcerPoolSpec{
		MaxKeys: new(int32(5000)), TrustedProxies: []v1alpha1.Network{"203.0.113.0/24", "2001:db8::/32"},
	})
	if diff := cmp.Diff(append(always, "--max-keys=5000", "--trusted-proxies=203.0.113.0/24,2001:db8::/32"), c.Args); diff != "" {
		t.Errorf("args (-want +got):\n%s", diff)
	}
}

func TestResources(t *testing.T) {
	own := corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2")}}
	for name, tc := range map[string]struct {
		spec       v1alpha1.EnforcerPoolSpec
		wantCPU    string // requested
		wantMemory string // limit
	}{
		"by default":           {v1alpha1.EnforcerPoolSpec{}, "100m", "501Mi"},
		"more keys":            {v1alpha1.EnforcerPoolSpec{MaxKeys: new(int32(8 << 20))}, "100m", "2304Mi"},
		"what the spec says":   {v1alpha1.EnforcerPoolSpec{Resources: &own}, "2", "0"},
		"and not for its keys": {v1alpha1.EnforcerPoolSpec{Resources: &own, MaxKeys: new(int32(8 << 20))}, "2", "0"},
	} {
		_, _, c := deploymentOf(tc.spec)
		cpu, memory := c.Resources.Requests.Cpu(), c.Resources.Limits.Memory()
		if cpu.String() != tc.wantCPU || memory.Cmp(resource.MustParse(tc.wantMemory)) != 0 {
			t.Errorf("%s: requests %s of CPU, limit %s of memory; want %s, %s", name, cpu, memory, tc.wantCPU, tc.wantMemory)
		}
	}
	if account.DefaultMaxKeys != defaultMaxKeys {
		t.Errorf("memory is for %d keys, and enforcers count %d by default", defaultMaxKeys, account.DefaultMaxKeys)
	}
}

func TestSpread(t *testing.T) {
	own := corev1.TopologySpreadConstraint{MaxSkew: 2, TopologyKey: "rack", WhenUnsatisfiable: corev1.DoNotSchedule}
	for name, tc := range map[string]struct {
		spec []corev1.TopologySpreadConstraint
		want []string
	}{
		"over zones and nodes": {nil, []string{"topology.kubernetes.io/zone ScheduleAnyway", "kubernetes.io/hostname ScheduleAnyway"}},
		"as the spec says":     {[]corev1.TopologySpreadConstraint{own}, []string{"rack DoNotSchedule"}},
		"not at all":           {[]corev1.TopologySpreadConstraint{}, nil},
	} {
		_, pod, _ := deploymentOf(v1alpha1.EnforcerPoolSpec{TopologySpreadConstraints: tc.spec})
		var got []string
		for _, c := range pod.TopologySpreadConstraints {
			got = append(got, c.TopologyKey+" "+string(c.WhenUnsatisfiable))
			if c.LabelSelector == nil {
				t.Errorf("%s: a constraint without a selector is about no pods", name)
			}
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
