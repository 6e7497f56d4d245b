package membership

import "slices"

// State says what is to be expected of a member.
type State uint8

const (
	// Alive members answer.
	Alive State = iota

	// Leaving members have said that they will stop. They still answer requests
	// and speak to the others, but must not become or stay anybody's rendezvous
	// peer.
	Leaving

	// Unreachable members do not answer, and nobody knows that they are gone:
	// discovery still lists them, or it never did and they were alive within the
	// last minute. They may be alive on the other side of a split network.
	Unreachable
)

// String returns the name of the state.
func (s State) String() string {
	switch s {
	case Alive:
		return "Alive"
	case Leaving:
		return "Leaving"
	case Unreachable:
		return "Unreachable"
	default:
		return "Unknown"
	}
}

// Member is one enforcer. It is a value that can be compared.
type Member struct {
	// Name is what the enforcer calls itself, unique in the pool.
	Name string

	// Address is where it takes gossip: ip:port, an IPv6 address in brackets.
	Address string

	// State is never Unreachable for the enforcer itself.
	State State

	// Zone is where it says that it is; empty while it does not know. It knows from
	// discovery, and all have its word for it: they agree also when they do not hear
	// the same from discovery, or nothing.
	Zone string
}

// View is who belongs to the pool, as one enforcer sees it. Views of different
// enforcers agree within a fraction of a second after the last change.
type View struct {
	// Self is this enforcer.
	Self Member

	// Members are the others, ordered by name. One that left, or that does not
	// answer and is not listed any more, is not among them: it is known dead.
	Members []Member

	// Expected is how many enforcers there should be: this one, the Members, and
	// those that discovery says serve but that were never met.
	Expected int
}

func (v View) equal(other View) bool {
	return v.Self == other.Self && v.Expected == other.Expected && slices.Equal(v.Members, other.Members)
}
