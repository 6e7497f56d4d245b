// Package workload says which objects run the enforcers of a pool, and what is in
// them: a pure function of the EnforcerPool. It knows no API server.
//
// Each object holds what the operator means to own and nothing else: zero fields
// are somebody else's, or the API server's to default.
package workload

import (
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// The ports of an enforcer, by the names that its Services give them. Gossip has
// two: datagrams, and streams for what is too large for one.
const (
	portRLS       = "rls"
	portHTTP      = "http"
	portAdmin     = v1alpha1.AdminPort
	portAdminTLS  = v1alpha1.AdminTLSPort
	portGossip    = "gossip"
	portGossipTCP = "gossip-tcp"

	numberRLS    = 8081
	numberHTTP   = 8080
	numberAdmin  = 9090
	numberGossip = 7946

	numberAdminTLS = 9443 // of the Service; a pod has numberAdmin
)

// Labels that every pool has in common.
const (
	labelName      = "app.kubernetes.io/name"
	labelComponent = "app.kubernetes.io/component"
	labelManagedBy = "app.kubernetes.io/managed-by"
)

// Input is what the objects of a pool are a function of.
type Input struct {
	Pool *v1alpha1.EnforcerPool

	// Image is the enforcer's when the pool names none.
	Image string

	// New says that the pool has no Deployment yet: one that nobody wants a certain
	// size begins with some replicas, and keeps from then on what others give it.
	New bool
}

// Kinds returns an empty object of every kind that Objects may return.
func Kinds() []client.Object {
	return []client.Object{
		&corev1.ServiceAccount{}, &rbacv1.Role{}, &rbacv1.RoleBinding{},
		&corev1.Service{}, &networkingv1.NetworkPolicy{},
		&appsv1.Deployment{}, &policyv1.PodDisruptionBudget{}, &autoscalingv2.HorizontalPodAutoscaler{},
	}
}

// Objects returns what a pool asks for, in an order in which nothing waits for
// what comes after it, and what it does not ask for any more: everything, when
// somebody else runs its enforcers.
func Objects(in Input) (wanted, obsolete []client.Object) {
	always := []client.Object{
		in.serviceAccount(), in.role(), in.roleBinding(),
		in.membersService(), in.frontService(), in.networkPolicy(),
		in.deployment(), in.disruptionBudget(),
	}
	all := append(always, in.autoscaler())
	switch {
	case !in.Pool.BuiltByOperator():
		return nil, all
	case in.Pool.Spec.Autoscaling == nil:
		return always, all[len(always):]
	default:
		return all, nil
	}
}

// Name is that of most objects of a pool; of the Deployment too.
func Name(pool *v1alpha1.EnforcerPool) string { return pool.Name + "-enforcers" }

// KeySecret is the name of the Secret with the gossip keys of a pool.
func KeySecret(pool *v1alpha1.EnforcerPool) string { return pool.Name + "-gossip-keys" }

// KeyFile is the key of that Secret, and the name of the file in a pod.
const KeyFile = "keys"

// Selector selects the pods of a pool.
func Selector(pool *v1alpha1.EnforcerPool) string {
	return labels.SelectorFromSet(podLabels(pool)).String()
}

// Meta is the metadata of an object of a pool.
func Meta(pool *v1alpha1.EnforcerPool, name string) metav1.ObjectMeta {
	all := podLabels(pool)
	all[labelManagedBy] = "sluice-manager"
	return metav1.ObjectMeta{Namespace: pool.Namespace, Name: name, Labels: all}
}

// podLabels select the pods of a pool. A Deployment's selector cannot change, so
// neither can these.
func podLabels(pool *v1alpha1.EnforcerPool) map[string]string {
	return map[string]string{labelName: "sluice", labelComponent: "enforcer", v1alpha1.LabelPool: pool.Name}
}

// managerLabels select the pods of the manager, which is in the namespace of its
// pools: config/manager has them.
func managerLabels() map[string]string {
	return map[string]string{labelName: "sluice", labelComponent: "manager"}
}

func (in Input) meta() metav1.ObjectMeta { return Meta(in.Pool, Name(in.Pool)) }

func (in Input) podSelector() *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: podLabels(in.Pool)}
}
