package discovery_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/sluice-dev/sluice/enforcer/discovery"
)

func TestAddress(t *testing.T) {
	tests := map[string]struct {
		endpoint discovery.Endpoint
		port     string
		want     string
		wantOK   bool
	}{
		"IPv4":                    {discovery.Endpoint{Host: "10.0.0.1", Ports: bothPorts}, "admin", "10.0.0.1:9090", true},
		"IPv6 is put in brackets": {discovery.Endpoint{Host: "fd00::1", Ports: bothPorts}, "gossip", "[fd00::1]:7946", true},
		"a name":                  {discovery.Endpoint{Host: "a.example.com", Ports: bothPorts}, "admin", "a.example.com:9090", true},
		"a port that is not there": {
			discovery.Endpoint{Host: "10.0.0.1", Ports: bothPorts}, "http", "", false,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, ok := tc.endpoint.Address(tc.port)
			if got != tc.want || ok != tc.wantOK {
				t.Errorf("Address = %q, %v; want %q, %v", got, ok, tc.want, tc.wantOK)
			}
		})
	}
}

func TestStatic(t *testing.T) {
	tests := map[string]struct {
		addrs   []string
		want    []string // addresses in the order handed out
		wantErr string
	}{
		"addresses are ordered, trimmed and counted once": {
			addrs: []string{"b:2", " a:1", "b:2"},
			want:  []string{"a:1", "b:2"},
		},
		"IPv6":                        {addrs: []string{"[fd00::1]:1"}, want: []string{"[fd00::1]:1"}},
		"an empty list is refused":    {wantErr: "list of addresses is empty"},
		"a port is needed":            {addrs: []string{"10.0.0.1"}, wantErr: "write host:port"},
		"a host is needed":            {addrs: []string{":7946"}, wantErr: "write host:port"},
		"a port is a number":          {addrs: []string{"a:http"}, wantErr: "from 1 to 65535"},
		"a port is not zero":          {addrs: []string{"a:0"}, wantErr: "from 1 to 65535"},
		"a comma too much is refused": {addrs: []string{"a:1", ""}, wantErr: `address ""`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			source, err := discovery.Static("gossip", tc.addrs)
			if tc.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
					t.Fatalf("error %v, want one with %q", err, tc.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			var got []string
			err = source.Watch(ctx, func(members []discovery.Endpoint) {
				for _, m := range members {
					address, _ := m.Address("gossip")
					got = append(got, address)
					if !m.Ready || !m.Serving {
						t.Errorf("%s is not ready", m.Name)
					}
				}
				cancel()
			})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("addresses (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEndpointSlicesFollowsTheService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		endpoints := client.DiscoveryV1().EndpointSlices("sluice-system")
		ctx, cancel := context.WithCancel(t.Context())

		var names [][]string // of every call, with zones
		done := make(chan error)
		go func() {
			done <- discovery.EndpointSlices(client, "sluice-system", "pool").Watch(ctx, func(members []discovery.Endpoint) {
				list := []string{}
				for _, m := range members {
					list = append(list, strings.TrimSpace(m.Name+" "+m.Zone))
				}
				names = append(names, list)
			})
		}()
		synctest.Wait()

		s := slice("a", discoveryv1.AddressTypeIPv4, pod("p1", "10.0.0.1"))
		if _, err := endpoints.Create(ctx, &s, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		s.Annotations = map[string]string{"changes": "nothing"}
		if _, err := endpoints.Update(ctx, &s, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		s.Endpoints = append(s.Endpoints, pod("p2", "10.0.0.2"))
		if _, err := endpoints.Update(ctx, &s, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		s.Endpoints[1] = in(s.Endpoints[1], "b")
		if _, err := endpoints.Update(ctx, &s, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := endpoints.Delete(ctx, "a", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()

		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		want := [][]string{{}, {"p1"}, {"p1", "p2"}, {"p1", "p2 b"}, {}}
		if diff := cmp.Diff(want, names); diff != "" {
			t.Errorf("members of each call (-want +got):\n%s", diff)
		}
		for _, action := range client.Actions() {
			// The fake does not select by label when it watches; the API server does.
			if watch, ok := action.(clienttesting.WatchAction); ok && watch.GetWatchRestrictions().Labels.String() != "kubernetes.io/service-name=pool" {
				t.Errorf("watches with the selector %q", watch.GetWatchRestrictions().Labels)
			}
		}
	})
}

// The API server goes away for ten minutes, in which the pool changes: the
// members stay as they were, and are right again within seconds after it is back.
func TestEndpointSlicesWhileTheAPIServerIsAway(t *testing.T) {
	// client-go waits until a millisecond after its last error. That time was read
	// outside of the bubble, years later.
	handlers := utilruntime.ErrorHandlers
	utilruntime.ErrorHandlers = nil
	t.Cleanup(func() { utilruntime.ErrorHandlers = handlers })
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		var away atomic.Bool
		var watches []*watch.FakeWatcher
		client.PrependReactor("list", "endpointslices", func(clienttesting.Action) (bool, runtime.Object, error) {
			return away.Load(), nil, errors.New("connection refused")
		})
		client.PrependWatchReactor("endpointslices", func(clienttesting.Action) (bool, watch.Interface, error) {
			if away.Load() {
				return true, nil, errors.New("connection refused")
			}
			watches = append(watches, watch.NewFake())
			return true, watches[len(watches)-1], nil
		})
		endpoints := client.DiscoveryV1().EndpointSlices("sluice-system")
		s := slice("a", discoveryv1.AddressTypeIPv4, pod("p1", "10.0.0.1"))
		if _, err := endpoints.Create(t.Context(), &s, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}

		ctx, cancel := context.WithCancel(t.Context())
		var counts []int
		done := make(chan error)
		go func() {
			done <- discovery.EndpointSlices(client, "sluice-system", "pool").Watch(ctx, func(members []discovery.Endpoint) {
				counts = append(counts, len(members))
			})
		}()
		synctest.Wait()

		away.Store(true)
		watches[0].Stop()
		s.Endpoints = append(s.Endpoints, pod("p2", "10.0.0.2"))
		if _, err := endpoints.Update(t.Context(), &s, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if diff := cmp.Diff([]int{1}, counts); diff != "" {
			t.Errorf("numbers of members while the API server is away (-want +got):\n%s", diff)
		}
		away.Store(false)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if diff := cmp.Diff([]int{1, 2}, counts); diff != "" {
			t.Errorf("numbers of members after it is back (-want +got):\n%s", diff)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
