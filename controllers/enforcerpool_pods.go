package controllers

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// maxTrouble bounds what is told of one pod, in bytes.
const maxTrouble = 300

// troubles says of each pod of a pool that is not ready why, in the order of names.
func (r *poolReconciler) troubles(ctx context.Context, pool *v1alpha1.EnforcerPool) (all []string, err error) {
	if !pool.BuiltByOperator() {
		return nil, nil
	}
	var pods corev1.PodList
	err = r.client.List(ctx, &pods, client.InNamespace(pool.Namespace), client.MatchingLabels{v1alpha1.LabelPool: pool.Name}, client.UnsafeDisableDeepCopy)
	for i := range pods.Items {
		if text := trouble(&pods.Items[i]); text != "" {
			all = append(all, shorten(text, maxTrouble))
		}
	}
	slices.Sort(all)
	return all, err
}

// trouble says why a pod is not ready, or "". Pods that end, or have ended, are
// nobody's trouble: others take their place.
func trouble(p *corev1.Pod) string {
	ended := p.Status.Phase == corev1.PodFailed || p.Status.Phase == corev1.PodSucceeded
	if ended || p.DeletionTimestamp != nil || podCondition(p, corev1.PodReady).Status == corev1.ConditionTrue {
		return ""
	}
	if c := podCondition(p, corev1.PodScheduled); c.Status != corev1.ConditionTrue {
		return fmt.Sprintf("%s: %s: %s", p.Name, cmp.Or(c.Reason, "Pending"), cmp.Or(c.Message, "it has no node yet"))
	}
	for _, c := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		if text := containerTrouble(&c); text != "" {
			return p.Name + ": " + text
		}
	}
	return fmt.Sprintf("%s: not ready yet, on node %s", p.Name, p.Spec.NodeName)
}

// containerTrouble says what keeps a container from being ready, or "": it is being
// started, or runs for the first time.
func containerTrouble(c *corev1.ContainerStatus) string {
	ended, w := cmp.Or(c.State.Terminated, c.LastTerminationState.Terminated), c.State.Waiting
	crashes := w != nil && w.Reason == "CrashLoopBackOff"
	switch {
	case c.Ready:
		return ""
	case w != nil && !crashes && !slices.Contains([]string{"", "ContainerCreating", "PodInitializing"}, w.Reason):
		return w.Reason + ": " + w.Message
	case ended == nil || ended.ExitCode == 0 && !crashes:
		return ""
	}
	text := fmt.Sprintf("container %s ended with exit code %d (%s)", c.Name, ended.ExitCode, ended.Reason)
	if said := lastWords(ended.Message); said != "" {
		text += ": " + said
	}
	if crashes {
		text = w.Reason + ": " + text
	}
	return text
}

// lastWords returns the last two lines of what a program said: the second may be
// but a hint.
func lastWords(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(len(lines)-2, 0):], " ")
}

// podCondition returns a condition of a pod, an empty one when it has none.
func podCondition(p *corev1.Pod, kind corev1.PodConditionType) corev1.PodCondition {
	for _, c := range p.Status.Conditions {
		if c.Type == kind {
			return c
		}
	}
	return corev1.PodCondition{}
}

// slimPod is what the cache keeps of a pod: what trouble reads.
func slimPod(o any) (any, error) {
	if p, ok := o.(*corev1.Pod); ok {
		p.ManagedFields, p.Annotations = nil, nil
		p.Spec = corev1.PodSpec{NodeName: p.Spec.NodeName}
	}
	return o, nil
}

// troubleChanges lets through pods that get into trouble or out of it.
var troubleChanges = predicate.Funcs{
	CreateFunc: func(e event.CreateEvent) bool { return trouble(e.Object.(*corev1.Pod)) != "" },
	UpdateFunc: func(e event.UpdateEvent) bool {
		return trouble(e.ObjectOld.(*corev1.Pod)) != trouble(e.ObjectNew.(*corev1.Pod))
	},
	DeleteFunc: func(e event.DeleteEvent) bool { return trouble(e.Object.(*corev1.Pod)) != "" },
}

// poolOfPod returns the pool that a pod belongs to.
func poolOfPod(_ context.Context, o client.Object) []reconcile.Request {
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetLabels()[v1alpha1.LabelPool]}}}
}
