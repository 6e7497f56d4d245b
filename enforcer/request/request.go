// Package request holds what is asked of an enforcer and what it answers: the
// one Request that every front end produces, and the one Answer that it turns
// into its own protocol. Neither knows which protocol it travels in.
package request

import "github.com/sluice-dev/sluice/enforcer/limit"

// MaxDescriptors is the largest number of descriptors in one Request. Front
// ends refuse a longer list by name, before they build a Request.
const MaxDescriptors = 64

// MaxDomain is the longest domain that a policy can have, in bytes: that of a
// policy which names none, NAMESPACE.NAME. Front ends refuse a longer one.
const MaxDomain = 63 + 1 + 253

// Request asks whether something of a given cost may go ahead. The zero value
// asks for one token in the domain "". A Request may be reused once Decide has
// returned; nothing keeps a reference to it.
type Request struct {
	// Domain selects the policies that apply.
	Domain string

	// HTTP describes the request that is to be limited, or is nil when the
	// caller described it by descriptors alone. A limit whose expressions read
	// request.* or source.* does not apply when HTTP is nil.
	HTTP *HTTP

	// Descriptors describe it as the Envoy rate limit protocol does. A limit
	// whose expressions read descriptor[…] is tried against each descriptor in
	// turn, and applies to those that have every entry it reads.
	Descriptors []Descriptor

	// Cost is the number of tokens to take from each limit that does not compute
	// its own: 0 only looks, a negative Cost gives tokens back.
	Cost limit.Amount
}

// HTTP is the part of an HTTP request that expressions can read.
type HTTP struct {
	Method string // upper case, as sent
	Path   string // decoded path, without the query
	Host   string // without the port, lower case
	Source string // address of the client, without the port

	Headers Lookup // names are lower case
	Query   Lookup // decoded; of a repeated parameter the first
}

// Lookup finds a value by its name; an absent one is "". Nil has no values at
// all; use Find, which accepts it.
type Lookup interface{ Get(name string) string }

// Find returns the value of name in l, or "" when it is absent or l is nil.
func Find(l Lookup, name string) string {
	if l == nil {
		return ""
	}
	return l.Get(name)
}

// Values is a Lookup over a plain map.
type Values map[string]string

// Get returns the value of name, or "".
func (v Values) Get(name string) string { return v[name] }

// Descriptor is a list of entries that describe one aspect of a request.
type Descriptor struct {
	Entries []Entry

	// Cost replaces Request.Cost for the limits that this descriptor matches,
	// when HasCost is set.
	Cost    limit.Amount
	HasCost bool

	// Own replaces the limits of the policies that this descriptor matches, when
	// it is not nil: the override of the Envoy rate limit protocol.
	Own *OwnLimit
}

// OwnLimit is a limit that a caller brings along: a fixed window of Quota.Requests
// tokens each Quota.Per, or in each Quota.Calendar period. It denies everything
// when Quota.Requests is 0.
type OwnLimit struct{ Quota Quota }

// Entry is one key and value of a descriptor.
type Entry struct{ Key, Value string }

// Get returns the value of the first entry with the given key, and whether
// there is one.
func (d *Descriptor) Get(key string) (string, bool) {
	for i := range d.Entries {
		if d.Entries[i].Key == key {
			return d.Entries[i].Value, true
		}
	}
	return "", false
}
