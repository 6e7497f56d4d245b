package controllers

import (
	"errors"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/controllers/workload"
)

// workloadStatus counts the pods of a pool; before there is a Deployment, none.
func workloadStatus(pool *v1alpha1.EnforcerPool, d *appsv1.Deployment) *v1alpha1.WorkloadStatus {
	status := &v1alpha1.WorkloadStatus{Selector: workload.Selector(pool)}
	if d != nil {
		status.Desired = desired(d)
		status.Replicas, status.Ready, status.Updated = d.Status.Replicas, d.Status.ReadyReplicas, d.Status.UpdatedReplicas
	}
	return status
}

// progressing says how far the Deployment is on its way to what the spec says.
func (f *poolFacts) progressing() metav1.Condition {
	c := metav1.Condition{Type: v1alpha1.ConditionProgressing, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonRollingOut}
	d := f.deployment
	if f.unbuilt != nil {
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, v1alpha1.ReasonBuildFailed, f.unbuilt.Error()
		if certificate := (*certificateError)(nil); errors.As(f.unbuilt, &certificate) {
			c.Reason = v1alpha1.ReasonInvalidCertificateRef
		}
		return c
	}
	if d == nil {
		c.Message = "the Deployment is being created"
		return c
	}
	c.Message = fmt.Sprintf("%d of %d enforcers are as the spec says", d.Status.UpdatedReplicas, desired(d))
	if old := d.Status.Replicas - d.Status.UpdatedReplicas; old > 0 {
		c.Message += fmt.Sprintf("; %d that are not still run", old)
	}
	if failure := deploymentCondition(d, appsv1.DeploymentReplicaFailure); failure != nil && failure.Status == corev1.ConditionTrue {
		c.Message += "; pods cannot be created: " + failure.Message
	}
	progress := deploymentCondition(d, appsv1.DeploymentProgressing)
	switch {
	case d.Status.ObservedGeneration >= d.Generation && progress != nil && progress.Status == corev1.ConditionFalse:
		c.Status, c.Reason = metav1.ConditionFalse, v1alpha1.ReasonStuck
		c.Message += "; Deployment " + d.Name + ": " + progress.Message + f.becauseOfPods()
	case rolledOut(d):
		c.Reason = v1alpha1.ReasonRolledOut
	default:
		c.Message += f.becauseOfPods()
	}
	return c
}

// rolledOut says whether there are as many pods as there should be, and no others
// than those that the spec asks for.
func rolledOut(d *appsv1.Deployment) bool {
	return d.Status.ObservedGeneration >= d.Generation && d.Status.UpdatedReplicas >= desired(d) && d.Status.Replicas == d.Status.UpdatedReplicas
}

// available says whether there are as many ready enforcers as there should be.
func (f *poolFacts) available() metav1.Condition {
	c := metav1.Condition{Type: v1alpha1.ConditionAvailable, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonUnavailable}
	if f.deployment == nil {
		c.Message = "there is no Deployment yet"
		return c
	}
	ready, want := f.deployment.Status.ReadyReplicas, desired(f.deployment)
	c.Message = fmt.Sprintf("%d of %d enforcers are ready", ready, want)
	if ready >= want {
		c.Status, c.Reason = metav1.ConditionTrue, v1alpha1.ReasonAvailable
	} else {
		c.Message += f.becauseOfPods()
	}
	return c
}

// becauseOfPods names the first pods that are not ready, and why.
func (f *poolFacts) becauseOfPods() string {
	if len(f.troubles) == 0 {
		return ""
	}
	return "; " + enumerate(f.troubles)
}

// desired returns how many pods a Deployment should have.
func desired(d *appsv1.Deployment) int32 {
	if d.Spec.Replicas == nil {
		return 1
	}
	return *d.Spec.Replicas
}

func deploymentCondition(d *appsv1.Deployment, kind appsv1.DeploymentConditionType) *appsv1.DeploymentCondition {
	for i := range d.Status.Conditions {
		if d.Status.Conditions[i].Type == kind {
			return &d.Status.Conditions[i]
		}
	}
	return nil
}
