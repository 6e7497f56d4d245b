package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// RateLimitPolicyStatus is what became of a policy.
type RateLimitPolicyStatus struct {
	// ObservedGeneration is the generation of the spec that this status speaks of, -1
	// before the manager has seen the object: kstatus takes one without a status for
	// ready.
	//
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// Conditions are Accepted, Programmed and Ready.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// Domain is the one in force: spec.domain, or its default.
	//
	// +optional
	Domain string `json:"domain,omitempty"`

	// Enforcers counts the pool's enforcers.
	//
	// +optional
	Enforcers *EnforcerCount `json:"enforcers,omitempty"`

	// AdmittedPerSecond is how many tokens all enforcers together admitted lately,
	// per second, over all limits of this policy that enforce.
	//
	// +optional
	AdmittedPerSecond *int64 `json:"admittedPerSecond,omitempty"`

	// LimitedPerSecond is how many tokens they denied.
	//
	// +optional
	LimitedPerSecond *int64 `json:"limitedPerSecond,omitempty"`

	// Limits tells how each limit is used. It is refreshed at most every 15
	// seconds, and only when it changed enough to matter.
	//
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	Limits []LimitStatus `json:"limits,omitempty"`
}

// EnforcerCount counts enforcers that run something.
type EnforcerCount struct {
	// Programmed of them run this generation.
	Programmed int32 `json:"programmed"`

	// Ready of them are ready, or were when they last answered.
	Ready int32 `json:"ready"`

	// Summary is "programmed/ready", for kubectl get.
	Summary string `json:"summary"`
}

// LimitStatus tells how one limit is used, over all enforcers.
type LimitStatus struct {
	// Name of the limit.
	Name string `json:"name"`

	// ActiveKeys is the number of clients that have used some of their quota; of a
	// limit with sharing Local, those of the enforcer that knows most.
	ActiveKeys int64 `json:"activeKeys"`

	// AdmittedPerSecond is how many tokens were admitted lately, per second.
	AdmittedPerSecond int64 `json:"admittedPerSecond"`

	// LimitedPerSecond is how many tokens were denied lately, per second; by a
	// shadow limit: would have been.
	LimitedPerSecond int64 `json:"limitedPerSecond"`

	// OverAdmission is which part of the admitted tokens was not there when it was
	// admitted, such as "0.2%", as the enforcers measure it: they may admit too much
	// for as long as word of it travels between them, and pay it back afterwards.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=8
	OverAdmission string `json:"overAdmission,omitempty"`
}
