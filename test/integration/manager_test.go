package integration

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/enforcer/report"
)

const (
	byKey   = "request.headers['x-api-key']"
	byTypo  = "request.path + typo"
	byPath  = "request.path"
	isTrue  = metav1.ConditionTrue
	isFalse = metav1.ConditionFalse
)

func TestAChangeIsAcknowledgedWithinASecond(t *testing.T) {
	w := newWorld(t, 3)
	p := w.policy(w.shop, "storefront", "", byKey)
	w.awaitReady(p)
	if p.Status.Domain != w.shop+".storefront" || p.Status.Enforcers.Summary != "3/3" {
		t.Errorf("domain %q, enforcers %s", p.Status.Domain, p.Status.Enforcers.Summary)
	}
	w.withinASecond("apply → Programmed", w.changing(p, 20), 100*w.writing())
}

func TestKubectlWaits(t *testing.T) {
	w := newWorld(t, 1)
	w.policy(w.shop, "storefront", "", byKey)
	user, err := controlPlane.AddUser(envtest.User{Name: "someone", Groups: []string{"system:masters"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	kubectl, err := user.Kubectl()
	if err != nil {
		t.Fatal(err)
	}
	_, stderr, err := kubectl.Run("wait", "--for=condition=Ready", "rlp/storefront", "-n", w.shop, "--timeout=20s")
	if err != nil {
		message, _ := io.ReadAll(stderr)
		t.Errorf("kubectl wait: %v: %s", err, message)
	}
}

func TestADomainBelongsToTheOldestNamespace(t *testing.T) {
	w := newWorld(t, 1)
	first := w.policy(w.shop, "storefront", "web", byKey)
	w.awaitReady(first)
	// The age of policies counts in seconds.
	w.eventually("a second passes", func() error {
		if time.Since(first.CreationTimestamp.Time) < time.Second {
			return errors.New("not yet")
		}
		return nil
	})
	rival := w.createNamespace("rival")
	second := w.policy(rival, "takeover", "web", byPath)
	w.awaitPolicy(second, v1alpha1.ConditionAccepted, isFalse, v1alpha1.ReasonDomainConflict)
	w.awaitPolicy(second, v1alpha1.ConditionAccepted, isFalse, fmt.Sprintf("%s/storefront", w.shop))
	w.awaitPolicy(second, v1alpha1.ConditionReady, isFalse, v1alpha1.ReasonDomainConflict)
	friend := w.policy(w.shop, "more", "web", byPath)
	w.awaitReady(friend)

	w.gone(first)
	w.gone(friend)
	w.awaitReady(second)
	if e := w.enforcers[0]; e.runs(client.ObjectKeyFromObject(first)) != nil || e.runs(client.ObjectKeyFromObject(second)) == nil {
		t.Error("the enforcer runs the deleted policy, or not the one that was let in")
	}
}

func TestAnInvalidExpressionKeepsTheLastGoodVersion(t *testing.T) {
	w := newWorld(t, 2)
	p := w.policy(w.shop, "storefront", "", byKey)
	w.awaitReady(p)
	w.change(p, func(s *v1alpha1.RateLimitPolicySpec) { s.Limits[0].Key[0] = byTypo })
	w.awaitPolicy(p, v1alpha1.ConditionAccepted, isFalse, v1alpha1.ReasonInvalid)
	w.awaitPolicy(p, v1alpha1.ConditionAccepted, isFalse, "spec.limits[0].key[0]: 1:16:")
	w.awaitPolicy(p, v1alpha1.ConditionProgrammed, isFalse, "the last good version stays in force: generation 1 runs on 2 of 2 enforcers")

	// A new manager knows the last good version from what is published.
	w.stop()
	w.startManager()
	other := w.policy(w.shop, "other", "", byKey)
	w.awaitReady(other)
	for _, e := range w.enforcers {
		running := e.runs(client.ObjectKeyFromObject(p))
		if running == nil || running.Generation != 1 || running.Limits[0].Key[0] != byKey {
			t.Errorf("%s runs %v, want generation 1", e.name, running)
		}
	}
	w.change(p, func(s *v1alpha1.RateLimitPolicySpec) { s.Limits[0].Key[0] = byPath })
	w.awaitReady(p)

	never := w.policy(w.shop, "never-good", "", byTypo)
	w.awaitPolicy(never, v1alpha1.ConditionProgrammed, isFalse, "no version of this policy is in force")
}

func TestAPolicyWaitsForItsPool(t *testing.T) {
	w := newEmptyWorld(t)
	w.enforcers = append(w.enforcers, startFake(w, "sluice-0"))
	w.startManager()
	p := w.policy(w.shop, "storefront", "", byKey)
	w.awaitPolicy(p, v1alpha1.ConditionAccepted, isFalse, v1alpha1.ReasonPoolNotFound)
	w.awaitPolicy(p, v1alpha1.ConditionAccepted, isFalse, "EnforcerPool default in namespace "+w.operator)

	pool := w.createPool("default")
	w.awaitReady(p)
	w.gone(pool)
	w.awaitPolicy(p, v1alpha1.ConditionAccepted, isFalse, v1alpha1.ReasonPoolNotFound)
	w.createPool("default")
	w.awaitReady(p)
}

func TestAPolicyMovesToAnotherPool(t *testing.T) {
	w := newWorld(t, 1)
	w.createPool("other") // found at the same address, whose enforcer follows "default"
	p := w.policy(w.shop, "storefront", "", byKey)
	w.awaitReady(p)
	w.change(p, func(s *v1alpha1.RateLimitPolicySpec) { s.PoolRef.Name = "other" })
	w.awaitPolicy(p, v1alpha1.ConditionProgrammed, isFalse, "does not run it yet")
	w.awaitPolicy(p, v1alpha1.ConditionAccepted, isTrue, "")
	w.eventually("the old pool drops it", func() error {
		if w.enforcers[0].runs(client.ObjectKeyFromObject(p)) != nil {
			return errors.New("still there")
		}
		return nil
	})
	w.change(p, func(s *v1alpha1.RateLimitPolicySpec) { s.PoolRef.Name = "default" })
	w.awaitReady(p)
}

func TestProgrammedTellsOfLaggardsAndTheDead(t *testing.T) {
	w := newWorld(t, 3)
	p := w.policy(w.shop, "storefront", "", byKey)
	w.awaitReady(p)

	w.enforcers[1].lag(true)
	w.change(p, func(s *v1alpha1.RateLimitPolicySpec) { s.Limits[0].Rate.Requests = 20 })
	w.awaitPolicy(p, v1alpha1.ConditionProgrammed, isFalse, "generation 2 runs on 2 of 3 enforcers; sluice-1 runs generation 1")
	w.never("Programmed=True while an enforcer lags", 500*time.Millisecond, func() bool {
		w.read(p)
		return p.Status.Enforcers.Summary != "2/3"
	})
	w.enforcers[1].lag(false)
	w.awaitReady(p)

	w.enforcers[2].kill()
	took := w.awaitPolicy(p, v1alpha1.ConditionProgrammed, isFalse, "sluice-2 does not answer: connection refused")
	t.Logf("killed → Programmed=False: %s", took) // controllers tests the time, on a clock of its own
	w.change(p, func(s *v1alpha1.RateLimitPolicySpec) { s.Limits[0].Rate.Requests = 30 })
	w.awaitPolicy(p, v1alpha1.ConditionProgrammed, isFalse, "generation 3 runs on 2 of 3 enforcers; sluice-2 does not answer")
	w.enforcers[2].restart()
	t.Logf("restarted → Programmed=True: %s", w.awaitReady(p))
}

func TestADeletedPolicyIsNoLongerEnforced(t *testing.T) {
	w := newWorld(t, 1)
	p := w.policy(w.shop, "storefront", "", byKey)
	w.awaitReady(p)
	w.gone(p)
	w.eventually("the enforcer drops it", func() error {
		if w.enforcers[0].runs(client.ObjectKeyFromObject(p)) != nil {
			return errors.New("still there")
		}
		return nil
	})
	// A policy of the same name begins again with generation 1, and is another one.
	w.enforcers[0].lag(true)
	again := w.policy(w.shop, "storefront", "", byPath)
	w.awaitPolicy(again, v1alpha1.ConditionProgrammed, isFalse, "sluice-0 does not run it yet")
	w.enforcers[0].lag(false)
	w.awaitReady(again)
}

func TestUsageIsShown(t *testing.T) {
	w := newWorld(t, 2)
	p := w.policy(w.shop, "storefront", "", byKey)
	w.awaitReady(p)
	if p.Status.AdmittedPerSecond == nil || *p.Status.AdmittedPerSecond != 0 {
		t.Errorf("before the first request %v is shown, want 0", p.Status.AdmittedPerSecond)
	}
	for _, e := range w.enforcers {
		e.use(report.Usage{ActiveKeys: 3, Admitted: 500, Limited: 5000})
	}
	w.eventually("usage is shown", func() error {
		w.read(p)
		l := p.Status.Limits[0]
		if l.ActiveKeys != 3 || *p.Status.AdmittedPerSecond < 100 || *p.Status.LimitedPerSecond < 10**p.Status.AdmittedPerSecond-10 {
			return fmt.Errorf("limits %v", p.Status.Limits)
		}
		return nil
	})
}

func TestAQuietManagerWritesNothing(t *testing.T) {
	w := newWorld(t, 2)
	p := w.policy(w.shop, "storefront", "", byKey)
	w.awaitReady(p)
	pool := &v1alpha1.EnforcerPool{ObjectMeta: metav1.ObjectMeta{Namespace: w.operator, Name: "default"}}
	w.eventually("the pool settles", func() error {
		w.read(pool)
		if pool.Status.Enforcers == nil || pool.Status.Enforcers.Summary != "2/2" {
			return fmt.Errorf("status %v", pool.Status)
		}
		return nil
	})
	index := w.index()
	versions := func() []string {
		w.read(p)
		w.read(pool)
		return []string{p.ResourceVersion, pool.ResourceVersion, w.index().ResourceVersion}
	}
	want := []string{p.ResourceVersion, pool.ResourceVersion, index.ResourceVersion}
	w.never("a write", 3*time.Second, func() bool { return !slices.Equal(versions(), want) })

	// Nor does a new one: everything is as it should be.
	w.stop()
	w.startManager()
	w.never("a write", 2*time.Second, func() bool { return !slices.Equal(versions(), want) })
}

// The manager's cache has less of a policy than there is.
func TestAStatusIsAllThatIsWritten(t *testing.T) {
	w := newWorld(t, 1)
	p := w.newPolicy(w.shop, "storefront", "", byKey)
	p.Annotations = map[string]string{corev1.LastAppliedConfigAnnotation: "{}"}
	w.create(p)
	want := p.DeepCopy()
	w.awaitReady(p)
	want.ResourceVersion, want.Status = p.ResourceVersion, p.Status
	p.ManagedFields = slices.DeleteFunc(p.ManagedFields, func(m metav1.ManagedFieldsEntry) bool { return m.Subresource == "status" })
	if diff := cmp.Diff(want, p); diff != "" {
		t.Errorf("the policy besides its status (-want +got):\n%s", diff)
	}
}

func TestEventsTellTheStory(t *testing.T) {
	w := newWorld(t, 1)
	p := w.policy(w.shop, "storefront", "", byKey)
	w.awaitReady(p)
	w.change(p, func(s *v1alpha1.RateLimitPolicySpec) { s.Limits[0].Key[0] = byTypo })
	w.awaitPolicy(p, v1alpha1.ConditionAccepted, isFalse, v1alpha1.ReasonInvalid)
	w.change(p, func(s *v1alpha1.RateLimitPolicySpec) { s.Limits[0].Key[0] = byPath })
	w.awaitReady(p)
	want := []string{
		"Normal Accepted",
		"Normal Programmed generation 1 runs on 1 of 1 enforcers",
		"Normal Programmed generation 3 runs on 1 of 1 enforcers",
		"Warning Invalid",
	}
	w.eventually("the events are there", func() error {
		var list eventsv1.EventList
		if err := w.client.List(w.Context(), &list, client.InNamespace(w.shop)); err != nil {
			return err
		}
		var got []string
		for _, e := range list.Items {
			got = append(got, fmt.Sprintf("%s %s %s", e.Type, e.Reason, e.Note))
		}
		slices.Sort(got)
		same := slices.EqualFunc(got, want, func(got, want string) bool { return strings.HasPrefix(got, want) })
		if !same {
			return fmt.Errorf("events %q, want %q", got, want)
		}
		return nil
	})
}
