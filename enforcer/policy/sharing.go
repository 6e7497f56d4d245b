package policy

// Sharing says how the enforcers of a pool count a limit together.
type Sharing uint8

const (
	// Gossip has each enforcer decide by its own view of the one counter of a key, and
	// tell the others what it admits.
	Gossip Sharing = iota

	// Exact has one enforcer keep the counter of a key, and lend tokens to the others.
	Exact

	// Local has each enforcer count for itself.
	Local
)

// String returns the sharing as it is written in a policy.
func (s Sharing) String() string {
	switch s {
	case Gossip:
		return "Gossip"
	case Exact:
		return "Exact"
	case Local:
		return "Local"
	}
	return ""
}

// OnUnreachable says what an enforcer does that cannot reach the one which keeps the
// counter of a key, where Sharing is Exact.
type OnUnreachable uint8

const (
	// LocalShare has it grant its part of the rate, by the number of enforcers.
	LocalShare OnUnreachable = iota

	// Deny has it grant no more than it has been lent.
	Deny

	// Admit has it grant all that it is asked for.
	Admit
)

// String returns it as it is written in a policy.
func (u OnUnreachable) String() string {
	switch u {
	case LocalShare:
		return "LocalShare"
	case Deny:
		return "Deny"
	case Admit:
		return "Admit"
	}
	return ""
}

// checkSharing reports what is wrong with how a limit says that it is shared.
func checkSharing(f *faults, field string, l *Limit) {
	sharing, known := sharingOf(l.Sharing)
	_, reacts := onUnreachableOf(l.OnUnreachable)
	switch {
	case !known:
		f.add(field+".sharing", "%q: use Gossip, Exact or Local", l.Sharing)
	case !reacts:
		f.add(field+".onUnreachable", "%q: use LocalShare, Deny or Admit", l.OnUnreachable)
	case l.OnUnreachable != "" && sharing != Exact:
		f.add(field+".onUnreachable", "onUnreachable belongs to sharing Exact: say sharing: Exact, or remove onUnreachable")
	case l.FirstBurst != "" && sharing != Gossip:
		f.add(field+".firstBurst", "firstBurst belongs to sharing Gossip: remove it, or use Gossip")
	case l.FirstBurst != "" && l.FirstBurst != Full && l.FirstBurst != Share:
		f.add(field+".firstBurst", "%q: use Full or Share", l.FirstBurst)
	}
}

// sharingOf reads Limit.Sharing.
func sharingOf(text string) (Sharing, bool) {
	for s := Gossip; s <= Local; s++ {
		if text == s.String() {
			return s, true
		}
	}
	return Gossip, text == ""
}

// onUnreachableOf reads Limit.OnUnreachable.
func onUnreachableOf(text string) (OnUnreachable, bool) {
	for u := LocalShare; u <= Admit; u++ {
		if text == u.String() {
			return u, true
		}
	}
	return LocalShare, text == ""
}
