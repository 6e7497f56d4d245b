package controllers

import (
	"context"
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// trigger is a source of reconcile requests that the other parts of the manager
// pull. Pulling before the controller started does nothing: it reconciles
// everything when it starts. Safe for concurrent use, never blocks.
type trigger struct {
	mu    sync.Mutex
	queue workqueue.TypedRateLimitingInterface[reconcile.Request]
}

// Start implements source.Source; the controller calls it.
func (t *trigger) Start(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.queue = queue
	return nil
}

func (t *trigger) pull(names ...types.NamespacedName) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.queue == nil {
		return
	}
	for _, name := range names {
		t.queue.Add(reconcile.Request{NamespacedName: name})
	}
}
