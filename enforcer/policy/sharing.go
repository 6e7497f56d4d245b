package policy

// Sharing says how the enforcers of a pool count a limit together.
type Sharing uint8

const (
	// Gossip has each enforcer decide by its own view of the one counter of a key, and
	// tell the others what it admits.
	Gossip Sharing = iota

	// Local has each enforcer count for itself.
	Local
)

// String returns the sharing as it is written in a policy.
func (s Sharing) String() string {
	switch s {
	case Gossip:
		return "Gossip"
	case Local:
		return "Local"
	}
	return ""
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
