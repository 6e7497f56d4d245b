package controllers

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/event"
)

// pod returns one with a node whose container has these states now and before.
func pod(now, before corev1.ContainerState) *corev1.Pod {
	p := &corev1.Pod{Spec: corev1.PodSpec{NodeName: "n2"}, Status: corev1.PodStatus{
		Conditions: []corev1.PodCondition{
			{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}, {Type: corev1.PodReady, Status: corev1.ConditionFalse},
		},
		ContainerStatuses: []corev1.ContainerStatus{
			{Name: "sidecar", Ready: true, LastTerminationState: ended(1, "Error", "long ago")},
			{Name: "enforcer", State: now, LastTerminationState: before},
		},
	}}
	p.Name = "e-1"
	return p
}

func waits(reason, message string) corev1.ContainerState {
	return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
}

func ended(code int32, reason, message string) corev1.ContainerState {
	return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason, Message: message}}
}

func without(p *corev1.Pod, edit func(*corev1.Pod)) *corev1.Pod {
	edit(p)
	return p
}

func TestTrouble(t *testing.T) {
	var none corev1.ContainerState
	runs := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	refusal := "level=INFO msg=starting\nenforcer: unknown flag: --no-such\nenforcer --help lists the flags.\n"
	for name, tc := range map[string]struct {
		pod  *corev1.Pod
		want string
	}{
		"a pod that is ready":             {without(pod(runs, none), func(p *corev1.Pod) { p.Status.Conditions[1].Status = corev1.ConditionTrue }), ""},
		"a pod that ends":                 {without(pod(runs, none), func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: day} }), ""},
		"a pod that was evicted":          {without(pod(ended(137, "Error", ""), none), func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }), ""},
		"a pod that nobody has looked at": {without(pod(none, none), func(p *corev1.Pod) { p.Status = corev1.PodStatus{} }), "e-1: Pending: it has no node yet"},
		"a pod that fits nowhere": {without(pod(none, none), func(p *corev1.Pod) {
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "0/3 nodes are available"}}
		}), "e-1: Unschedulable: 0/3 nodes are available"},
		"an image that is not there":   {pod(waits("ImagePullBackOff", "Back-off pulling image x"), none), "e-1: ImagePullBackOff: Back-off pulling image x"},
		"and was there once":           {pod(waits("ErrImagePull", "not found"), ended(1, "Error", "")), "e-1: ErrImagePull: not found"},
		"a Secret that is not there":   {pod(waits("CreateContainerConfigError", "secret not found"), none), "e-1: CreateContainerConfigError: secret not found"},
		"one that crashes":             {pod(waits("CrashLoopBackOff", "back-off 5m0s"), ended(2, "Error", refusal)), "e-1: CrashLoopBackOff: container enforcer ended with exit code 2 (Error): enforcer: unknown flag: --no-such enforcer --help lists the flags."},
		"one that just ends":           {pod(waits("CrashLoopBackOff", "back-off 5m0s"), ended(0, "Completed", "")), "e-1: CrashLoopBackOff: container enforcer ended with exit code 0 (Completed)"},
		"one that has crashed":         {pod(ended(1, "Error", "enforcer: no"), none), "e-1: container enforcer ended with exit code 1 (Error): enforcer: no"},
		"one that is back from that":   {pod(runs, ended(137, "OOMKilled", "")), "e-1: container enforcer ended with exit code 137 (OOMKilled)"},
		"one that is being started":    {pod(waits("ContainerCreating", ""), none), "e-1: not ready yet, on node n2"},
		"one that takes over counters": {pod(runs, none), "e-1: not ready yet, on node n2"},
	} {
		if got := trouble(tc.pod); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
		kept := tc.pod.DeepCopy()
		if _, err := slimPod(kept); err != nil || trouble(kept) != tc.want {
			t.Errorf("%s: the cache makes %q of it (%v)", name, trouble(kept), err)
		}
		other := without(tc.pod.DeepCopy(), func(p *corev1.Pod) { p.ResourceVersion, p.Status.PodIP = "2", "10.0.0.1" })
		if troubleChanges.Update(event.UpdateEvent{ObjectOld: tc.pod, ObjectNew: other}) {
			t.Errorf("%s: what does not matter wakes somebody", name)
		}
		if woken := troubleChanges.Create(event.CreateEvent{Object: tc.pod}); woken != (tc.want != "") {
			t.Errorf("%s: woken by its coming: %v", name, woken)
		}
	}
}
