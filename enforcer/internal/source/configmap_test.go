package source_test

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/sluice-dev/sluice/enforcer/configmap"
	"github.com/sluice-dev/sluice/enforcer/internal/source"
	"github.com/sluice-dev/sluice/enforcer/policy"
)

const namespace = "sluice-system"

// document holds one policy; names of random bytes make it large.
func document(requests int64, policies int) *policy.Document {
	random := rand.New(rand.NewPCG(1, 1))
	d := &policy.Document{Version: policy.Version, Pool: "default"}
	for range policies {
		d.Policies = append(d.Policies, policy.Policy{
			Namespace: "shop", Name: fmt.Sprintf("web-%x-%x-%x", random.Uint64(), random.Uint64(), random.Uint64()), Generation: 1, Domain: "d",
			Limits: []policy.Limit{{Name: "all", Algorithm: policy.TokenBucket, Rate: policy.Rate{Requests: requests, Per: "1s"}}},
		})
	}
	return policy.New(d.Pool, d.Policies)
}

// publish writes a document as the manager does, chunks first, and returns the
// index and the number of chunks.
func publish(t *testing.T, client kubernetes.Interface, d *policy.Document) (corev1.ConfigMap, int) {
	t.Helper()
	encoded, err := policy.Encode(d)
	if err != nil {
		t.Fatal(err)
	}
	index, chunks, err := configmap.Layout("default", namespace, encoded, d.Digest())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range append(chunks, index) {
		apply(t, client, &c)
	}
	return index, len(chunks)
}

func apply(t *testing.T, client kubernetes.Interface, c *corev1.ConfigMap) {
	t.Helper()
	_, err := client.CoreV1().ConfigMaps(namespace).Create(t.Context(), c, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		_, err = client.CoreV1().ConfigMaps(namespace).Update(t.Context(), c, metav1.UpdateOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestTheDocumentOfConfigMapsIsFollowed(t *testing.T) {
	client := fake.NewClientset()
	updates, done := make(chan source.Update, 100), make(chan struct{})
	go func() {
		defer close(done)
		source.NewConfigMaps(client, namespace, "default", slog.New(slog.DiscardHandler)).Run(t.Context(), func(u source.Update) { updates <- u })
	}()
	t.Cleanup(func() { <-done })
	want := func(step string, d *policy.Document, message string) {
		t.Helper()
		u := <-updates
		switch {
		case d != nil && (u.Document == nil || u.Document.Digest() != d.Digest()):
			t.Errorf("%s: %+v, want the document %s", step, u, d.Digest())
		case d == nil && (u.Err == nil || !strings.Contains(u.Err.Error(), message)):
			t.Errorf("%s: %+v, want an error with %q", step, u, message)
		}
	}

	small, large := document(1, 1), document(2, 30_000)
	index, _ := publish(t, client, small)
	want("a small document", small, "")
	if _, chunks := publish(t, client, large); chunks < 2 {
		t.Fatalf("the large document has %d chunks, want several", chunks)
	}
	want("a large document", large, "")

	broken := index.DeepCopy()
	broken.BinaryData = map[string][]byte{"document": []byte("garbage")}
	apply(t, client, broken)
	want("an index that does not fit", nil, "does not have the hash")
	publish(t, client, large)
	want("the large document again", large, "")

	future := document(1, 1)
	future.Version = policy.Version + 1
	publish(t, client, future)
	want("a document of a later version", nil, "upgrade the enforcers")

	if err := client.CoreV1().ConfigMaps(namespace).Delete(t.Context(), index.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	want("no index any more", nil, "its last document stays in force")

	other := index.DeepCopy()
	other.Labels = map[string]string{"sluice.dev/pool": "other"}
	apply(t, client, other)
	publish(t, client, small)
	want("back again", small, "")
	if len(updates) > 0 {
		t.Errorf("one more update: %+v", <-updates)
	}
}
