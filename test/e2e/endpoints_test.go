//go:build e2e

package e2e

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
)

// endpoints are the enforcers that are ready, as a proxy knows them: from
// EndpointSlices, and so a little late.
type endpoints struct {
	lister      func() []any
	credentials credentials.TransportCredentials

	mu       sync.Mutex // guards what follows
	all      map[string]*endpoint
	ready    []*endpoint
	failures map[string]int // calls without an answer, by what was said instead
}

// endpoint is one enforcer. Like a proxy's outlier detection, whoever asks it leaves
// it alone for a while when it has not answered.
type endpoint struct {
	*grpc.ClientConn
	of     *endpoints
	failed atomic.Int64 // when, in nanoseconds of the epoch
}

const (
	callTime = time.Second      // how long a proxy waits for an answer
	ejection = 10 * time.Second // how long it leaves an enforcer alone
)

// watchEndpoints follows the EndpointSlices of a pool, which its labels select, until the
// test ends.
func watchEndpoints(t *testing.T, client kubernetes.Interface, labels string, by credentials.TransportCredentials) *endpoints {
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(system),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = labels }))
	informer := factory.Discovery().V1().EndpointSlices().Informer()
	e := &endpoints{all: map[string]*endpoint{}, failures: map[string]int{}, lister: informer.GetStore().List, credentials: by}
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { e.update() },
		UpdateFunc: func(any, any) { e.update() },
		DeleteFunc: func(any) { e.update() },
	}); err != nil {
		t.Fatal(err)
	}
	factory.Start(t.Context().Done())
	factory.WaitForCacheSync(t.Context().Done())
	return e
}

// update learns who is ready now.
func (e *endpoints) update() {
	e.mu.Lock()
	defer e.mu.Unlock()
	before := e.ready
	e.ready = nil
	for _, object := range e.lister() {
		slice := object.(*discoveryv1.EndpointSlice)
		port := portOf(slice, "rls")
		for i := range slice.Endpoints {
			if ready := slice.Endpoints[i].Conditions.Ready; port != "" && ready != nil && *ready {
				e.ready = append(e.ready, e.at(net.JoinHostPort(slice.Endpoints[i].Addresses[0], port)))
			}
		}
	}
	for _, one := range e.ready {
		if !slices.Contains(before, one) { // it is back
			one.failed.Store(0)
			one.ResetConnectBackoff()
		}
	}
}

// at returns the endpoint of an address.
func (e *endpoints) at(address string) *endpoint {
	if e.all[address] == nil {
		conn, err := grpc.NewClient("passthrough:"+address, grpc.WithTransportCredentials(e.credentials))
		if err != nil {
			panic(err) // of an address from the API server
		}
		e.all[address] = &endpoint{ClientConn: conn, of: e}
	}
	return e.all[address]
}

func portOf(slice *discoveryv1.EndpointSlice, name string) string {
	for _, p := range slice.Ports {
		if p.Name != nil && *p.Name == name && p.Port != nil {
			return strconv.Itoa(int(*p.Port))
		}
	}
	return ""
}

func (e *endpoints) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.ready)
}

// pick returns one of the ready enforcers by chance.
func (e *endpoints) pick(r *rand.Rand, _ time.Duration, _ int) grpc.ClientConnInterface {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.ready) == 0 {
		return nobody{}
	}
	from := r.IntN(len(e.ready))
	for i := range e.ready {
		if one := e.ready[(from+i)%len(e.ready)]; time.Since(time.Unix(0, one.failed.Load())) > ejection {
			return one
		}
	}
	return e.ready[from]
}

// Invoke finishes a call that was begun, after the load ends too, but not for ever.
func (e *endpoint) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTime)
	defer cancel()
	err := e.ClientConn.Invoke(ctx, method, args, reply, opts...)
	if err != nil {
		e.failed.Store(time.Now().UnixNano())
		e.of.fail(e.Target(), err)
	}
	return err
}

func (e *endpoints) fail(address string, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.failures[address+": "+status.Convert(err).Message()]++
}

// takeFailures returns how often what was said instead of an answer, since it was
// asked last.
func (e *endpoints) takeFailures() map[string]int {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := e.failures
	e.failures = map[string]int{}
	return all
}

// nobody answers no call.
type nobody struct{ grpc.ClientConnInterface }

func (nobody) Invoke(context.Context, string, any, any, ...grpc.CallOption) error {
	return errors.New("no enforcer is ready")
}
