package integration

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/enforcer/configmap"
)

// index returns the index ConfigMap of the pool "default".
func (w *world) index() *corev1.ConfigMap {
	w.Helper()
	index := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.operator, Name: configmap.IndexName("default")}}
	w.read(index)
	return index
}

func TestConfigMapsBelongToThePoolAndAreMended(t *testing.T) {
	w := newWorld(t, 1)
	p := w.policy(w.shop, "storefront", "", byKey)
	w.awaitReady(p)
	index := w.index()
	if len(index.OwnerReferences) != 1 || index.OwnerReferences[0].Name != "default" {
		t.Errorf("owners %v, want the pool", index.OwnerReferences)
	}
	want := string(index.BinaryData["document"])

	index.BinaryData["document"] = []byte("something else")
	if err := w.client.Update(w.Context(), index); err != nil {
		t.Fatal(err)
	}
	mended := func() error {
		index := &corev1.ConfigMap{}
		key := client.ObjectKey{Namespace: w.operator, Name: configmap.IndexName("default")}
		if err := w.client.Get(w.Context(), key, index); err != nil {
			return err
		}
		if string(index.BinaryData["document"]) != want {
			return errors.New("it holds something else")
		}
		return nil
	}
	w.eventually("the index is mended", mended)
	w.gone(index)
	w.eventually("the index is back", mended)
}

func TestALargeDocumentIsPublishedInChunks(t *testing.T) {
	w := newWorld(t, 1)
	random := rand.New(rand.NewPCG(1, 2))
	var large []*v1alpha1.RateLimitPolicy
	for i := range 15 {
		large = append(large, w.largePolicy(fmt.Sprint("large-", i), random))
	}
	for _, p := range large {
		w.awaitReady(p)
	}
	if chunks := w.chunks(); len(chunks) < 2 {
		t.Fatalf("%d chunks, want several", len(chunks))
	}
	w.change(large[0], func(s *v1alpha1.RateLimitPolicySpec) { s.Limits[0].Rate.Requests = 11 })
	w.awaitReady(large[0])
	w.eventually("chunks of older documents are deleted", func() error {
		names := map[string]bool{}
		for _, c := range w.chunks() {
			names[c.Name[:strings.LastIndex(c.Name, "-")]] = true
		}
		if len(names) != 1 {
			return fmt.Errorf("there are chunks of %d documents", len(names))
		}
		return nil
	})
	chunk := w.chunks()[0]
	w.gone(&chunk)
	w.eventually("a chunk that was deleted is back", func() error {
		return w.client.Get(w.Context(), client.ObjectKeyFromObject(&chunk), &corev1.ConfigMap{})
	})

	for _, p := range large {
		w.gone(p)
	}
	small := w.policy(w.shop, "small", "", byKey)
	w.awaitReady(small)
	w.eventually("no chunks are left", func() error {
		if n := len(w.chunks()); n > 0 {
			return fmt.Errorf("%d chunks", n)
		}
		return nil
	})
}

// chunks returns the ConfigMaps of the pool besides the index.
func (w *world) chunks() []corev1.ConfigMap {
	w.Helper()
	var list corev1.ConfigMapList
	err := w.client.List(w.Context(), &list, client.InNamespace(w.operator), client.MatchingLabelsSelector{Selector: configmap.Selector("default")})
	if err != nil && !apierrors.IsNotFound(err) {
		w.Fatal(err)
	}
	_, chunks := configmap.Find("default", list.Items)
	return chunks
}

// largePolicy makes a policy of more than 100 KiB that do not compress well.
func (w *world) largePolicy(name string, random *rand.Rand) *v1alpha1.RateLimitPolicy {
	w.Helper()
	p := &v1alpha1.RateLimitPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: w.shop, Name: name}}
	for i := range 3 {
		l := v1alpha1.Limit{
			Name: fmt.Sprint("limit-", i), Key: []v1alpha1.Expression{byKey},
			Rate: v1alpha1.Rate{Requests: 10, Per: "1s"},
		}
		for range 256 {
			key := ""
			for range 8 {
				key += fmt.Sprintf("%016x", random.Uint64())
			}
			l.Overrides = append(l.Overrides, v1alpha1.Override{Key: []v1alpha1.KeyPattern{v1alpha1.KeyPattern(key)}, Unlimited: true})
		}
		p.Spec.Limits = append(p.Spec.Limits, l)
	}
	w.create(p)
	return p
}
