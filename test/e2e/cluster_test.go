//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/credentials/insecure"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/enforcer/report"
)

// Sluice in the cluster, known by its labels: who made the objects does not matter.
const (
	system    = "sluice-system"
	ofPool    = v1alpha1.LabelPool + "=" + v1alpha1.DefaultPool
	pool      = "app.kubernetes.io/component=enforcer," + ofPool
	manager   = "app.kubernetes.io/component=manager"
	poolSize  = 3
	adminPort = "9090"
)

// root is the folder of the project, seen from here.
const root = "../.."

// cluster is the cluster that hack/cluster started.
type cluster struct {
	*kubernetes.Clientset
	ready *endpoints
}

// connect reaches the cluster of this environment. Without one the test fails: who
// runs it was promised a result.
func connect(t *testing.T) *cluster {
	t.Helper()
	path := os.Getenv("KUBECONFIG")
	if path == "" {
		t.Fatal("KUBECONFIG names no cluster: `make e2e` starts one and runs this test")
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	bin, err := filepath.Abs(root + "/bin")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH")) // kubectl looks for its plugins there
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return &cluster{Clientset: client, ready: watchEndpoints(t, client, ofPool, insecure.NewCredentials())}
}

// command runs a program in the folder of the project, and returns what it wrote to
// standard output: what kubectl warns of is no part of an answer. An error has all of it.
func command(ctx context.Context, input, program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Stdin = root, strings.NewReader(input)
	var out, warnings bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &warnings
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s %s: %w\n%s%s", program, strings.Join(args, " "), err, out.String(), &warnings)
	}
	return out.String(), nil
}

func kubectl(ctx context.Context, args ...string) error {
	_, err := command(ctx, "", "kubectl", args...)
	return err
}

// apply applies objects that a text has.
func (c *cluster) apply(t *testing.T, text string) {
	t.Helper()
	if _, err := command(t.Context(), text, "kubectl", "apply", "--server-side", "-f", "-"); err != nil {
		t.Fatal(err)
	}
}

// nodes does to the machines of the cluster what hack/cluster/cluster.sh is told.
func nodes(ctx context.Context, args ...string) error {
	_, err := command(ctx, "", "hack/cluster/cluster.sh", args...)
	return err
}

// eventually calls ok until it returns nil, for a minute and a half at most, and
// returns how long that took.
func eventually(ctx context.Context, what string, ok func() error) (time.Duration, error) {
	const within = 90 * time.Second
	for began := time.Now(); ; {
		err := ok()
		switch {
		case err == nil:
			return time.Since(began), nil
		case time.Since(began) > within:
			return 0, fmt.Errorf("%s: not within %v: %w", what, within, err)
		}
		if err := wait(ctx, 50*time.Millisecond); err != nil {
			return 0, err
		}
	}
}

// wait blocks for a time: load goes on, and something is or is not as it should be.
func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// pods returns the pods with some labels that nobody has told to go.
func (c *cluster) pods(ctx context.Context, labels string) ([]corev1.Pod, error) {
	list, err := c.CoreV1().Pods(system).List(ctx, metav1.ListOptions{LabelSelector: labels})
	if err != nil {
		return nil, err
	}
	var all []corev1.Pod
	for i := range list.Items {
		if list.Items[i].DeletionTimestamp == nil {
			all = append(all, list.Items[i])
		}
	}
	return all, nil
}

// settled is nil once the pool has n enforcers, load reaches these and no others,
// and each has met all others.
func (c *cluster) settled(ctx context.Context, n int) error {
	pods, err := c.pods(ctx, pool)
	if err != nil {
		return err
	}
	if len(pods) != n || c.ready.count() != n {
		return fmt.Errorf("%d enforcers, %d of them ready, want %d", len(pods), c.ready.count(), n)
	}
	for i := range pods {
		state, err := stateOf(ctx, &pods[i])
		if err != nil {
			return err
		}
		if !state.Ready || len(state.Peers) != n-1 {
			return fmt.Errorf("%s: ready %v, %d peers of %d", pods[i].Name, state.Ready, len(state.Peers), n-1)
		}
	}
	return nil
}

func (c *cluster) awaitSettled(ctx context.Context, n int) error {
	_, err := eventually(ctx, fmt.Sprintf("%d enforcers that know each other", n), func() error { return c.settled(ctx, n) })
	return err
}

// spread has each enforcer on a node of its own. The scheduler only tries to, and
// whom scaling down leaves may share one.
func (c *cluster) spread(ctx context.Context) error {
	_, err := eventually(ctx, "each enforcer on a node of its own", func() error {
		pods, err := c.pods(ctx, pool)
		if err != nil {
			return err
		}
		on := map[string]string{}
		for i := range pods {
			name, node := pods[i].Name, pods[i].Spec.NodeName
			if on[node] != "" {
				return errors.Join(fmt.Errorf("%s and %s are both on %s", on[node], name, node),
					kubectl(ctx, "delete", "pod", "-n", system, name), c.awaitSettled(ctx, poolSize))
			}
			on[node] = name
		}
		return nil
	})
	return err
}

// stateOf asks an enforcer for its account of itself.
func stateOf(ctx context.Context, pod *corev1.Pod) (state report.State, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(pod.Status.PodIP, adminPort)+"/v1/state", nil)
	if err != nil {
		return state, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return state, err
	}
	defer resp.Body.Close()
	return state, json.NewDecoder(resp.Body).Decode(&state)
}

// killProcess kills the program of a pod without warning. Processes of nodes are
// processes of this machine, and their cgroup names the pod.
func killProcess(pod *corev1.Pod, program string) error {
	names, err := filepath.Glob("/proc/[0-9]*/comm")
	if err != nil {
		return err
	}
	for _, name := range names {
		dir := filepath.Dir(name)
		comm, err := os.ReadFile(name)
		if err != nil || strings.TrimSpace(string(comm)) != program {
			continue // it has ended, or is another program
		}
		groups, err := os.ReadFile(filepath.Join(dir, "cgroup"))
		if err != nil || !strings.Contains(string(groups), string(pod.UID)) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			return err
		}
		return syscall.Kill(pid, syscall.SIGKILL)
	}
	return errors.New("pod " + pod.Name + " has no process " + program + " on this machine")
}
