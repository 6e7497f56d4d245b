//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// away is how long what was stopped stays away: longer than enforcers remember what
// those whom they cannot reach said last.
const away = 12 * time.Second

// killEnforcer kills the program of an enforcer; its kubelet starts it again.
func killEnforcer(ctx context.Context, c *cluster) error {
	pods, err := c.pods(ctx, pool)
	if err != nil {
		return err
	}
	if err := killProcess(&pods[0], "enforcer"); err != nil {
		return err
	}
	// Its endpoint may be unready for so short a time that nobody sees it.
	if _, err := eventually(ctx, "its kubelet starts it again", func() error {
		now, err := c.CoreV1().Pods(system).Get(ctx, pods[0].Name, metav1.GetOptions{})
		if err == nil && restarts(now) == restarts(&pods[0]) {
			err = errors.New(now.Name + " has not ended")
		}
		return err
	}); err != nil {
		return err
	}
	return c.awaitSettled(ctx, poolSize)
}

// restarts is how often the program of a pod has been started again.
func restarts(pod *corev1.Pod) (n int32) {
	for i := range pod.Status.ContainerStatuses {
		n += pod.Status.ContainerStatuses[i].RestartCount
	}
	return n
}

// awaitReady waits until so many enforcers are ready, as the load knows it.
func (c *cluster) awaitReady(ctx context.Context, n int) error {
	_, err := eventually(ctx, fmt.Sprintf("%d enforcers ready", n), func() error {
		if got := c.ready.count(); got != n {
			return fmt.Errorf("%d are ready", got)
		}
		return nil
	})
	return err
}

// rollingRestart replaces every pod of the pool, as a new image would.
func rollingRestart(ctx context.Context, c *cluster) error {
	before, err := c.pods(ctx, pool)
	if err != nil {
		return err
	}
	old := map[types.UID]bool{}
	for i := range before {
		old[before[i].UID] = true
	}
	if err := kubectl(ctx, "rollout", "restart", "deployment", "-n", system, "-l", pool); err != nil {
		return err
	}
	_, err = eventually(ctx, "every pod is a new one", func() error {
		pods, err := c.pods(ctx, pool)
		if err != nil {
			return err
		}
		for i := range pods {
			if old[pods[i].UID] {
				return errors.New(pods[i].Name + " is still there")
			}
		}
		return c.settled(ctx, poolSize)
	})
	return err
}

// scaleUpAndDown leaves as many enforcers as there were.
func scaleUpAndDown(ctx context.Context, c *cluster) error {
	for _, n := range []int{6, 2, poolSize} {
		if err := kubectl(ctx, "scale", "deployment", "-n", system, "-l", pool, "--replicas", strconv.Itoa(n)); err != nil {
			return err
		}
		if err := c.awaitSettled(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// splitNetwork parts the enforcer of one node from all others. Load, probes and the
// API server reach it as before.
func splitNetwork(ctx context.Context, c *cluster) error {
	pods, err := c.pods(ctx, pool)
	if err != nil {
		return err
	}
	lone := pods[0].Spec.NodeName
	each := func(what string) (err error) {
		for i := range pods[1:] {
			err = errors.Join(err, nodes(ctx, what, lone, pods[1+i].Spec.NodeName))
		}
		return err
	}
	if err := each("cut"); err != nil {
		return err
	}
	return errors.Join(wait(ctx, away), each("heal"))
}

// stopAPIServer kills the API server and starts it again.
func stopAPIServer(ctx context.Context, _ *cluster) error {
	if err := nodes(ctx, "kill", "kube-apiserver"); err != nil {
		return err
	}
	if err := errors.Join(wait(ctx, away), nodes(ctx, "start", "kube-apiserver")); err != nil {
		return err
	}
	_, err := eventually(ctx, "the API server answers", func() error { return kubectl(ctx, "get", "--raw=/readyz") })
	return err
}

// stopManager takes the manager away for a while.
func stopManager(ctx context.Context, c *cluster) error {
	scale := func(n string) error {
		return kubectl(ctx, "scale", "deployment", "-n", system, "-l", manager, "--replicas", n)
	}
	if err := scale("0"); err != nil {
		return err
	}
	_, err := eventually(ctx, "no manager", func() error {
		pods, err := c.pods(ctx, manager)
		if err == nil && len(pods) > 0 {
			err = errors.New(pods[0].Name + " is still there")
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := errors.Join(wait(ctx, away), scale("1")); err != nil {
		return err
	}
	return kubectl(ctx, "rollout", "status", "deployment", "-n", system, "-l", manager, "--timeout=90s")
}

// loseNode kills a node with an enforcer on it, and without the manager, and brings
// it back once another node has taken over.
func loseNode(ctx context.Context, c *cluster) error {
	enforcers, err := c.pods(ctx, pool)
	if err != nil {
		return err
	}
	managers, err := c.pods(ctx, manager)
	if err != nil {
		return err
	}
	lost := slices.IndexFunc(enforcers, func(p corev1.Pod) bool { return p.Spec.NodeName != managers[0].Spec.NodeName })
	if lost < 0 {
		return errors.New("every enforcer is on the node of the manager")
	}
	node := enforcers[lost].Spec.NodeName
	if err := nodes(ctx, "kill", node); err != nil {
		return err
	}
	if _, err := eventually(ctx, "another node took over", func() error {
		if pods, err := c.pods(ctx, pool); err != nil || slices.ContainsFunc(pods, func(p corev1.Pod) bool { return p.UID == enforcers[lost].UID }) {
			return errors.Join(err, errors.New("the pod of the dead node is still counted"))
		}
		return c.settled(ctx, poolSize)
	}); err != nil {
		return errors.Join(err, nodes(ctx, "start", node))
	}
	if err := nodes(ctx, "start", node); err != nil {
		return err
	}
	return kubectl(ctx, "wait", "--for=condition=Ready", "node/"+node, "--timeout=90s")
}
