package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// namespace is where the operator and its pool live.
const namespace = "sluice-system"

// stopTime is how long the API server may take to stop before it is killed: it
// would wait a minute for the clients that watch it.
const stopTime = 2 * time.Second

// cluster is an API server with its etcd: no nodes, so no pods. The manager and
// the enforcers run beside it, with the roles that they have in a cluster.
type cluster struct {
	stage   *stage
	env     *envtest.Environment
	admin   string // path of a kubeconfig that may do everything
	kubectl string
	client  client.Client
}

// startCluster starts etcd and the API server and installs the CRDs, the roles
// and the default pool.
func (s *stage) startCluster() (*cluster, error) {
	if s.opts.assets == "" {
		return nil, errors.New("no control plane: run it by make, or build one with hack/kube/build.sh and name its folder with --assets")
	}
	logf.SetLogger(logr.Discard()) // envtest retries in silence; what fails is returned
	assets, err := filepath.Abs(s.opts.assets)
	if err != nil {
		return nil, err
	}
	c := &cluster{
		stage: s,
		env: &envtest.Environment{
			BinaryAssetsDirectory: assets, ControlPlaneStartTimeout: time.Minute, ControlPlaneStopTimeout: stopTime,
		},
		admin:   filepath.Join(s.dir, "kubeconfig"),
		kubectl: filepath.Join(assets, "kubectl"),
	}
	config, err := c.env.Start()
	if err != nil {
		return nil, fmt.Errorf("start the API server: %w", err)
	}
	s.onClose(func() { _ = c.env.Stop() })
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	if c.client, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		return nil, err
	}
	if _, err := c.kubeconfig("kubeconfig", envtest.User{Name: "you", Groups: []string{"system:masters"}}, config); err != nil {
		return nil, err
	}
	s.say("API server at %s", config.Host)

	for _, step := range [][]string{
		{"apply", "--server-side", "-k", "hack/local/manifests"},
		{"wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"},
		{"apply", "--server-side", "-f", "hack/local/manifests/pool.yaml"},
	} {
		if out, err := c.run("", step...); err != nil {
			return nil, fmt.Errorf("kubectl %v: %w\n%s", step, err, out)
		}
	}
	return c, nil
}

// stopAPIServer stops the API server, and returns when it answers no more.
func (c *cluster) stopAPIServer() error {
	stopErr := c.env.ControlPlane.APIServer.Stop()
	_, err := c.stage.eventually("the API server stopped", 5*time.Second, func() error {
		conn, err := net.DialTimeout("tcp", c.env.ControlPlane.APIServer.HostPort(), time.Second)
		if err != nil {
			return nil // nobody listens
		}
		return errors.Join(stopErr, conn.Close(), errors.New("it still listens"))
	})
	return err
}

// kubeconfig writes a kubeconfig for a user and returns its path.
func (c *cluster) kubeconfig(name string, user envtest.User, base *rest.Config) (string, error) {
	u, err := c.env.ControlPlane.AddUser(user, base)
	if err != nil {
		return "", fmt.Errorf("user %s: %w", user.Name, err)
	}
	text, err := u.KubeConfig()
	if err != nil {
		return "", err
	}
	path := filepath.Join(c.stage.dir, name)
	return path, os.WriteFile(path, text, 0o600)
}

// serviceAccount writes a kubeconfig that has a service account's rights.
func (c *cluster) serviceAccount(name string) (string, error) {
	return c.kubeconfig(name+".kubeconfig", envtest.User{
		Name:   "system:serviceaccount:" + namespace + ":" + name,
		Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"},
	}, c.env.Config)
}

// run calls kubectl as the user would, and returns what it printed.
func (c *cluster) run(input string, args ...string) (string, error) {
	cmd := exec.CommandContext(c.stage.ctx, c.kubectl, append([]string{"--kubeconfig", c.admin}, args...)...)
	cmd.Stdin = bytes.NewBufferString(input)
	out, err := cmd.CombinedOutput()
	return string(out), err
}
