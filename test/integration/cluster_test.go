package integration

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/controllers"
	"github.com/sluice-dev/sluice/enforcer/discovery"
)

// As in a cluster: the manager has the rights of config/rbac and no others, is
// elected, and finds the enforcers in EndpointSlices.
func TestTheManagerInACluster(t *testing.T) {
	w := newEmptyWorld(t)
	pool := w.createPool("default")
	var pods []discoveryv1.Endpoint
	network := &podNetwork{fakes: map[string]string{}}
	for i := range 2 {
		e := startFake(w, fmt.Sprintf("sluice-%d", i))
		w.enforcers = append(w.enforcers, e)
		pods = append(pods, network.pod(e, fmt.Sprintf("10.1.0.%d", i+1)))
	}
	slice := endpointSlice(w.operator, pool.Service(), pods)
	w.create(slice)

	w.startManagerInCluster(controllers.Options{HTTP: &http.Client{Transport: &http.Transport{DialContext: network.dial}}})
	p := w.policy(w.shop, "storefront", "", byKey)
	w.awaitPolicy(p, v1alpha1.ConditionReady, isTrue, "generation 1 runs on 2 of 2 enforcers")

	// A third pod that is not ready does not count; when it is ready and lags, it does.
	third := startLagging(w, "sluice-2")
	notReady := network.pod(third, "10.1.0.3")
	no := false
	notReady.Conditions.Ready = &no
	slice.Endpoints = append(pods, notReady)
	w.update(slice)
	w.change(p, func(s *v1alpha1.RateLimitPolicySpec) { s.Limits[0].Rate.Requests = 20 })
	w.awaitPolicy(p, v1alpha1.ConditionReady, isTrue, "generation 2 runs on 2 of 2 enforcers")
	slice.Endpoints[2].Conditions = discoveryv1.EndpointConditions{}
	w.update(slice)
	w.awaitPolicy(p, v1alpha1.ConditionReady, isFalse, "generation 2 runs on 2 of 3 enforcers; sluice-2 does not run it yet")
	third.lag(false)
	w.awaitPolicy(p, v1alpha1.ConditionReady, isTrue, "generation 2 runs on 3 of 3 enforcers")

	slice.Endpoints = nil
	w.update(slice)
	w.awaitPolicy(p, v1alpha1.ConditionReady, isFalse, v1alpha1.ReasonNoEnforcers)
	w.eventually("the election and the verdict are events", func() error {
		var list corev1.EventList
		if err := w.client.List(w.Context(), &list); err != nil {
			return err
		}
		seen := map[string]bool{}
		for _, e := range list.Items {
			if e.Namespace == w.operator || e.Namespace == w.shop {
				seen[e.Reason] = true
			}
		}
		if !seen["LeaderElection"] || !seen[v1alpha1.ReasonProgrammed] || !seen[v1alpha1.ReasonRollingOut] {
			return fmt.Errorf("events %v", seen)
		}
		return nil
	})
}

// startManagerInCluster runs the reconcilers with the rights of config/rbac, as the
// one that is elected; it finds enforcers in EndpointSlices.
func (w *world) startManagerInCluster(o controllers.Options) {
	w.Helper()
	name := "manager-of-" + w.operator
	user, err := controlPlane.AddUser(envtest.User{Name: name}, nil)
	if err != nil {
		w.Fatal(err)
	}
	w.grant(name, "manager.yaml")
	o.Discover = w.endpointSlices(user.Config())
	w.startManagerAs(user.Config(), true, o)
}

// endpointSlices is where enforcers are found in a cluster, by somebody.
func (w *world) endpointSlices(user *rest.Config) func(pool, service string) discovery.Source {
	w.Helper()
	clientset, err := kubernetes.NewForConfig(user)
	if err != nil {
		w.Fatal(err)
	}
	return func(_, service string) discovery.Source {
		return discovery.EndpointSlices(clientset, w.operator, service)
	}
}

func (w *world) update(s *discoveryv1.EndpointSlice) {
	w.Helper()
	if err := w.client.Update(w.Context(), s); err != nil {
		w.Fatal(err)
	}
}

func endpointSlice(namespace, service string, pods []discoveryv1.Endpoint) *discoveryv1.EndpointSlice {
	name, port := v1alpha1.AdminPort, int32(9090)
	return &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, GenerateName: service + "-",
			Labels: map[string]string{discoveryv1.LabelServiceName: service},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   pods,
		Ports:       []discoveryv1.EndpointPort{{Name: &name, Port: &port}},
	}
}

// podNetwork leads from the addresses of pods to fake enforcers: an EndpointSlice
// may not hold a loopback address.
type podNetwork struct {
	mu    sync.Mutex
	fakes map[string]string // address of a fake by that of its pod
}

func (n *podNetwork) pod(e *fakeEnforcer, ip string) discoveryv1.Endpoint {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fakes[net.JoinHostPort(ip, "9090")] = e.address
	return discoveryv1.Endpoint{
		Addresses: []string{ip},
		TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: e.name},
	}
}

func (n *podNetwork) dial(ctx context.Context, network, address string) (net.Conn, error) {
	n.mu.Lock()
	to, ok := n.fakes[address]
	n.mu.Unlock()
	if !ok {
		return nil, errors.New("no route to " + address)
	}
	return (&net.Dialer{}).DialContext(ctx, network, to)
}

// grant gives a user the rights in a file of config/rbac, in this world's operator
// namespace: all of them, or those of the roles that are named.
func (w *world) grant(user, file string, roles ...string) {
	w.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "config", "rbac", file))
	if err != nil {
		w.Fatal(err)
	}
	subjects := []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: user}}
	for _, document := range strings.Split(string(text), "\n---\n") {
		var role rbacv1.ClusterRole // its rules are those of a Role too
		if err := yaml.Unmarshal([]byte(document), &role); err != nil {
			w.Fatal(err)
		}
		if len(roles) > 0 && !slices.Contains(roles, role.Name) {
			continue
		}
		role.Name = user + "-" + role.Name
		switch role.Kind {
		case "ClusterRole":
			w.create(&role)
			w.create(&rbacv1.ClusterRoleBinding{
				ObjectMeta: metav1.ObjectMeta{Name: role.Name}, Subjects: subjects,
				RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
			})
		case "Role":
			w.create(&rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: w.operator, Name: role.Name}, Rules: role.Rules})
			w.bind(user, role.Name)
		}
	}
}

// bind gives a user the rights of a Role in this world's operator namespace.
func (w *world) bind(user, role string) {
	w.Helper()
	w.create(&rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.operator, Name: user + "-" + role},
		Subjects:   []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: user}},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role},
	})
}
