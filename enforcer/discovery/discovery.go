// Package discovery answers who is in a pool: from the EndpointSlices of its
// Service, or from a static list. The enforcer uses it to find its peers, the
// manager to find the enforcers, so both always mean the same pods.
package discovery

import (
	"context"
	"net"
	"strconv"
)

// Endpoint is one enforcer of a pool. It is a value: nobody changes it once a
// Source has handed it out.
type Endpoint struct {
	// Name is the pod's name, or the address when there is no pod behind it.
	Name string

	// Host is an IPv4 address, an IPv6 address without brackets, or a DNS name.
	Host string

	// Ports holds the port numbers by the name of the Service's port, such as
	// "gossip" and "admin". A port without a name has the key "".
	Ports map[string]int

	// Zone is where its node is; empty where nobody says so.
	Zone string

	// Ready says that the endpoint works and is here to stay: it takes traffic.
	Ready bool

	// Serving says that the endpoint works, even if it is about to leave.
	// Ready implies Serving.
	Serving bool
}

// Address returns host:port of a named port, with an IPv6 host in brackets; ok
// is false when the endpoint has no such port.
func (e Endpoint) Address(port string) (address string, ok bool) {
	number, ok := e.Ports[port]
	if !ok {
		return "", false
	}
	return net.JoinHostPort(e.Host, strconv.Itoa(number)), true
}

// Source follows the members of a pool.
type Source interface {
	// Watch calls changed with all members as soon as they are known, and again
	// after every change, ordered by name. Calls never overlap; a call that takes
	// long delays the next one, which then has the newest members. The slice
	// belongs to changed. Watch blocks until ctx ends and then returns nil; another
	// return means that it cannot work at all. It may be called more than once.
	Watch(ctx context.Context, changed func([]Endpoint)) error
}
