package controllers

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/controllers/workload"
	"github.com/sluice-dev/sluice/enforcer/discovery"
)

const (
	// poolField indexes policies by the name of their pool.
	poolField = "spec.poolRef.name"

	// statusWriters is how many policies may have their status written at once.
	statusWriters = 8
)

// Options say how the manager works.
type Options struct {
	// Namespace is the operator's own: pools and their ConfigMaps lie there.
	Namespace string

	// Discover returns where the enforcers of a pool are found, given the name of
	// its Service in Namespace.
	Discover func(pool, service string) discovery.Source

	// Image is that of the enforcers of pools that name none.
	Image string

	// DefaultPool has the manager create the EnforcerPool "default" when it starts and
	// there is none.
	DefaultPool bool

	// HTTP asks the enforcers for their state; nil: a client that follows no
	// redirects and uses no proxy. Its Transport is an *http.Transport, or nil.
	HTTP *http.Client

	// Now reads the clock; nil: time.Now.
	Now func() time.Time

	// Metrics is where the metrics of pools are registered; nil: nowhere.
	Metrics prometheus.Registerer
}

// ManagerOptions returns what the reconcilers need of a manager: the types, and a
// cache that holds policies of all namespaces, but pools and what belongs to them
// of the operator's namespace only.
func ManagerOptions(namespace string) (ctrl.Options, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return ctrl.Options{}, err
	}
	ofAnyPool, err := labels.NewRequirement(v1alpha1.LabelPool, selection.Exists, nil)
	if err != nil {
		return ctrl.Options{}, err
	}
	own := map[string]cache.Config{namespace: {}}
	cached := map[client.Object]cache.ByObject{
		&v1alpha1.RateLimitPolicy{}: {Transform: slim},
		&v1alpha1.EnforcerPool{}:    {Namespaces: own},
		&corev1.Namespace{}:         {Transform: cache.TransformStripManagedFields()},
	}
	for _, o := range workload.Kinds() {
		cached[o] = cache.ByObject{Namespaces: own, Label: labels.NewSelector().Add(*ofAnyPool)}
	}
	// Others make those that spec.tls names, without a label.
	cached[&corev1.Secret{}] = cache.ByObject{Namespaces: own}
	cached[&corev1.ConfigMap{}] = cache.ByObject{Namespaces: own, Transform: slimConfigMap}
	cached[&corev1.Pod{}] = cache.ByObject{Namespaces: own, Label: labels.NewSelector().Add(*ofAnyPool), Transform: slimPod}
	return ctrl.Options{Scheme: scheme, Cache: cache.Options{ByObject: cached}}, nil
}

// Setup adds the reconcilers and the collector to a manager that was made with
// ManagerOptions.
func Setup(ctx context.Context, mgr ctrl.Manager, o Options) error {
	if o.Namespace == "" || o.Image == "" || o.Discover == nil {
		return errors.New("controllers: Options.Namespace, Image and Discover are needed")
	}
	if o.HTTP == nil {
		o.HTTP = newHTTPClient()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	err := mgr.GetFieldIndexer().IndexField(ctx, &v1alpha1.RateLimitPolicy{}, poolField, func(o client.Object) []string {
		return []string{o.(*v1alpha1.RateLimitPolicy).Pool()}
	})
	if err != nil {
		return err
	}
	board, policies, pools := newBoard(), &trigger{}, &trigger{}
	if o.Metrics != nil {
		if err := o.Metrics.Register(metrics{board}); err != nil {
			return err
		}
	}
	clients := newClients(o.HTTP)
	collector := &collector{
		namespace: o.Namespace,
		board:     board,
		discover:  o.Discover,
		ask:       clients.ask,
		now:       o.Now,
		policies:  policies,
		pools:     pools,
		log:       mgr.GetLogger().WithName("collector"),
		commands:  make(chan command),
	}
	recorder := &eventWriter{client: mgr.GetClient(), log: mgr.GetLogger().WithName("events")}
	pool := &poolReconciler{
		client:    mgr.GetClient(),
		statuses:  &statusWriter{client: mgr.GetClient()},
		publisher: &publisher{client: mgr.GetClient(), live: mgr.GetAPIReader()},
		applier:   &applier{client: mgr.GetClient(), live: mgr.GetAPIReader(), image: o.Image, random: rand.Reader},
		board:     board,
		collector: collector,
		clients:   clients,
		policies:  policies,
		events:    recorder,
		now:       o.Now,
		memory:    map[string]*poolMemory{},
	}
	policy := &policyReconciler{
		client:    mgr.GetClient(),
		statuses:  &statusWriter{client: mgr.GetClient()},
		namespace: o.Namespace,
		board:     board,
		events:    recorder,
		now:       o.Now,
		announced: map[types.NamespacedName]running{},
	}
	if o.DefaultPool {
		if err := mgr.Add(firstPool{mgr.GetClient(), o.Namespace}); err != nil {
			return err
		}
	}
	return errors.Join(mgr.Add(collector), pool.setup(mgr, o.Namespace, pools), policy.setup(mgr, policies))
}

// firstPool creates the pool "default". It does not come with the manifests: kubectl
// cannot apply a CRD and an object of its kind in one go.
type firstPool struct {
	client    client.Client
	namespace string
}

// Start implements manager.Runnable; the leader calls it.
func (p firstPool) Start(ctx context.Context) error {
	pool := &v1alpha1.EnforcerPool{ObjectMeta: metav1.ObjectMeta{Namespace: p.namespace, Name: v1alpha1.DefaultPool}}
	err := p.client.Create(ctx, pool, client.FieldOwner(fieldManager))
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create EnforcerPool %s: %w", pool.Name, err)
	}
	return nil
}

// specChanges lets through what changes what somebody wants: a new generation, or
// an object that took the place of one of the same name.
var specChanges = predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
	return e.ObjectOld.GetGeneration() != e.ObjectNew.GetGeneration() || e.ObjectOld.GetUID() != e.ObjectNew.GetUID()
}}

// notOnlyStatus lets through what is not a change of status alone, as far as that
// can be told: some kinds have no generation.
var notOnlyStatus = predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
	return e.ObjectNew.GetGeneration() == 0 || e.ObjectOld.GetGeneration() != e.ObjectNew.GetGeneration() ||
		!maps.Equal(e.ObjectOld.GetLabels(), e.ObjectNew.GetLabels())
}}

// setup has a pool reconciled when its spec changes, when one of its policies
// comes, changes or goes (also to another pool), when what belongs to it changes,
// when its enforcers or certificates do, when its pods get into trouble, and when the
// labels of namespaces change that it selects by.
func (r *poolReconciler) setup(mgr ctrl.Manager, namespace string, pools *trigger) error {
	toPool := func(_ context.Context, o client.Object) []reconcile.Request {
		name := o.(*v1alpha1.RateLimitPolicy).Pool()
		return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: namespace, Name: name}}}
	}
	pool := ctrl.NewControllerManagedBy(mgr).
		For(&v1alpha1.EnforcerPool{}, builder.WithPredicates(specChanges)).
		Owns(&corev1.ConfigMap{}).
		Owns(&corev1.Secret{}, builder.OnlyMetadata)
	for _, o := range workload.Kinds() {
		switch o.(type) {
		case *appsv1.Deployment:
			pool.Owns(o)
		case *autoscalingv2.HorizontalPodAutoscaler:
			pool.Owns(o, builder.WithPredicates(scalingChanges))
		default:
			pool.Owns(o, builder.OnlyMetadata, builder.WithPredicates(notOnlyStatus))
		}
	}
	return pool.
		Watches(&v1alpha1.RateLimitPolicy{}, handler.EnqueueRequestsFromMapFunc(toPool), builder.WithPredicates(specChanges)).
		WatchesMetadata(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(r.certifiedBy("Secret"))).
		Watches(&corev1.ConfigMap{}, handler.EnqueueRequestsFromMapFunc(r.certifiedBy("ConfigMap"))).
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(poolOfPod), builder.WithPredicates(troubleChanges)).
		WatchesMetadata(&corev1.Namespace{}, handler.EnqueueRequestsFromMapFunc(r.selecting), builder.WithPredicates(predicate.LabelChangedPredicate{})).
		WatchesRawSource(pools).
		WithOptions(controller.Options{MaxConcurrentReconciles: 2}).
		Complete(r)
}

// setup has a policy reconciled when its spec changes, when its pool appears or
// goes, and when the board has news of it.
func (r *policyReconciler) setup(mgr ctrl.Manager, policies *trigger) error {
	comesOrGoes := predicate.Funcs{
		UpdateFunc: func(event.UpdateEvent) bool { return false },
	}
	return ctrl.NewControllerManagedBy(mgr).
		For(&v1alpha1.RateLimitPolicy{}, builder.WithPredicates(specChanges)).
		Watches(&v1alpha1.EnforcerPool{}, handler.EnqueueRequestsFromMapFunc(r.toPolicies), builder.WithPredicates(comesOrGoes)).
		WatchesRawSource(policies).
		WithOptions(controller.Options{MaxConcurrentReconciles: statusWriters}).
		Complete(r)
}

// toPolicies returns the policies of a pool.
func (r *policyReconciler) toPolicies(ctx context.Context, pool client.Object) []reconcile.Request {
	var list v1alpha1.RateLimitPolicyList
	if err := r.client.List(ctx, &list, client.MatchingFields{poolField: pool.GetName()}, client.UnsafeDisableDeepCopy); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "Cannot list the policies of a pool", "pool", pool.GetName())
		return nil
	}
	requests := make([]reconcile.Request, len(list.Items))
	for i := range list.Items {
		requests[i].NamespacedName = client.ObjectKeyFromObject(&list.Items[i])
	}
	return requests
}
