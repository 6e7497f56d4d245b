package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// EnforcerPool is a set of enforcers that share counts. It lives in the
// operator's namespace; policies of any namespace name it in spec.poolRef. The
// manager compiles the accepted policies of a pool into one document, which lies
// in ConfigMaps beside the pool, named sluice-NAME.
//
// The operator runs the enforcers of a pool, in a Deployment NAME-enforcers, and
// what belongs to it: Services, a PodDisruptionBudget, a HorizontalPodAutoscaler
// if spec.autoscaling is set, a NetworkPolicy, a ServiceAccount with its Role, and
// the Secret of the gossip keys. Proxies ask the Service sluice-NAME, which of the
// pool "default" is called sluice. A pool with spec.serviceName is one whose
// enforcers somebody else runs.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:subresource:scale:specpath=.spec.replicas,statuspath=.status.workload.replicas,selectorpath=.status.workload.selector
// +kubebuilder:resource:shortName=epool,categories=sluice
// +kubebuilder:printcolumn:name="Policies",type=integer,JSONPath=`.status.document.policies`
// +kubebuilder:printcolumn:name="Desired",type=integer,JSONPath=`.status.workload.desired`
// +kubebuilder:printcolumn:name="Up-to-date",type=integer,JSONPath=`.status.workload.updated`
// +kubebuilder:printcolumn:name="Enforcers",type=string,JSONPath=`.status.enforcers.summary`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Members",type=string,priority=1,JSONPath=`.status.members`
// +kubebuilder:printcolumn:name="Digest",type=string,priority=1,JSONPath=`.status.document.digest`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 48 && !self.metadata.name.contains('.')",message="the name of a pool has at most 48 characters and no '.': it becomes part of other names"
// +kubebuilder:validation:XValidation:rule="!self.metadata.name.matches('(^|-)enforcers$')",message="the name of a pool is not 'enforcers' and does not end with '-enforcers': Service sluice-x-enforcers would be of this pool and of pool sluice-x; use another word"
type EnforcerPool struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what the pool's admin wants.
	//
	// +optional
	Spec EnforcerPoolSpec `json:"spec,omitempty"`

	// Status is what became of it.
	//
	// +optional
	// +kubebuilder:default={"observedGeneration":-1}
	Status EnforcerPoolStatus `json:"status,omitempty"`
}

// EnforcerPoolList is a list of EnforcerPools.
//
// +kubebuilder:object:root=true
type EnforcerPoolList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []EnforcerPool `json:"items"`
}

// EnforcerPoolStatus is what became of a pool.
type EnforcerPoolStatus struct {
	// ObservedGeneration is the generation of the spec that this status speaks of, -1
	// before the manager has seen the object: kstatus takes one without a status for
	// ready.
	//
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// Conditions are Published, Available, Progressing, Scaling, Stalled and Ready.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// Document is the one that is published.
	//
	// +optional
	Document *DocumentStatus `json:"document,omitempty"`

	// Enforcers counts the enforcers that run it.
	//
	// +optional
	Enforcers *EnforcerCount `json:"enforcers,omitempty"`

	// Workload is what became of the Deployment; a pool whose enforcers somebody else
	// runs has none.
	//
	// +optional
	Workload *WorkloadStatus `json:"workload,omitempty"`

	// Members is how many enforcers of the pool each ready one counts, itself and
	// those that it heard of in the last seconds: "3", or "2-3" when they differ.
	// While some do not hear each other, Ready is False and says who.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=32
	Members string `json:"members,omitempty"`

	// GossipKeyRotation is the value of spec.gossipKeyRotation that the gossip key was
	// made for. It follows when the old key is gone.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=63
	GossipKeyRotation string `json:"gossipKeyRotation,omitempty"`
}

// WorkloadStatus counts the pods of a pool.
type WorkloadStatus struct {
	// Desired is how many there should be: what spec.replicas, the autoscaler, or
	// whoever scaled the Deployment says.
	Desired int32 `json:"desired"`

	// Replicas is how many there are, not counting those that end.
	Replicas int32 `json:"replicas"`

	// Ready is how many of them are ready.
	Ready int32 `json:"ready"`

	// Updated is how many of them are as the spec says now.
	Updated int32 `json:"updated"`

	// Selector selects them, in the form that kubectl takes with --selector.
	Selector string `json:"selector"`
}

// DocumentStatus describes a published document.
type DocumentStatus struct {
	// Digest is the SHA-256 of the document, in hexadecimal.
	Digest string `json:"digest"`

	// Policies is the number of policies in it.
	Policies int32 `json:"policies"`

	// Bytes is its size as published, compressed.
	Bytes int64 `json:"bytes"`
}
