package discovery_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/enforcer/discovery"
)

// slice returns an EndpointSlice with the ports gossip and admin.
func slice(name string, family discoveryv1.AddressType, endpoints ...discoveryv1.Endpoint) discoveryv1.EndpointSlice {
	return discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: "sluice-system", Labels: map[string]string{discoveryv1.LabelServiceName: "pool"},
		},
		AddressType: family,
		Endpoints:   endpoints,
		Ports:       []discoveryv1.EndpointPort{port("gossip", 7946), port("admin", 9090)},
	}
}

func port(name string, number int32) discoveryv1.EndpointPort {
	return discoveryv1.EndpointPort{Name: &name, Port: &number}
}

// pod returns the endpoint of a pod with no conditions set.
func pod(name, address string) discoveryv1.Endpoint {
	return discoveryv1.Endpoint{
		Addresses: []string{address},
		TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: name},
	}
}

func with(e discoveryv1.Endpoint, ready, serving, terminating bool) discoveryv1.Endpoint {
	e.Conditions = discoveryv1.EndpointConditions{Ready: &ready, Serving: &serving, Terminating: &terminating}
	return e
}

func in(e discoveryv1.Endpoint, zone string) discoveryv1.Endpoint {
	e.Zone = &zone
	return e
}

var bothPorts = map[string]int{"gossip": 7946, "admin": 9090}

func TestFromSlices(t *testing.T) {
	yes, no := true, false
	tests := map[string]struct {
		slices []discoveryv1.EndpointSlice
		want   []discovery.Endpoint
	}{
		"a Service without pods has no members": {
			slices: []discoveryv1.EndpointSlice{slice("a", discoveryv1.AddressTypeIPv4)},
			want:   []discovery.Endpoint{},
		},
		"members of many slices are ordered by name": {
			slices: []discoveryv1.EndpointSlice{
				slice("a", discoveryv1.AddressTypeIPv4, pod("p2", "10.0.0.2"), pod("p3", "10.0.0.3")),
				slice("b", discoveryv1.AddressTypeIPv4, pod("p1", "10.0.0.1")),
			},
			want: []discovery.Endpoint{
				{Name: "p1", Host: "10.0.0.1", Ports: bothPorts, Ready: true, Serving: true},
				{Name: "p2", Host: "10.0.0.2", Ports: bothPorts, Ready: true, Serving: true},
				{Name: "p3", Host: "10.0.0.3", Ports: bothPorts, Ready: true, Serving: true},
			},
		},
		"a dual-stack pod is one member with its IPv4 address": {
			slices: []discoveryv1.EndpointSlice{
				slice("a", discoveryv1.AddressTypeIPv6, pod("p", "fd00::1")),
				slice("b", discoveryv1.AddressTypeIPv4, pod("p", "10.0.0.1")),
			},
			want: []discovery.Endpoint{{Name: "p", Host: "10.0.0.1", Ports: bothPorts, Ready: true, Serving: true}},
		},
		"a single-stack IPv6 pod": {
			slices: []discoveryv1.EndpointSlice{slice("a", discoveryv1.AddressTypeIPv6, pod("p", "fd00::1"))},
			want:   []discovery.Endpoint{{Name: "p", Host: "fd00::1", Ports: bothPorts, Ready: true, Serving: true}},
		},
		"an endpoint without a pod is named by its address": {
			slices: []discoveryv1.EndpointSlice{
				slice("a", discoveryv1.AddressTypeFQDN, discoveryv1.Endpoint{Addresses: []string{"limits.example.com"}}),
			},
			want: []discovery.Endpoint{{Name: "limits.example.com", Host: "limits.example.com", Ports: bothPorts, Ready: true, Serving: true}},
		},
		"an FQDN endpoint with a pod has the pod's name": {
			slices: []discoveryv1.EndpointSlice{slice("a", discoveryv1.AddressTypeFQDN, pod("p", "p.pool.example.com"))},
			want:   []discovery.Endpoint{{Name: "p", Host: "p.pool.example.com", Ports: bothPorts, Ready: true, Serving: true}},
		},
		"of three families IPv4 is first, then IPv6": {
			slices: []discoveryv1.EndpointSlice{
				slice("a", discoveryv1.AddressTypeFQDN, pod("p1", "p1.example.com"), pod("p2", "p2.example.com")),
				slice("b", discoveryv1.AddressTypeIPv6, pod("p1", "fd00::1"), pod("p2", "fd00::2")),
				slice("c", discoveryv1.AddressTypeIPv4, pod("p1", "10.0.0.1")),
			},
			want: []discovery.Endpoint{
				{Name: "p1", Host: "10.0.0.1", Ports: bothPorts, Ready: true, Serving: true},
				{Name: "p2", Host: "fd00::2", Ports: bothPorts, Ready: true, Serving: true},
			},
		},
		"of the addresses of one endpoint the first is used": {
			slices: []discoveryv1.EndpointSlice{slice("a", discoveryv1.AddressTypeIPv4,
				discoveryv1.Endpoint{Addresses: []string{"10.0.0.2", "10.0.0.1"}})},
			want: []discovery.Endpoint{{Name: "10.0.0.2", Host: "10.0.0.2", Ports: bothPorts, Ready: true, Serving: true}},
		},
		"a pod that terminates and has no other condition works still": {
			slices: []discoveryv1.EndpointSlice{slice("a", discoveryv1.AddressTypeIPv4, discoveryv1.Endpoint{
				Addresses: []string{"10.0.0.1"}, Conditions: discoveryv1.EndpointConditions{Terminating: &yes},
			})},
			want: []discovery.Endpoint{{Name: "10.0.0.1", Host: "10.0.0.1", Ports: bothPorts, Serving: true}},
		},
		"a pod that terminates and works no more": {
			slices: []discoveryv1.EndpointSlice{slice("a", discoveryv1.AddressTypeIPv4, with(pod("p", "10.0.0.1"), false, false, true))},
			want:   []discovery.Endpoint{{Name: "p", Host: "10.0.0.1", Ports: bothPorts}},
		},
		"a pod that is not ready": {
			slices: []discoveryv1.EndpointSlice{slice("a", discoveryv1.AddressTypeIPv4, with(pod("p", "10.0.0.1"), false, false, false))},
			want:   []discovery.Endpoint{{Name: "p", Host: "10.0.0.1", Ports: bothPorts}},
		},
		"a pod that terminates but still works": {
			slices: []discoveryv1.EndpointSlice{slice("a", discoveryv1.AddressTypeIPv4, with(pod("p", "10.0.0.1"), false, true, true))},
			want:   []discovery.Endpoint{{Name: "p", Host: "10.0.0.1", Ports: bothPorts, Serving: true}},
		},
		"publishNotReadyAddresses does not make a pod ready": {
			slices: []discoveryv1.EndpointSlice{slice("a", discoveryv1.AddressTypeIPv4,
				with(pod("starts", "10.0.0.1"), true, false, false), with(pod("stops", "10.0.0.2"), true, true, true))},
			want: []discovery.Endpoint{
				{Name: "starts", Host: "10.0.0.1", Ports: bothPorts},
				{Name: "stops", Host: "10.0.0.2", Ports: bothPorts, Serving: true},
			},
		},
		"serving that is not set means what ready says": {
			slices: []discoveryv1.EndpointSlice{slice("a", discoveryv1.AddressTypeIPv4,
				discoveryv1.Endpoint{Addresses: []string{"10.0.0.1"}, Conditions: discoveryv1.EndpointConditions{Ready: &no}},
				discoveryv1.Endpoint{Addresses: []string{"10.0.0.2"}, Conditions: discoveryv1.EndpointConditions{Ready: &yes}})},
			want: []discovery.Endpoint{
				{Name: "10.0.0.1", Host: "10.0.0.1", Ports: bothPorts},
				{Name: "10.0.0.2", Host: "10.0.0.2", Ports: bothPorts, Ready: true, Serving: true},
			},
		},
		"a pod told of twice while a slice is split is ready if one says so": {
			slices: []discoveryv1.EndpointSlice{
				slice("a", discoveryv1.AddressTypeIPv4, with(pod("p", "10.0.0.1"), false, false, false)),
				slice("b", discoveryv1.AddressTypeIPv4, pod("p", "10.0.0.1")),
			},
			want: []discovery.Endpoint{{Name: "p", Host: "10.0.0.1", Ports: bothPorts, Ready: true, Serving: true}},
		},
		"a pod that was replaced by one of the same name has the new address": {
			slices: []discoveryv1.EndpointSlice{
				slice("a", discoveryv1.AddressTypeIPv4, with(pod("p", "10.0.0.1"), false, true, true)),
				slice("b", discoveryv1.AddressTypeIPv4, pod("p", "10.0.0.9")),
			},
			want: []discovery.Endpoint{{Name: "p", Host: "10.0.0.9", Ports: bothPorts, Ready: true, Serving: true}},
		},
		"ports of one pod in two slices are joined": {
			slices: []discoveryv1.EndpointSlice{
				{ObjectMeta: metav1.ObjectMeta{Name: "a"}, AddressType: discoveryv1.AddressTypeIPv4, Endpoints: []discoveryv1.Endpoint{pod("p", "10.0.0.1")}, Ports: []discoveryv1.EndpointPort{port("gossip", 1)}},
				{ObjectMeta: metav1.ObjectMeta{Name: "b"}, AddressType: discoveryv1.AddressTypeIPv4, Endpoints: []discoveryv1.Endpoint{pod("p", "10.0.0.1")}, Ports: []discoveryv1.EndpointPort{port("admin", 2)}},
			},
			want: []discovery.Endpoint{{Name: "p", Host: "10.0.0.1", Ports: map[string]int{"gossip": 1, "admin": 2}, Ready: true, Serving: true}},
		},
		"a pod is in the zone of its node": {
			slices: []discoveryv1.EndpointSlice{slice("a", discoveryv1.AddressTypeIPv4,
				in(pod("p1", "10.0.0.1"), "b"), in(pod("p2", "10.0.0.2"), ""), pod("p3", "10.0.0.3"))},
			want: []discovery.Endpoint{
				{Name: "p1", Host: "10.0.0.1", Ports: bothPorts, Zone: "b", Ready: true, Serving: true},
				{Name: "p2", Host: "10.0.0.2", Ports: bothPorts, Ready: true, Serving: true},
				{Name: "p3", Host: "10.0.0.3", Ports: bothPorts, Ready: true, Serving: true},
			},
		},
		"one slice may know the zone and another not": {
			slices: []discoveryv1.EndpointSlice{
				slice("a", discoveryv1.AddressTypeIPv4, pod("p", "10.0.0.1")),
				slice("b", discoveryv1.AddressTypeIPv4, in(pod("p", "10.0.0.1"), "b")),
			},
			want: []discovery.Endpoint{{Name: "p", Host: "10.0.0.1", Ports: bothPorts, Zone: "b", Ready: true, Serving: true}},
		},
		"a pod that was replaced is in the zone of the new one": {
			slices: []discoveryv1.EndpointSlice{
				slice("a", discoveryv1.AddressTypeIPv4, in(with(pod("p", "10.0.0.1"), false, true, true), "b")),
				slice("b", discoveryv1.AddressTypeIPv4, pod("p", "10.0.0.9")),
			},
			want: []discovery.Endpoint{{Name: "p", Host: "10.0.0.9", Ports: bothPorts, Ready: true, Serving: true}},
		},
		"endpoints without an address or without a port are left out": {
			slices: []discoveryv1.EndpointSlice{
				slice("a", discoveryv1.AddressTypeIPv4, discoveryv1.Endpoint{}),
				{AddressType: discoveryv1.AddressTypeIPv4, Endpoints: []discoveryv1.Endpoint{pod("p", "10.0.0.1")}, Ports: []discoveryv1.EndpointPort{{}}},
			},
			want: []discovery.Endpoint{},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, discovery.FromSlices(tc.slices)); diff != "" {
				t.Errorf("members (-want +got):\n%s", diff)
			}
		})
	}
}

// Enforcers see slices in different orders and must still agree on the members.
func TestFromSlicesDoesNotDependOnOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SampledFrom([]string{"p1", "p2", "p3"})
		hosts := rapid.SampledFrom([]string{"10.0.0.1", "10.0.0.2"})
		var all []discoveryv1.EndpointSlice
		for i := range rapid.IntRange(0, 5).Draw(t, "slices") {
			family := rapid.SampledFrom([]discoveryv1.AddressType{discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6}).Draw(t, "family")
			e := with(pod(names.Draw(t, "pod"), hosts.Draw(t, "host")),
				rapid.Bool().Draw(t, "ready"), rapid.Bool().Draw(t, "serving"), rapid.Bool().Draw(t, "terminating"))
			s := slice(string(rune('a'+i)), family, in(e, rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "zone")))
			s.Ports = []discoveryv1.EndpointPort{port("admin", rapid.Int32Range(1, 3).Draw(t, "port"))}
			all = append(all, s)
		}
		want := discovery.FromSlices(slices.Clone(all))
		got := discovery.FromSlices(rapid.Permutation(all).Draw(t, "order"))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("another order gives other members (-one +other):\n%s", diff)
		}
	})
}
