package v1alpha1

import "cmp"

// LimitDefaults are what the limits of a pool have in fields that their authors
// leave out. A version of a policy that stays in force because the newer one is
// invalid keeps those that it began with.
//
// +kubebuilder:validation:MinProperties=1
type LimitDefaults struct {
	// Mode of a limit that says none: Enforce, unless this says Shadow, as of a pool
	// on trial.
	//
	// +optional
	Mode Mode `json:"mode,omitempty"`

	// Sharing of a limit that says neither sharing nor firstBurst: Gossip, unless this
	// says otherwise.
	//
	// +optional
	Sharing Sharing `json:"sharing,omitempty"`

	// OnUnreachable of a limit with sharing Exact that says none: LocalShare, unless this
	// says otherwise.
	//
	// +optional
	OnUnreachable OnUnreachable `json:"onUnreachable,omitempty"`

	// FirstBurst of a limit with sharing Gossip that says none: Full, unless this says
	// Share.
	//
	// +optional
	FirstBurst FirstBurst `json:"firstBurst,omitempty"`
}

// ModeOf returns the mode of a limit: its own, or the default. Nil is no defaults.
func (d *LimitDefaults) ModeOf(l *Limit) Mode {
	if d == nil {
		d = &LimitDefaults{}
	}
	return cmp.Or(l.Mode, d.Mode, ModeEnforce)
}

// SharingOf returns the sharing of a limit: its own, or the default. A limit that says
// firstBurst asks for Gossip, as nothing else has that. Nil is no defaults.
func (d *LimitDefaults) SharingOf(l *Limit) Sharing {
	if d == nil || l.FirstBurst != "" {
		d = &LimitDefaults{}
	}
	return cmp.Or(l.Sharing, d.Sharing, SharingGossip)
}

// OnUnreachableOf returns the onUnreachable of a limit: its own, or the default; none
// where the sharing of the limit has no such thing. Nil is no defaults.
func (d *LimitDefaults) OnUnreachableOf(l *Limit) OnUnreachable {
	if d == nil {
		d = &LimitDefaults{}
	}
	if l.OnUnreachable == "" && d.SharingOf(l) != SharingExact {
		return ""
	}
	return cmp.Or(l.OnUnreachable, d.OnUnreachable, OnUnreachableLocalShare)
}

// FirstBurstOf returns the firstBurst of a limit: its own, or the default; none where
// the sharing of the limit has no such thing. Nil is no defaults.
func (d *LimitDefaults) FirstBurstOf(l *Limit) FirstBurst {
	if d == nil {
		d = &LimitDefaults{}
	}
	if l.FirstBurst == "" && d.SharingOf(l) != SharingGossip {
		return ""
	}
	return cmp.Or(l.FirstBurst, d.FirstBurst, FirstBurstFull)
}
