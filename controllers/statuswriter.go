package controllers

import (
	"context"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// lag is how long the cache is given to show what the API server already has, before
// a status is computed again.
const lag = 20 * time.Millisecond

// statusWriter writes the status of objects of one kind, and knows which of them the
// cache still shows as they were before. A status must not be compared with one of
// those: what was True, is False and becomes True again would look as if nothing had
// changed, and stay False. The zero value needs a client. It is safe for concurrent use.
type statusWriter struct {
	client client.StatusClient

	mu       sync.Mutex
	replaced map[client.ObjectKey]string // resourceVersions that the cache may still show
}

// behind says whether the cache shows an object as it was before its status was
// written: it is to be read again after lag.
func (w *statusWriter) behind(o client.Object) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	name := client.ObjectKeyFromObject(o)
	if version, ok := w.replaced[name]; ok && version == o.GetResourceVersion() {
		return true
	}
	delete(w.replaced, name)
	return false
}

// write updates the status of an object that was read from the cache. Of one that
// somebody has changed since, it says after what time to read it again; otherwise
// again is zero.
func (w *statusWriter) write(ctx context.Context, o client.Object) (again time.Duration, err error) {
	before := o.GetResourceVersion()
	if err := w.client.Status().Update(ctx, o); apierrors.IsConflict(err) {
		return lag, nil
	} else if err != nil {
		return 0, err
	}
	if o.GetResourceVersion() == before {
		return 0, nil // there was nothing to write: the cache is up to date
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.replaced == nil {
		w.replaced = map[client.ObjectKey]string{}
	}
	w.replaced[client.ObjectKeyFromObject(o)] = before
	return 0, nil
}

// forget drops what is known of an object that is gone.
func (w *statusWriter) forget(name client.ObjectKey) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.replaced, name)
}
