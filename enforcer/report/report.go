// Package report is what an enforcer tells of itself: the wire form of
// GET /v1/state, which the manager reads to learn which enforcers run which
// policies, and people read to see what an enforcer does.
package report

import (
	"fmt"
	"strconv"
	"time"
)

// State is one enforcer's account of itself. Counters are cumulative since
// Started; whoever wants a rate keeps two States and subtracts: Base and Usage.Since.
type State struct {
	Node    string    `json:"node"`
	Version string    `json:"version"`
	Started time.Time `json:"started"` // identifies this run of the enforcer
	Now     time.Time `json:"now"`     // the enforcer's clock when it answered

	// Ready says that the enforcer has a document and has asked its peers for
	// their counts.
	Ready bool `json:"ready"`

	// GossipKeys are the fingerprints of the keys that open gossip here, that of the
	// one that seals first; empty when gossip is not sealed.
	GossipKeys []string `json:"gossipKeys,omitempty"`

	// Document is the one in force; nil before the first.
	Document *Document `json:"document,omitempty"`

	// Refused tells why a newer document is not in force; empty otherwise.
	Refused string `json:"refused,omitempty"`

	// Policies are those of the document; nil when the question said that its asker
	// knows that document.
	Policies []Policy `json:"policies"`
	Peers    []Peer   `json:"peers"`
}

// Known is the parameter of GET /v1/state that has the digest of a document whose
// policies need not be told, and may be given more than once. With many policies
// that makes an answer short; an enforcer that does not know it tells everything.
const Known = "known"

// Document identifies a policy document.
type Document struct {
	Digest string    `json:"digest"`
	Since  time.Time `json:"since"` // when it came into force here
}

// Policy is one policy of the document in force.
type Policy struct {
	Namespace  string `json:"namespace"`
	Name       string `json:"name"`
	UID        string `json:"uid,omitempty"` // empty for a policy that was read from a file
	Generation int64  `json:"generation"`

	// Digest identifies what the policy says in the document, without the fields that
	// this enforcer does not know. Enforcers of older releases do not tell it.
	Digest Digest `json:"digest,omitzero"`

	Domain string  `json:"domain"`
	Limits []Usage `json:"limits"`
}

// Digest is one of policy.Digests.Policies, in JSON as 16 hexadecimal digits; 0 is none.
type Digest uint64

// MarshalText implements encoding.TextMarshaler.
func (d Digest) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%016x", uint64(d)), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Digest) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 16, 64)
	*d = Digest(n)
	return err
}

// Usage is what one limit did on this enforcer.
type Usage struct {
	Name string `json:"name"`

	// ActiveKeys is the number of clients with a counter here, among them those
	// that are known only from peers.
	ActiveKeys int64 `json:"activeKeys"`

	// Apart says that no other enforcer counts these clients, so that the pool has as
	// many as all its enforcers together.
	Apart bool `json:"apart,omitempty"`

	Admitted int64 `json:"admitted"` // tokens admitted here
	Limited  int64 `json:"limited"`  // tokens denied here; by a shadow limit: that would have been

	// OverAdmitted is how many tokens the pool admitted that were not there, of the
	// counters that this enforcer keeps the pool's books of; in thousandths.
	OverAdmitted int64 `json:"overAdmitted"`

	// Capacity is, of a limit that all requests share, the tokens per second that
	// it grants, in thousandths; 0 where each client has a rate of its own.
	Capacity int64 `json:"capacity,omitempty"`
}

// AddKeys returns how many keys are active in a pool of which other enforcers have
// told others. Those that gossip know nearly all keys each: a sum would count every
// client once an enforcer.
func (u Usage) AddKeys(others int64) int64 {
	if u.Apart {
		return others + u.ActiveKeys
	}
	return max(others, u.ActiveKeys)
}

// Since returns how far the counters of u went since before; the rest is as in u.
// One that went back began anew, as it does when a limit is deleted and made again.
func (u Usage) Since(before Usage) Usage {
	went := func(before, after int64) int64 {
		if after < before {
			return after
		}
		return after - before
	}
	u.Admitted = went(before.Admitted, u.Admitted)
	u.Limited = went(before.Limited, u.Limited)
	u.OverAdmitted = went(before.OverAdmitted, u.OverAdmitted)
	return u
}

// Base returns what to subtract from s for a rate: before, or, if that is nil or of
// an earlier run of the enforcer, its start, when all counters were zero.
func (s *State) Base(before *State) *State {
	if before == nil || !before.Started.Equal(s.Started) {
		return &State{Now: s.Started}
	}
	return before
}

// Peer is another enforcer of the pool, as this one sees it.
type Peer struct {
	Address string `json:"address"`
	Zone    string `json:"zone,omitempty"` // where it says that it is

	// Node is the peer's name, and LastHeard when it last spoke; empty and nil
	// while it has not.
	Node      string     `json:"node,omitempty"`
	LastHeard *time.Time `json:"lastHeard,omitempty"`
}
