package discovery

import (
	"context"
	"maps"
	"slices"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// EndpointSlices returns a Source that watches the EndpointSlices of a Service.
// While the API server cannot be reached, the members stay as they were last
// seen; the watch is taken up again within seconds after it is back. A Service
// that does not exist has no members.
func EndpointSlices(client kubernetes.Interface, namespace, service string) Source {
	return &endpointSlices{client: client, namespace: namespace, service: service}
}

type endpointSlices struct {
	client             kubernetes.Interface
	namespace, service string
}

// Watch implements Source.
func (s *endpointSlices) Watch(ctx context.Context, changed func([]Endpoint)) error {
	store := newNotifyingStore()
	reflector := cache.NewReflectorWithOptions(s.listWatch(), &discoveryv1.EndpointSlice{}, store, cache.ReflectorOptions{
		Name: "endpointslices of " + s.namespace + "/" + s.service,
		// A pool that changes while nobody looks is worse than a few more calls to an
		// API server that comes back, so wait seconds and not half a minute.
		Backoff: &wait.Backoff{Duration: 200 * time.Millisecond, Factor: 2, Steps: 5, Cap: 4 * time.Second, Jitter: 0.5},
	})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		reflector.RunWithContext(ctx)
	}()
	defer func() { <-stopped }()

	var last []Endpoint
	for first := true; ; first = false {
		select {
		case <-ctx.Done():
			return nil
		case <-store.changed:
		}
		members := FromSlices(store.slices())
		if first || !slices.EqualFunc(members, last, equal) {
			last = members
			changed(slices.Clone(members))
		}
	}
}

func (s *endpointSlices) listWatch() cache.ListerWatcher {
	selector := labels.Set{discoveryv1.LabelServiceName: s.service}.String()
	endpoints := s.client.DiscoveryV1().EndpointSlices(s.namespace)
	return cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.LabelSelector = selector
			return endpoints.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.LabelSelector = selector
			return endpoints.Watch(ctx, o)
		},
	}, s.client)
}

// notifyingStore is what the reflector fills. After every change, a first empty
// list included, there is a token in changed.
type notifyingStore struct {
	cache.Store
	changed chan struct{}
}

func newNotifyingStore() *notifyingStore {
	return &notifyingStore{Store: cache.NewStore(cache.MetaNamespaceKeyFunc), changed: make(chan struct{}, 1)}
}

func (s *notifyingStore) Add(obj any) error    { return s.notify(s.Store.Add(obj)) }
func (s *notifyingStore) Update(obj any) error { return s.notify(s.Store.Update(obj)) }
func (s *notifyingStore) Delete(obj any) error { return s.notify(s.Store.Delete(obj)) }
func (s *notifyingStore) Replace(all []any, version string) error {
	return s.notify(s.Store.Replace(all, version))
}

func (s *notifyingStore) notify(err error) error {
	select {
	case s.changed <- struct{}{}:
	default:
	}
	return err
}

func (s *notifyingStore) slices() []discoveryv1.EndpointSlice {
	all := s.List()
	list := make([]discoveryv1.EndpointSlice, 0, len(all))
	for _, obj := range all {
		if slice, ok := obj.(*discoveryv1.EndpointSlice); ok {
			list = append(list, *slice)
		}
	}
	return list
}

func equal(a, b Endpoint) bool {
	return a.Name == b.Name && a.Host == b.Host && a.Zone == b.Zone && a.Ready == b.Ready && a.Serving == b.Serving && maps.Equal(a.Ports, b.Ports)
}
