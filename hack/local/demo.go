package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// The load of the demo: one client at five times its limit, spread unevenly.
const (
	demoRate   = 100 // per second; also the burst
	demoLength = 10 * time.Second
	demoOffer  = 5 * demoRate

	demoChanges = 5 // of the rate, before
)

var demoShare = []int{70, 20, 10}

// demo walks the path that a user walks, and checks every figure on it.
func demo(s *stage) error {
	w, err := s.startWhole()
	if err != nil {
		return err
	}
	var wrong []error
	for _, step := range []func(*stage, *whole) error{demoChange, demoAccuracy, demoRefusals, demoManagerDown, demoEnforcerDown, demoAPIServerDown} {
		if err := step(s, w); err != nil {
			s.say("WRONG: %v", err)
			wrong = append(wrong, err)
		}
	}
	return errors.Join(wrong...)
}

// demoChange changes the rate some times, the last time to demoRate, and times
// how long it takes to be enforced on all enforcers and acknowledged in the
// status. The usual case counts: this machine may be busy with something else.
func demoChange(s *stage, w *whole) error {
	text, err := os.ReadFile(sampleFile)
	if err != nil {
		return err
	}
	var enforced, acknowledged []time.Duration
	for i := range demoChanges {
		n := demoRate + demoChanges - 1 - i
		rate, burst := fmt.Sprintf("requests: %d", n), fmt.Sprintf("burst: %d", n)
		changed := strings.NewReplacer("requests: 10", rate, "burst: 10", burst).Replace(string(text))
		if out, err := w.cluster.run(changed, "apply", "-f", "-"); err != nil {
			return fmt.Errorf("change the rate: %w\n%s", err, out)
		}
		generation := int64(i + 2)
		first, err := s.awaitGeneration(w.pool, generation, 10*time.Second)
		if err != nil {
			return err
		}
		then, err := s.eventually("Programmed", 10*time.Second, func() error { return w.programmed(s, generation) })
		if err != nil {
			return err
		}
		enforced, acknowledged = append(enforced, first), append(acknowledged, first+then)
	}
	slices.Sort(enforced)
	slices.Sort(acknowledged)
	median, worst := demoChanges/2, demoChanges-1
	s.say("rate changed %d times with kubectl apply: on all enforcers %v after kubectl returned, in Programmed %v (median; worst %v)", demoChanges,
		enforced[median].Round(time.Millisecond), acknowledged[median].Round(time.Millisecond), acknowledged[worst].Round(time.Millisecond))
	if acknowledged[median] > time.Second {
		return fmt.Errorf("a change was in Programmed after %v, want a second at most", acknowledged[median])
	}
	return nil
}

// programmed is nil when the sample's status says that every enforcer runs the
// generation.
func (w *whole) programmed(s *stage, generation int64) error {
	policy, err := w.policy(s)
	if err != nil {
		return err
	}
	c := meta.FindStatusCondition(policy.Status.Conditions, v1alpha1.ConditionProgrammed)
	if c == nil || c.Status != metav1.ConditionTrue || c.ObservedGeneration != generation {
		return fmt.Errorf("condition Programmed is %+v", c)
	}
	return nil
}

func (w *whole) policy(s *stage) (*v1alpha1.RateLimitPolicy, error) {
	policy := &v1alpha1.RateLimitPolicy{}
	return policy, w.cluster.client.Get(s.ctx, types.NamespacedName{Namespace: sampleNamespace, Name: sampleName}, policy)
}

// demoAccuracy sends the load and prints the table.
func demoAccuracy(s *stage, w *whole) error {
	s.say("one client sends %d/s for %v against %d/s, %v %% to each enforcer", demoOffer, demoLength, demoRate, demoShare)
	load := traffic{domain: sampleDomain, apiKey: "demo-load", perSecond: demoOffer, length: demoLength, share: demoShare}
	tallies, err := load.send(s.ctx, w.pool)
	if err != nil {
		return err
	}
	policy, err := w.policy(s)
	if err != nil {
		return err
	}
	total, limit := sum(tallies), demoRate*int(demoLength.Seconds())+demoRate
	percent := 100 * float64(total.admitted) / float64(limit)

	status := "not Ready"
	if meta.IsStatusConditionTrue(policy.Status.Conditions, v1alpha1.ConditionReady) {
		status = "Ready"
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\nPOLICY\tENFORCER\tADMITTED\tLIMITED\tSTATUS")
	for i, e := range w.pool {
		fmt.Fprintf(table, "%s/%s\t%s\t%d\t%d\t%s\n", sampleNamespace, sampleName, e.name, tallies[i].admitted, tallies[i].limited, status)
	}
	fmt.Fprintf(table, "%s/%s\tall\t%d\t%d\t%.1f %% of %d\n\n", sampleNamespace, sampleName, total.admitted, total.limited, percent, limit)
	if err := table.Flush(); err != nil {
		return err
	}
	if percent < 95 || percent > 110 {
		return fmt.Errorf("admitted %.1f %% of the limit, want 95 to 110 %%", percent)
	}
	return nil
}

// demoRefusals makes the two mistakes that a policy author makes.
func demoRefusals(s *stage, w *whole) error {
	text, err := os.ReadFile(sampleFile)
	if err != nil {
		return err
	}
	out, err := w.cluster.run(strings.Replace(string(text), "requests: 10", "requests: -1", 1), "apply", "-f", "-")
	if err == nil {
		return errors.New("a rate of -1 was accepted")
	}
	s.say("kubectl refuses a rate of -1: %s", strings.TrimSpace(out))

	if out, err := w.cluster.run(strings.Replace(string(text), "request.headers", "request.hedaers", 1), "apply", "-f", "-"); err != nil {
		return fmt.Errorf("apply a misspelt expression: %w\n%s", err, out)
	}
	_, err = s.eventually("Accepted=False", 5*time.Second, func() error {
		policy, err := w.policy(s)
		if err != nil {
			return err
		}
		c := meta.FindStatusCondition(policy.Status.Conditions, v1alpha1.ConditionAccepted)
		if c == nil || c.Status != metav1.ConditionFalse {
			return fmt.Errorf("condition Accepted is %+v", c)
		}
		s.say("a misspelt expression is not accepted: %s", c.Message)
		return nil
	})
	if err != nil {
		return err
	}
	if _, err := s.awaitGeneration(w.pool, demoChanges+1, time.Second); err != nil {
		return fmt.Errorf("the last good version did not stay in force: %w", err)
	}
	if out, err := w.cluster.run("", "apply", "-f", sampleFile); err != nil {
		return fmt.Errorf("restore the sample: %w\n%s", err, out)
	}
	return w.awaitReady()
}

// demoManagerDown kills the manager: nothing on the request path may notice.
func demoManagerDown(s *stage, w *whole) error {
	w.manager.kill()
	if err := w.decides(s, "manager-down"); err != nil {
		return fmt.Errorf("with the manager killed: %w", err)
	}
	s.say("manager killed: decisions unchanged")
	return w.manager.restart()
}

// demoEnforcerDown kills one enforcer: the others go on, and it catches up.
func demoEnforcerDown(s *stage, w *whole) error {
	victim := w.pool[1]
	victim.kill()
	if err := victim.restart(); err != nil {
		return err
	}
	took, err := s.eventually(victim.name+" ready again", 10*time.Second, victim.ready)
	if err != nil {
		return err
	}
	if err := w.awaitReady(); err != nil {
		return err
	}
	if err := w.decides(s, "enforcer-down"); err != nil {
		return fmt.Errorf("after %s was killed: %w", victim.name, err)
	}
	s.say("%s killed and restarted: ready after %v, limits as before", victim.name, took.Round(time.Millisecond))
	return nil
}

// demoAPIServerDown stops the API server, and then restarts an enforcer, which
// has only its journal and its peers.
func demoAPIServerDown(s *stage, w *whole) error {
	if err := w.cluster.stopAPIServer(); err != nil {
		return err
	}
	if err := w.decides(s, "apiserver-down"); err != nil {
		return fmt.Errorf("with the API server stopped: %w", err)
	}
	last := w.pool[2]
	last.kill()
	if err := last.restart(); err != nil {
		return err
	}
	if _, err := s.eventually(last.name+" ready without the API server", 15*time.Second, last.ready); err != nil {
		return err
	}
	if err := w.decides(s, "from-journal"); err != nil {
		return fmt.Errorf("with the API server stopped and %s restarted: %w", last.name, err)
	}
	s.say("API server stopped: decisions unchanged; %s restarted from its journal", last.name)
	return nil
}

// decides checks that a new client gets its burst and no more, wherever it asks.
// The sample grants 10 a second; the requests go out at once, and gossip takes
// some milliseconds, so a few more than the burst may pass.
func (w *whole) decides(s *stage, apiKey string) error {
	const burst, slack = 10, 20
	client := &http.Client{Timeout: 2 * time.Second}
	admitted, limited := 0, 0
	for i := range 60 {
		code, err := w.pool[i%len(w.pool)].ask(s.ctx, client, sampleDomain, apiKey)
		switch {
		case err != nil:
			return err
		case code == http.StatusOK:
			admitted++
		case code == http.StatusTooManyRequests:
			limited++
		default:
			return fmt.Errorf("unexpected status %d", code)
		}
	}
	if admitted < burst || admitted > burst+slack || limited == 0 {
		return fmt.Errorf("of 60 requests %d were admitted and %d limited, want %d to %d admitted", admitted, limited, burst, burst+slack)
	}
	return nil
}
