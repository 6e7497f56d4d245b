package discovery

import (
	"cmp"
	"maps"
	"slices"

	discoveryv1 "k8s.io/api/discovery/v1"
)

// FromSlices returns the members that the EndpointSlices of one Service tell of,
// ordered by name, whatever the order of the slices. Members without a usable
// address or port are left out. A pod that is told of more than once (a
// dual-stack Service, a slice that is being split, ports that differ by pod) is
// one member: with its IPv4 address if it has one, the ports and the zone
// that any of the slices gives for that address, and ready if any of them says so.
//
// Ready does not follow the slice's condition of that name alone: a Service with
// publishNotReadyAddresses sets it for pods that are not ready and for pods that
// terminate.
func FromSlices(all []discoveryv1.EndpointSlice) []Endpoint {
	tellings := map[string][]telling{}
	for i := range all {
		ports := namedPorts(all[i].Ports)
		if len(ports) == 0 {
			continue
		}
		for j := range all[i].Endpoints {
			if len(all[i].Endpoints[j].Addresses) == 0 {
				continue
			}
			t := newTelling(&all[i], &all[i].Endpoints[j], ports)
			tellings[t.Name] = append(tellings[t.Name], t)
		}
	}
	members := make([]Endpoint, 0, len(tellings))
	for _, ofOne := range tellings {
		members = append(members, merge(ofOne))
	}
	slices.SortFunc(members, byName)
	return members
}

// telling is what one slice says of one member.
type telling struct {
	Endpoint
	family int // rank of the address family, lower is better
	slice  string
}

func newTelling(slice *discoveryv1.EndpointSlice, e *discoveryv1.Endpoint, ports map[string]int) telling {
	// A condition that is not set is to be read as true, terminating as false; a
	// slice without serving means what ready says.
	ready := e.Conditions.Ready == nil || *e.Conditions.Ready
	serving := ready
	if e.Conditions.Serving != nil {
		serving = *e.Conditions.Serving
	}
	terminating := e.Conditions.Terminating != nil && *e.Conditions.Terminating

	// The addresses of one endpoint are interchangeable; the API says to use the first.
	host := e.Addresses[0]
	name := host
	if e.TargetRef != nil && e.TargetRef.Kind == "Pod" && e.TargetRef.Name != "" {
		name = e.TargetRef.Name
	}
	zone := ""
	if e.Zone != nil {
		zone = *e.Zone
	}
	return telling{
		Endpoint: Endpoint{
			Name:    name,
			Host:    host,
			Ports:   ports,
			Zone:    zone,
			Ready:   ready && serving && !terminating,
			Serving: serving,
		},
		family: familyRank(slice.AddressType),
		slice:  slice.Name,
	}
}

// merge makes one member of all that is told of it.
func merge(all []telling) Endpoint {
	slices.SortFunc(all, func(a, b telling) int {
		return cmp.Or(
			cmp.Compare(a.family, b.family),
			// The pod may have been replaced by one of the same name: take the one that works.
			cmp.Compare(rank(b.Ready), rank(a.Ready)),
			cmp.Compare(rank(b.Serving), rank(a.Serving)),
			cmp.Compare(a.Host, b.Host),
			cmp.Compare(a.slice, b.slice),
		)
	})
	best := all[0].Endpoint
	best.Ports = maps.Clone(best.Ports)
	for _, t := range all[1:] {
		best.Ready = best.Ready || t.Ready
		best.Serving = best.Serving || t.Serving
		if t.Host != best.Host {
			continue
		}
		best.Zone = cmp.Or(best.Zone, t.Zone)
		for name, port := range t.Ports {
			if _, known := best.Ports[name]; !known {
				best.Ports[name] = port
			}
		}
	}
	return best
}

func rank(b bool) int {
	if b {
		return 1
	}
	return 0
}

func familyRank(t discoveryv1.AddressType) int {
	switch t {
	case discoveryv1.AddressTypeIPv4:
		return 0
	case discoveryv1.AddressTypeIPv6:
		return 1
	default:
		return 2
	}
}

func namedPorts(ports []discoveryv1.EndpointPort) map[string]int {
	named := make(map[string]int, len(ports))
	for _, p := range ports {
		if p.Port == nil || *p.Port < 1 || *p.Port > 65535 {
			continue
		}
		name := ""
		if p.Name != nil {
			name = *p.Name
		}
		named[name] = int(*p.Port)
	}
	return named
}
