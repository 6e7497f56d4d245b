package v1alpha1

// Sharing says how the enforcers of a pool count together.
//
// +kubebuilder:validation:Enum=Gossip;Exact;Local
type Sharing string

// The ways to share.
const (
	SharingGossip Sharing = "Gossip"
	SharingExact  Sharing = "Exact"
	SharingLocal  Sharing = "Local"
)

// OnUnreachable says what an enforcer does that cannot reach the one which keeps a count.
//
// +kubebuilder:validation:Enum=LocalShare;Deny;Admit
type OnUnreachable string

// The values of OnUnreachable.
const (
	OnUnreachableLocalShare OnUnreachable = "LocalShare"
	OnUnreachableDeny       OnUnreachable = "Deny"
	OnUnreachableAdmit      OnUnreachable = "Admit"
)

// FirstBurst says what an enforcer may grant to a client that it has not heard of.
//
// +kubebuilder:validation:Enum=Full;Share
type FirstBurst string

// The values of FirstBurst.
const (
	FirstBurstFull  FirstBurst = "Full"
	FirstBurstShare FirstBurst = "Share"
)
