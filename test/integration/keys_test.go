package integration

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/controllers"
	"github.com/sluice-dev/sluice/enforcer/gossipkey"
)

// keys returns the Secret with the gossip keys of the pool "default".
func (w *world) keys() *corev1.Secret {
	w.Helper()
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.operator, Name: "default-gossip-keys"}}
	w.read(s)
	return s
}

// keyring returns the fingerprints of the keys in it.
func (w *world) keyring() []string {
	w.Helper()
	keys, err := gossipkey.Parse(w.keys().Data["keys"])
	if err != nil {
		w.Fatal(err)
	}
	prints := make([]string, len(keys))
	for i, k := range keys {
		prints[i] = k.String()
	}
	return prints
}

// Each step of a rotation waits until every enforcer has taken the one before.
func TestTheGossipKeyRotates(t *testing.T) {
	w := newEmptyWorld(t)
	network := &podNetwork{fakes: map[string]string{}}
	w.startManagerInCluster(controllers.Options{HTTP: &http.Client{Transport: &http.Transport{DialContext: network.dial}}})
	pool := w.buildPool(v1alpha1.EnforcerPoolSpec{Replicas: new(int32(2)), GossipKeyRotation: "2026-01"})
	var pods []discoveryv1.Endpoint
	for i := range 2 {
		e := startFake(w, fmt.Sprintf("sluice-%d", i))
		e.takeKeys()
		w.enforcers = append(w.enforcers, e)
		pods = append(pods, network.pod(e, fmt.Sprintf("10.1.0.%d", i+1)))
	}
	w.create(endpointSlice(w.operator, pool.Service(), pods))
	w.deploymentHas(appsv1.DeploymentStatus{Replicas: 2, UpdatedReplicas: 2, ReadyReplicas: 2})
	w.awaitPool(pool, v1alpha1.ConditionReady, isTrue, "Ready: 2 of 2 enforcers run the published document")
	old := w.keyring()
	if len(old) != 1 || pool.Status.GossipKeyRotation != "2026-01" {
		t.Fatalf("keys %v for rotation %q, want one that was made for it", old, pool.Status.GossipKeyRotation)
	}

	w.editPool(pool, func(s *v1alpha1.EnforcerPoolSpec) { s.GossipKeyRotation = "2026-02" })
	var both []string
	w.eventually("a key is added", func() error { both = w.keyring(); return is(both, old[0], "") })
	w.enforcers[0].takeKeys()
	w.never("the new key seals before everybody has it", 300*time.Millisecond, func() bool { return !slices.Equal(w.keyring(), both) })
	w.enforcers[1].takeKeys()
	w.eventually("the new key seals", func() error { return is(w.keyring(), both[1], both[0]) })
	w.enforcers[1].takeKeys()
	w.never("the old key goes while somebody seals with it", 300*time.Millisecond, func() bool { return len(w.keyring()) != 2 })
	w.enforcers[0].takeKeys()
	w.eventually("the old key is gone", func() error { return is(w.keyring(), both[1]) })
	w.eventually("the status says so", func() error {
		if w.read(pool); pool.Status.GossipKeyRotation != "2026-02" {
			return fmt.Errorf("it says %q", pool.Status.GossipKeyRotation)
		}
		return nil
	})
}

// is compares fingerprints; "" stands for any.
func is(got []string, want ...string) error {
	same := slices.EqualFunc(got, want, func(got, want string) bool { return want == "" || got == want })
	if !same {
		return fmt.Errorf("keys %v, want %v", got, want)
	}
	return nil
}

func TestKeysOfSomebodyElseStay(t *testing.T) {
	w := newEmptyWorld(t)
	theirs := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.operator, Name: "default-gossip-keys"},
		Data:       map[string][]byte{"keys": []byte("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n")},
	}
	w.create(theirs)
	w.startManagerInCluster(controllers.Options{})
	pool := w.buildPool(v1alpha1.EnforcerPoolSpec{})
	w.editPool(pool, func(s *v1alpha1.EnforcerPoolSpec) { s.GossipKeyRotation = "2026-01" })
	w.awaitPool(pool, v1alpha1.ConditionProgressing, isFalse,
		"BuildFailed: rotate the keys in Secret default-gossip-keys: somebody else made it: rotate the keys where they come from, and leave spec.gossipKeyRotation out")
	if now := w.keys(); now.ResourceVersion != theirs.ResourceVersion {
		t.Error("the Secret was written")
	}
}
