package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// EnforcerPoolSpec is what the pool's admin wants: nothing, for a pool of three
// enforcers; fields named as in a Deployment, for another one; or serviceName
// instead of them, for enforcers that somebody else runs.
//
// +kubebuilder:validation:XValidation:rule="!has(self.serviceName) || !(has(self.replicas) || has(self.autoscaling) || has(self.image) || has(self.imagePullPolicy) || has(self.imagePullSecrets) || has(self.resources) || has(self.nodeSelector) || has(self.tolerations) || has(self.affinity) || has(self.topologySpreadConstraints) || has(self.priorityClassName) || has(self.maxKeys) || has(self.trustedProxies) || has(self.gossipKeyRotation) || has(self.allowedClients) || (has(self.tls) && (has(self.tls.clientValidation) || has(self.tls.mode))))",message="serviceName is for enforcers that somebody else runs, and every other field but allowedNamespaces, defaults and tls.secretName for those that the operator runs: leave serviceName out, or those fields"
// +kubebuilder:validation:XValidation:rule="!(has(self.replicas) && has(self.autoscaling))",message="replicas and autoscaling exclude each other: leave replicas out, and say autoscaling.minReplicas and maxReplicas"
// +kubebuilder:validation:XValidation:rule="!has(self.autoscaling) || !has(self.resources) || (has(self.resources.requests) && 'cpu' in self.resources.requests) || (has(self.resources.limits) && 'cpu' in self.resources.limits)",message="autoscaling goes by the part of the requested CPU that is used: say resources.requests.cpu, such as 500m, or leave resources out"
type EnforcerPoolSpec struct {
	// AllowedNamespaces says whose policies may use the pool: by default those of all
	// namespaces. Others are Accepted=False with the reason NotAllowedByPool, and
	// not enforced, not even a version that was before.
	//
	// +optional
	AllowedNamespaces *AllowedNamespaces `json:"allowedNamespaces,omitempty"`

	// Defaults are for the limits of the pool's policies, where they leave a field out.
	// Accepted of a policy says which of them it takes.
	//
	// +optional
	Defaults *LimitDefaults `json:"defaults,omitempty"`

	// ServiceName says that somebody else runs the pool's enforcers: the operator
	// builds nothing, and removes what it had built but for the gossip keys. It names
	// the headless Service, in the pool's namespace, whose EndpointSlices list the
	// enforcers; it has the ports "gossip" and "admin", or "admin-tls" where that speaks
	// TLS, verified by tls.secretName. Enforcers that look for
	// NAME-enforcers find another Service with --peers=kubernetes:SERVICE.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",message="the name of a Service is made of lower case letters, digits and '-', and begins with a letter"
	ServiceName string `json:"serviceName,omitempty"`

	// Replicas is how many enforcers run. Without it the Deployment begins with three,
	// or with autoscaling.minReplicas, and whoever scales it from then on is left
	// alone: an autoscaler of yours, or kubectl scale.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	Replicas *int32 `json:"replicas,omitempty"`

	// Autoscaling has the number of enforcers follow their load.
	//
	// +optional
	Autoscaling *Autoscaling `json:"autoscaling,omitempty"`

	// Image is the enforcer's. It defaults to the one that the manager was told with
	// --enforcer-image, which goes with its own version.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Image string `json:"image,omitempty"`

	// ImagePullPolicy says when the image is fetched, as Kubernetes does: by default
	// always for a tag :latest, else once.
	//
	// +optional
	// +kubebuilder:validation:Enum=Always;IfNotPresent;Never
	ImagePullPolicy corev1.PullPolicy `json:"imagePullPolicy,omitempty"`

	// ImagePullSecrets name Secrets, in the pool's namespace, that open the image's
	// registry.
	//
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=8
	ImagePullSecrets []corev1.LocalObjectReference `json:"imagePullSecrets,omitempty"`

	// Resources of an enforcer. The default requests 100m of CPU and 64Mi of memory,
	// and limits memory to 256Mi and 256 bytes for each of maxKeys. What is written
	// here takes the place of all of that. An enforcer runs on as many cores as it
	// requests of CPU, rounded up; one answers some 40,000 calls a second.
	//
	// +optional
	Resources *corev1.ResourceRequirements `json:"resources,omitempty"`

	// NodeSelector has the pods run on nodes with these labels only.
	//
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`

	// Tolerations let the pods run on nodes with these taints.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`

	// Affinity of the pods; by default there is none, as they are spread.
	//
	// +optional
	Affinity *corev1.Affinity `json:"affinity,omitempty"`

	// TopologySpreadConstraints spread the pods. By default they are spread over
	// zones and over nodes as evenly as can be, and run where they can if that cannot
	// be. A constraint without a labelSelector is about the pods of this pool.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	TopologySpreadConstraints []corev1.TopologySpreadConstraint `json:"topologySpreadConstraints,omitempty"`

	// PriorityClassName is the PriorityClass of the pods: proxies wait for them, so
	// one above that of what they protect is a good choice. By default the cluster's.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	PriorityClassName string `json:"priorityClassName,omitempty"`

	// MaxKeys is how many clients an enforcer counts at a time, at about 80 bytes
	// each; beyond it those nearest to unused are forgotten. Of limits that are shared
	// exactly it keeps as many, and may borrow for as many, at about 400 bytes each: of
	// its part of the clients of the pool, and of the copies. It defaults to 1000000.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1000
	// +kubebuilder:validation:Maximum=100000000
	MaxKeys *int32 `json:"maxKeys,omitempty"`

	// TrustedProxies are the networks of the proxies whose X-Forwarded-* fields are
	// believed. They default to loopback and private networks.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	TrustedProxies []Network `json:"trustedProxies,omitempty"`

	// TLS has the ports rls, http and admin speak TLS; by default they speak plain text.
	// While proxies change over, tls.mode is Permissive.
	//
	// +optional
	TLS *TLS `json:"tls,omitempty"`

	// AllowedClients says who may reach the enforcers, by a NetworkPolicy; by default
	// everybody in the cluster. It takes a network plugin that enforces those.
	//
	// +optional
	AllowedClients *AllowedClients `json:"allowedClients,omitempty"`

	// GossipKeyRotation has the key that seals what enforcers tell each other
	// replaced whenever this text changes to another one, such as a date. The old key
	// goes when every enforcer has the new one, and no enforcer restarts.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	GossipKeyRotation string `json:"gossipKeyRotation,omitempty"`
}

// AllowedNamespaces selects namespaces, in the words of allowedRoutes.namespaces of
// the Gateway API.
//
// +kubebuilder:validation:XValidation:rule="(has(self.from) && self.from == 'Selector') == has(self.selector)",message="selector goes with from: Selector, and only with that: say both, or neither"
type AllowedNamespaces struct {
	// From is All, Same for the namespace of the pool, or Selector.
	//
	// +optional
	// +kubebuilder:default=All
	// +kubebuilder:validation:Enum=All;Same;Selector
	From FromNamespaces `json:"from,omitempty"`

	// Selector selects namespaces by their labels, among which
	// kubernetes.io/metadata.name is the name. An empty one selects all.
	//
	// +optional
	// +kubebuilder:validation:XValidation:rule="!has(self.matchExpressions) || self.matchExpressions.all(e, e.operator in ['In', 'NotIn'] ? has(e.values) && size(e.values) > 0 : e.operator in ['Exists', 'DoesNotExist'] && (!has(e.values) || size(e.values) == 0))",message="operator is In or NotIn with values, or Exists or DoesNotExist without"
	Selector *metav1.LabelSelector `json:"selector,omitempty"`
}

// FromNamespaces says which namespaces are meant.
type FromNamespaces string

// Values of AllowedNamespaces.From.
const (
	NamespacesFromAll      FromNamespaces = "All"
	NamespacesFromSame     FromNamespaces = "Same"
	NamespacesFromSelector FromNamespaces = "Selector"
)

// Autoscaling has the number of enforcers follow their load, by a
// HorizontalPodAutoscaler. It needs the cluster's metrics server. The condition
// Scaling of the pool says whether that works.
//
// +kubebuilder:validation:XValidation:rule="self.maxReplicas >= self.minReplicas",message="maxReplicas is below minReplicas, which is 3 by default: raise maxReplicas, or say a lower minReplicas"
type Autoscaling struct {
	// MinReplicas is the fewest enforcers there may be. With less than three, one
	// that is lost takes half of the pool along.
	//
	// +optional
	// +kubebuilder:default=3
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	MinReplicas int32 `json:"minReplicas,omitempty"`

	// MaxReplicas is the most enforcers there may be.
	//
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	MaxReplicas int32 `json:"maxReplicas"`

	// TargetCPUUtilizationPercentage is the part of the CPU that an enforcer requests
	// which it should use, on average over the pool.
	//
	// +optional
	// +kubebuilder:default=70
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	TargetCPUUtilizationPercentage int32 `json:"targetCPUUtilizationPercentage,omitempty"`

	// TargetCallsPerSecond is how many calls an enforcer should answer per second, on
	// average over the pool; it answers some 40,000 on one core. The CPU is watched
	// all the same: what asks for more enforcers counts.
	//
	// The figure is the metric sluice_calls_per_second of the pods, from the API
	// custom.metrics.k8s.io, which an adapter has to serve: config/autoscaling has what
	// prometheus-adapter needs. While nobody does, the pool grows with its CPU and
	// never shrinks, and its condition Scaling is False.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000000
	TargetCallsPerSecond *int32 `json:"targetCallsPerSecond,omitempty"`
}

// Network is a range of addresses in CIDR notation.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=64
// +kubebuilder:validation:XValidation:rule="isCIDR(self)",message="this is no network: write it as 203.0.113.0/24 or 2001:db8::/32"
type Network string

// BuiltByOperator says whether the operator runs the pool's enforcers.
func (p *EnforcerPool) BuiltByOperator() bool { return p.Spec.ServiceName == "" }

// Service returns the name of the Service that lists the pool's enforcers.
func (p *EnforcerPool) Service() string {
	if p.Spec.ServiceName != "" {
		return p.Spec.ServiceName
	}
	return p.Name + "-enforcers"
}

// FrontService returns the name of the Service that proxies ask, in a pool that
// the operator builds.
func (p *EnforcerPool) FrontService() string {
	if p.Name == DefaultPool {
		return "sluice"
	}
	return "sluice-" + p.Name
}
