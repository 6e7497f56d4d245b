package source

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/sluice-dev/sluice/enforcer/configmap"
	"github.com/sluice-dev/sluice/enforcer/policy"
)

// ConfigMaps watches the document of one pool in the API server. Make one with
// NewConfigMaps.
type ConfigMaps struct {
	client          kubernetes.Interface
	namespace, pool string
	log             *slog.Logger

	digest string // of the last document that was handed on
	failed string // the last error that was handed on
	seen   bool   // an index was there
}

// NewConfigMaps returns a source of the document of a pool, which lies in the
// given namespace.
func NewConfigMaps(client kubernetes.Interface, namespace, pool string, log *slog.Logger) *ConfigMaps {
	return &ConfigMaps{client: client, namespace: namespace, pool: pool, log: log}
}

// Run calls update, never concurrently, until ctx ends. While the API server is
// away nothing changes, and the watch is taken up again within seconds after it
// is back.
func (c *ConfigMaps) Run(ctx context.Context, update func(Update)) {
	store := &notifyingStore{Store: cache.NewStore(cache.MetaNamespaceKeyFunc), changed: make(chan struct{}, 1)}
	reflector := cache.NewReflectorWithOptions(c.listWatch(), &corev1.ConfigMap{}, store, cache.ReflectorOptions{
		Name:    "document of " + c.namespace + "/" + c.pool,
		Backoff: &wait.Backoff{Duration: 200 * time.Millisecond, Factor: 2, Steps: 5, Cap: 4 * time.Second, Jitter: 0.5},
	})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		reflector.RunWithContext(ctx)
	}()
	defer func() { <-stopped }()
	for {
		select {
		case <-ctx.Done():
			return
		case <-store.changed:
			c.look(store, update)
		}
	}
}

func (c *ConfigMaps) listWatch() cache.ListerWatcher {
	selector := configmap.Selector(c.pool).String()
	configMaps := c.client.CoreV1().ConfigMaps(c.namespace)
	return cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.LabelSelector = selector
			return configMaps.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.LabelSelector = selector
			return configMaps.Watch(ctx, o)
		},
	}, c.client)
}

// look hands on what the store holds now, if that is news.
func (c *ConfigMaps) look(store cache.Store, update func(Update)) {
	var all []corev1.ConfigMap
	for _, o := range store.List() {
		if m, ok := o.(*corev1.ConfigMap); ok {
			all = append(all, *m)
		}
	}
	index, chunks := configmap.Find(c.pool, all)
	if index == nil && !c.seen {
		c.log.Info("the pool has no document yet; waiting for the manager to publish one", "namespace", c.namespace, "pool", c.pool)
		return
	}
	c.seen = true
	document, digest, err := c.document(index, chunks)
	switch {
	case err != nil && err.Error() != c.failed:
		c.failed, c.digest = err.Error(), ""
		update(Update{Err: err})
	case err == nil && digest != c.digest:
		c.failed, c.digest = "", digest
		update(Update{Document: document})
	}
}

// document reads the one that the index names; nil when the last one had the
// same digest.
func (c *ConfigMaps) document(index *corev1.ConfigMap, chunks []corev1.ConfigMap) (*policy.Document, string, error) {
	if index == nil {
		return nil, "", fmt.Errorf("configmap %s/%s is gone; its last document stays in force", c.namespace, configmap.IndexName(c.pool))
	}
	encoded, digest, err := configmap.Assemble(index, chunks)
	if err != nil {
		return nil, "", err
	}
	if digest == c.digest {
		return nil, digest, nil
	}
	document, err := policy.Decode(encoded)
	if err != nil {
		return nil, "", fmt.Errorf("configmap %s/%s: %w", c.namespace, index.Name, err)
	}
	return document, digest, nil
}

// notifyingStore is what the reflector fills. After every change there is a
// token in changed.
type notifyingStore struct {
	cache.Store
	changed chan struct{}
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
