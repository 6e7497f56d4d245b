package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// EnforcerPool is a set of enforcers that share counts. It lives in the
// operator's namespace; policies of any namespace name it in spec.poolRef. The
// manager compiles the accepted policies of a pool into one document, which lies
// in ConfigMaps beside the pool, named sluice-NAME.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=epool,categories=sluice
// +kubebuilder:printcolumn:name="Policies",type=integer,JSONPath=`.status.document.policies`
// +kubebuilder:printcolumn:name="Enforcers",type=string,JSONPath=`.status.enforcers.summary`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Digest",type=string,priority=1,JSONPath=`.status.document.digest`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 48 && !self.metadata.name.contains('.')",message="the name of a pool has at most 48 characters and no '.': it becomes part of other names"
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

// EnforcerPoolSpec is what the pool's admin wants.
type EnforcerPoolSpec struct {
	// ServiceName names the headless Service, in the pool's namespace, whose
	// EndpointSlices list the pool's enforcers; it has the ports "gossip" and
	// "admin". It defaults to "<name>-enforcers".
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",message="the name of a Service is made of lower case letters, digits and '-', and begins with a letter"
	ServiceName string `json:"serviceName,omitempty"`
}

// EnforcerPoolStatus is what became of a pool.
type EnforcerPoolStatus struct {
	// ObservedGeneration is the generation of the spec that this status speaks of.
	//
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// Conditions are Published and Ready.
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

// Service returns the name of the Service that lists the pool's enforcers.
func (p *EnforcerPool) Service() string {
	if p.Spec.ServiceName != "" {
		return p.Spec.ServiceName
	}
	return p.Name + "-enforcers"
}
