package workload

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"
)

// memoryPart of its limit may be memory that Go manages: the rest is for the program
// itself and for what the kernel keeps for its sockets.
const memoryPart = 0.9

// goRuntime tells Go what the container may use. By itself it would run on as many
// cores as the node has, and spend an eighth of each decision on waking those that
// have nothing to do; and it would learn of the limit of memory by being killed.
func goRuntime(r corev1.ResourceRequirements) (env []corev1.EnvVar) {
	cores := r.Requests.Cpu()
	if cores.IsZero() { // Kubernetes requests the limit then
		cores = r.Limits.Cpu()
	}
	if !cores.IsZero() {
		env = append(env, corev1.EnvVar{Name: "GOMAXPROCS", Value: strconv.FormatInt(cores.Value(), 10)}) // rounded up
	}
	if limit := r.Limits.Memory(); !limit.IsZero() {
		env = append(env, corev1.EnvVar{Name: "GOMEMLIMIT", Value: strconv.FormatInt(int64(memoryPart*float64(limit.Value())), 10)})
	}
	return env
}
