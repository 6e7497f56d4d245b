package discovery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
)

// Static returns a Source of members that never change. Each address is
// host:port, with an IPv6 host in brackets; repeated ones count once. The port is
// known to Endpoint.Address by the given name. All members are Ready: nobody
// says otherwise.
func Static(port string, addrs []string) (Source, error) {
	members, err := ParseStatic(port, addrs)
	return static(members), err
}

// ParseStatic returns the members that Static has, ordered by name.
func ParseStatic(port string, addrs []string) ([]Endpoint, error) {
	var members []Endpoint
	seen := map[string]bool{}
	for _, addr := range addrs {
		member, err := parseStatic(port, strings.TrimSpace(addr))
		if err != nil {
			return nil, err
		}
		if !seen[member.Name] {
			seen[member.Name] = true
			members = append(members, member)
		}
	}
	if len(members) == 0 {
		return nil, errors.New("the list of addresses is empty: write host:port, separated by commas")
	}
	slices.SortFunc(members, byName)
	return members, nil
}

func parseStatic(port, addr string) (Endpoint, error) {
	host, number, err := net.SplitHostPort(addr)
	if err != nil || host == "" {
		return Endpoint{}, fmt.Errorf("address %q: write host:port, for example 10.0.0.1:7946 or [fd00::1]:7946", addr)
	}
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil || n == 0 {
		return Endpoint{}, fmt.Errorf("address %q: the port must be a number from 1 to 65535", addr)
	}
	return Endpoint{
		Name:    net.JoinHostPort(host, number),
		Host:    host,
		Ports:   map[string]int{port: int(n)},
		Ready:   true,
		Serving: true,
	}, nil
}

// static is a Source of fixed members, ordered by name.
type static []Endpoint

// Watch implements Source.
func (s static) Watch(ctx context.Context, changed func([]Endpoint)) error {
	changed(slices.Clone(s))
	<-ctx.Done()
	return nil
}

func byName(a, b Endpoint) int {
	return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Host, b.Host))
}
