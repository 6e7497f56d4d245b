package v1alpha1

// Sharing says how the enforcers of a pool count together.
//
// +kubebuilder:validation:Enum=Gossip;Local
type Sharing string

// The ways to share.
const (
	SharingGossip Sharing = "Gossip"
	SharingLocal  Sharing = "Local"
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
