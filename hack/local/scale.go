package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// What scale does, and the goals that it checks.
const (
	somePolicies = 1000   // present while changes are timed
	manyPolicies = 10_000 // that the manager's memory is measured with

	timedChanges = 100 // one after another, and then as many ten at once
	longestWait  = time.Second
	mostMemory   = 150e6 // bytes that are ever resident, the program itself too

	firstRate  = 100
	settleTime = 30 * time.Second
)

// scalePolicy is policy i with a rate.
const scalePolicy = `
apiVersion: sluice.dev/v1alpha1
kind: RateLimitPolicy
metadata: {name: policy-%05[1]d, namespace: ` + sampleNamespace + `}
spec:
  limits:
  - name: per-client
    key: ["request.headers['x-api-key']"]
    rate: {requests: %[2]d, per: 1s}
  - name: writes
    when: ["request.path.startsWith('/team-%[1]d/')", "request.method != 'GET'"]
    key: ["request.headers['x-api-key']"]
    rate: {requests: 10, per: 1m}
    overrides:
    - {key: [batch-%[1]d], rate: {requests: 100, per: 1m}}
`

// scaling is one run of scale.
type scaling struct {
	*stage
	*whole
	client *http.Client
	rates  [manyPolicies]int // as applied last; 0: not yet. By one goroutine each
	table  *tabwriter.Writer
	missed []error
}

// scale measures how long a change takes with many policies, and the memory of the
// manager.
func scale(s *stage) error {
	w, err := s.startWhole()
	if err != nil {
		return err
	}
	r := &scaling{stage: s, whole: w, client: &http.Client{Timeout: 2 * time.Second}, table: tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)}
	fmt.Fprintln(r.table, "\nWHAT\tMEASURED\tGOAL\t")
	for _, step := range []func() error{
		func() error { return r.grow(0, somePolicies) },
		func() error { return r.change(1) },
		func() error { return r.change(10) },
		func() error { return r.grow(somePolicies, manyPolicies) },
		func() error { return r.memory("while they came") },
		r.restart,
		func() error { return r.memory("that starts with them") },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return errors.Join(append(r.missed, r.table.Flush())...)
}

// figure adds a line to the table.
func (r *scaling) figure(what, measured, goal string, met bool) {
	verdict := "ok"
	if !met {
		verdict = "MISSED"
		r.missed = append(r.missed, fmt.Errorf("%s: %s, want %s", what, measured, goal))
	}
	r.say("%s: %s", what, measured)
	fmt.Fprintf(r.table, "%s\t%s\t%s\t%s\n", what, measured, goal, verdict)
}

// grow applies the policies from one number up to another, and returns when all
// are enforced.
func (r *scaling) grow(from, to int) error {
	const step = 1000
	began := time.Now()
	for ; from < to; from += step {
		var applying errgroup.Group
		applying.SetLimit(8)
		for i := from; i < from+step; i++ {
			applying.Go(func() error { return r.apply(i) })
		}
		if err := applying.Wait(); err != nil {
			return err
		}
		r.say("%d policies applied", from+step)
	}
	applied := time.Now()
	for i := to - 8; i < to; i++ { // one of them was the last
		if err := r.awaitEnforced(i); err != nil {
			return err
		}
	}
	r.say("enforced %v later; applying took %v", time.Since(applied).Round(time.Millisecond), applied.Sub(began).Round(time.Millisecond))
	return nil
}

// apply applies a policy with a rate that it did not have before.
func (r *scaling) apply(i int) error {
	r.rates[i] = max(firstRate, r.rates[i]+1)
	policy := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(fmt.Appendf(nil, scalePolicy, i, r.rates[i]), &policy.Object); err != nil {
		return err
	}
	err := r.cluster.client.Apply(r.ctx, client.ApplyConfigurationFromUnstructured(policy), client.FieldOwner("scale"))
	if err != nil {
		return fmt.Errorf("apply %s: %w", policy.GetName(), err)
	}
	return nil
}

// awaitEnforced returns when every enforcer answers by the rate of a policy.
func (r *scaling) awaitEnforced(i int) error {
	want := strconv.Itoa(r.rates[i])
	for _, e := range r.pool {
		_, err := r.eventually(fmt.Sprintf("policy %d enforced by %s", i, e.name), time.Minute, func() error {
			got, err := e.limitOf(r.ctx, r.client, fmt.Sprintf("%s.policy-%05d", sampleNamespace, i))
			if err == nil && got != want {
				err = fmt.Errorf("its limit is %q, want %s", got, want)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// change changes some policies, so many at once, and checks how long each takes
// from the call that applies it until every enforcer answers by it.
func (r *scaling) change(atOnce int) error {
	took := make([]time.Duration, timedChanges)
	for first := 0; first < timedChanges; first += atOnce {
		var changing errgroup.Group
		for n := first; n < first+atOnce; n++ {
			i := n * somePolicies / timedChanges
			changing.Go(func() error {
				began := time.Now()
				if err := r.apply(i); err != nil {
					return err
				}
				err := r.awaitEnforced(i)
				took[n] = time.Since(began)
				return err
			})
		}
		if err := changing.Wait(); err != nil {
			return err
		}
	}
	slices.Sort(took)
	p99 := took[len(took)*99/100-1]
	r.figure(fmt.Sprintf("apply → enforced on %d enforcers, %d policies, %d changed at once", len(r.pool), somePolicies, atOnce),
		fmt.Sprintf("p99 %d ms, median %d ms", p99.Milliseconds(), took[len(took)/2].Milliseconds()),
		fmt.Sprintf("p99 < %v", longestWait), p99 < longestWait)
	return nil
}

// restart replaces the manager, and returns when the new one has published a change.
func (r *scaling) restart() error {
	r.manager.kill()
	if err := r.manager.restart(); err != nil {
		return err
	}
	if err := r.apply(0); err != nil {
		return err
	}
	return r.awaitEnforced(0)
}

// memory checks how much of the manager was resident at most, and tells how much is
// when all is quiet.
func (r *scaling) memory(of string) error {
	if err := sleepUntil(r.ctx, time.Now().Add(settleTime)); err != nil {
		return err
	}
	now, most, err := r.manager.memory()
	if err != nil {
		return err
	}
	r.figure(fmt.Sprintf("memory of a manager with %d policies, %s", manyPolicies, of),
		fmt.Sprintf("%.0f MB, at most %.0f MB", now/1e6, most/1e6), fmt.Sprintf("< %.0f MB", mostMemory/1e6), most < mostMemory)
	return nil
}

// limitOf returns how many requests an enforcer says that a domain grants.
func (e *enforcer) limitOf(ctx context.Context, client *http.Client, domain string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+e.http+"/v1/auth/"+domain, nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	return resp.Header.Get("X-RateLimit-Limit"), resp.Body.Close()
}

// memory returns the bytes of a program that are resident, and the most that were.
func (p *process) memory() (now, most float64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, 0, fmt.Errorf("the memory of %s is read from Linux's /proc: %w", p.name, err)
	}
	if _, err := fmt.Sscanf(lineOf(string(text), "VmRSS:"), "%f", &now); err != nil {
		return 0, 0, err
	}
	_, err = fmt.Sscanf(lineOf(string(text), "VmHWM:"), "%f", &most)
	return now * 1024, most * 1024, err
}

// lineOf returns what follows a name in a text of names and values, one a line.
func lineOf(text, name string) string {
	_, after, _ := strings.Cut(text, name)
	line, _, _ := strings.Cut(after, "\n")
	return strings.TrimSpace(line)
}
