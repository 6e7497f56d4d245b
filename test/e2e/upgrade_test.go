//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/enforcer/report"
)

// upgrade removes Sluice, installs the release before this one, and goes from there to
// this one and back. A manager works with enforcers of the release before its own and of
// the one after it, and these with each other.
func (c *cluster) upgrade(t *testing.T, r *results, current release) {
	folder := os.Getenv("PREVIOUS")
	if folder == "" {
		t.Fatal("PREVIOUS names no folder with an earlier release: `make e2e` has hack/previous.sh make one")
	}
	previous, ctx := releaseOf(t, folder), t.Context()
	c.uninstall(t, current)
	if err := errors.Join(previous.load(ctx), previous.apply(ctx), c.awaitSettled(ctx, poolSize)); err != nil {
		t.Fatal(err)
	}
	if err := kubectl(ctx, "apply", "--server-side", "-f", filepath.Join(folder, "samples.yaml")); err != nil {
		t.Fatal(err)
	}
	c.applyLimits(t)
	before, err := policies(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name               string
		manager, enforcers release
		image              string // of the pool, which holds its enforcers back; empty: the manager's choice
	}{
		{"upgrade", current, current, ""},
		{"only the manager goes back", previous, current, current.enforcer},
		{"the enforcers go back, too", previous, previous, ""},
		{"upgrade of the manager only", current, previous, previous.enforcer},
	} {
		s := scenario{step.name, planned, func(ctx context.Context, c *cluster) error {
			if err := errors.Join(c.holdBack(ctx, step.image), step.manager.apply(ctx)); err != nil {
				return err
			}
			return errors.Join(c.awaitImages(ctx, step.manager.manager, step.enforcers.enforcer), c.awaitInForce(ctx, len(before)))
		}}
		t.Run(s.name, func(t *testing.T) { c.run(t, &s, r) })
	}
	t.Run("kubectl sluice asks old enforcers", func(t *testing.T) { ask(t, "") })
}

// holdBack gives the pool an image of its own, or with "" that of its manager again.
func (c *cluster) holdBack(ctx context.Context, image string) error {
	value := "null"
	if image != "" {
		value = strconv.Quote(image)
	}
	return kubectl(ctx, "patch", "epool", v1alpha1.DefaultPool, "-n", system, "--type=merge", "-p", `{"spec": {"image": `+value+`}}`)
}

// uninstall takes away all that a release brought. Policies go with their definition,
// and nothing waits for a manager that is gone.
func (c *cluster) uninstall(t *testing.T, what release) {
	began := time.Now()
	if err := kubectl(t.Context(), "delete", "--timeout=90s", "-f", filepath.Join(what.folder, "install.yaml")); err != nil {
		t.Fatal(err)
	}
	t.Logf("uninstalled in %.1f s", time.Since(began).Seconds())
}

// awaitImages waits until manager and enforcers run these images, and no others.
func (c *cluster) awaitImages(ctx context.Context, managers, enforcers string) error {
	_, err := eventually(ctx, "manager "+managers+" and enforcers "+enforcers, func() error {
		for labels, image := range map[string]string{manager: managers, pool: enforcers} {
			pods, err := c.pods(ctx, labels)
			if err != nil {
				return err
			}
			if i := slices.IndexFunc(pods, func(p corev1.Pod) bool { return p.Spec.Containers[0].Image != image }); i >= 0 {
				return fmt.Errorf("%s runs %s", pods[i].Name, pods[i].Spec.Containers[0].Image)
			}
		}
		return c.settled(ctx, poolSize)
	})
	return err
}

// policies are those of the whole cluster.
func policies(ctx context.Context) ([]v1alpha1.RateLimitPolicy, error) {
	text, err := command(ctx, "", "kubectl", "get", "rlp", "-A", "-o", "json")
	if err != nil {
		return nil, err
	}
	var list v1alpha1.RateLimitPolicyList
	return list.Items, json.Unmarshal([]byte(text), &list)
}

// awaitInForce changes a policy and waits until all of them, as many as there were, are
// Ready as they are now, and every enforcer says so itself.
func (c *cluster) awaitInForce(ctx context.Context, n int) error {
	burst := strconv.Itoa(10 + int(time.Now().Unix()%1000))
	change := `[{"op": "replace", "path": "/spec/limits/0/burst", "value": ` + burst + `}]`
	if err := kubectl(ctx, "patch", "rlp", "storefront", "-n", "shop", "--type=json", "-p", change); err != nil {
		return err
	}
	_, err := eventually(ctx, "every policy in force", func() error {
		all, err := policies(ctx)
		if err != nil {
			return err
		}
		if len(all) != n {
			return fmt.Errorf("there are %d policies, and were %d", len(all), n)
		}
		return c.inForce(ctx, all)
	})
	return err
}

func (c *cluster) inForce(ctx context.Context, all []v1alpha1.RateLimitPolicy) error {
	enforcers, err := c.pods(ctx, pool)
	if err != nil {
		return err
	}
	for i := range enforcers {
		state, err := stateOf(ctx, &enforcers[i])
		if err != nil {
			return err
		}
		for j := range all {
			p := &all[j]
			if !slices.ContainsFunc(p.Status.Conditions, func(c metav1.Condition) bool {
				return c.Type == v1alpha1.ConditionReady && c.Status == metav1.ConditionTrue && c.ObservedGeneration == p.Generation
			}) {
				return fmt.Errorf("%s is not Ready: %v", p.Name, p.Status.Conditions)
			}
			if !slices.ContainsFunc(state.Policies, func(r report.Policy) bool {
				return r.Namespace == p.Namespace && r.Name == p.Name && r.Generation == p.Generation
			}) {
				return fmt.Errorf("%s does not run %s as it is", state.Node, p.Name)
			}
		}
	}
	return nil
}
