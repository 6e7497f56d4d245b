package workload

import (
	"cmp"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

const (
	journalFolder = "/var/lib/sluice"
	keyFolder     = "/etc/sluice/gossip"

	// nobody is the user and group that an enforcer runs as.
	nobody = 65532

	// noticeSeconds is how long a pod that ends goes on as before, so that proxies
	// hear of it first: kube-proxy takes up to a second, other balancers some more.
	noticeSeconds = 5

	// graceSeconds bounds that and what the enforcer does then: it finishes its calls
	// (6 s at most), hands over its counts and leaves (3 s).
	graceSeconds = 30

	// defaultMaxKeys is what an enforcer counts that is not told a number.
	defaultMaxKeys = 1_000_000
)

func (in Input) deployment() *appsv1.Deployment {
	return &appsv1.Deployment{ObjectMeta: in.meta(), Spec: appsv1.DeploymentSpec{
		Replicas: in.replicas(),
		Selector: in.podSelector(),
		// A new enforcer is ready when it has taken over counts, and only then an old
		// one goes: no rollout has fewer enforcers than there should be.
		Strategy: appsv1.DeploymentStrategy{
			Type: appsv1.RollingUpdateDeploymentStrategyType,
			RollingUpdate: &appsv1.RollingUpdateDeployment{
				MaxUnavailable: new(intstr.FromInt32(0)), MaxSurge: new(intstr.FromString("25%")),
			},
		},
		Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: podLabels(in.Pool)},
			Spec:       in.pod(),
		},
	}}
}

func (in Input) pod() corev1.PodSpec {
	spec := &in.Pool.Spec
	return corev1.PodSpec{
		ServiceAccountName:            Name(in.Pool),
		EnableServiceLinks:            new(false),
		TerminationGracePeriodSeconds: new(int64(graceSeconds)),
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot: new(true), RunAsUser: new(int64(nobody)), RunAsGroup: new(int64(nobody)), FSGroup: new(int64(nobody)),
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		ImagePullSecrets:          spec.ImagePullSecrets,
		NodeSelector:              spec.NodeSelector,
		Tolerations:               spec.Tolerations,
		Affinity:                  spec.Affinity,
		PriorityClassName:         spec.PriorityClassName,
		TopologySpreadConstraints: in.topologySpread(),
		Containers:                []corev1.Container{in.container()},
		Volumes: append([]corev1.Volume{
			{Name: "journal", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
			{Name: "gossip-keys", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{
				SecretName: KeySecret(in.Pool), DefaultMode: new(int32(0o440)),
			}}},
		}, in.tlsVolumes()...),
	}
}

func (in Input) container() corev1.Container {
	spec, resources := &in.Pool.Spec, in.resources()
	return corev1.Container{
		Name:            "enforcer",
		Image:           cmp.Or(spec.Image, in.Image),
		ImagePullPolicy: spec.ImagePullPolicy,
		Args:            in.args(),
		Env: append([]corev1.EnvVar{{
			Name: "SLUICE_NODE_NAME", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}},
		}}, goRuntime(resources)...),
		Ports: []corev1.ContainerPort{
			{Name: portRLS, ContainerPort: numberRLS, Protocol: corev1.ProtocolTCP},
			{Name: portHTTP, ContainerPort: numberHTTP, Protocol: corev1.ProtocolTCP},
			{Name: in.adminPort(), ContainerPort: numberAdmin, Protocol: corev1.ProtocolTCP},
			{Name: portGossip, ContainerPort: numberGossip, Protocol: corev1.ProtocolUDP},
			{Name: portGossipTCP, ContainerPort: numberGossip, Protocol: corev1.ProtocolTCP},
		},
		Resources: resources,
		// The first document may take a while on a slow API server, and is no reason to
		// begin again; an enforcer that is stuck is.
		LivenessProbe:  &corev1.Probe{ProbeHandler: in.get("/healthz"), PeriodSeconds: 10, FailureThreshold: 3},
		ReadinessProbe: &corev1.Probe{ProbeHandler: in.get("/readyz"), PeriodSeconds: 1, FailureThreshold: 1},
		Lifecycle:      &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: noticeSeconds}}},
		// What it said last is in the pool's status when it does not start.
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: new(false), ReadOnlyRootFilesystem: new(true),
			Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
		VolumeMounts: append([]corev1.VolumeMount{
			{Name: "journal", MountPath: journalFolder},
			{Name: "gossip-keys", MountPath: keyFolder, ReadOnly: true},
		}, in.tlsMounts()...),
	}
}

func (in Input) get(path string) corev1.ProbeHandler {
	action := &corev1.HTTPGetAction{Path: path, Port: intstr.FromString(in.adminPort())}
	if in.Pool.Spec.TLS != nil {
		action.Scheme = corev1.URISchemeHTTPS // which verifies nothing
	}
	return corev1.ProbeHandler{HTTPGet: action}
}

func (in Input) args() []string {
	args := []string{
		"--pool-namespace=" + in.Pool.Namespace,
		"--pool-name=" + in.Pool.Name,
		"--peers=kubernetes",
		"--journal=" + journalFolder,
		"--gossip-key-file=" + keyFolder + "/" + KeyFile,
	}
	if n := in.Pool.Spec.MaxKeys; n != nil {
		args = append(args, fmt.Sprintf("--max-keys=%d", *n))
	}
	if networks := in.Pool.Spec.TrustedProxies; networks != nil {
		args = append(args, "--trusted-proxies="+join(networks))
	}
	return append(args, in.tlsArgs()...)
}

func join(networks []v1alpha1.Network) string {
	texts := make([]string, len(networks))
	for i, n := range networks {
		texts[i] = string(n)
	}
	return strings.Join(texts, ",")
}

// resources returns what the pool asks for, or what its number of keys needs: 80
// bytes a key as they are, and as much again twice while they are collected.
func (in Input) resources() corev1.ResourceRequirements {
	if r := in.Pool.Spec.Resources; r != nil {
		return *r
	}
	keys := int64(defaultMaxKeys)
	if n := in.Pool.Spec.MaxKeys; n != nil {
		keys = int64(*n)
	}
	const mebibyte = 1 << 20
	memory := 256 + (256*keys+mebibyte-1)/mebibyte
	return corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("64Mi")},
		Limits:   corev1.ResourceList{corev1.ResourceMemory: *resource.NewQuantity(memory*mebibyte, resource.BinarySI)},
	}
}
