// Package integration tests the manager against a real API server: policies go
// in with a client, status and denied requests come out. Enforcers are fakes that
// do what they are told, or the real thing where that is the point.
package integration

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// controlPlane is what all tests share.
var controlPlane *envtest.Environment

// config reaches its API server. Each test has namespaces of
// its own and cleans up its policies; the tests do not run in parallel, since a
// manager looks at the policies of all namespaces.
var config *rest.Config

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		fmt.Fprintln(os.Stderr, "The integration tests need a control plane: run `make test`, which builds one, "+
			"or set KUBEBUILDER_ASSETS to a folder with etcd and kube-apiserver.")
		return 1
	}
	log := logr.FromSlogHandler(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	ctrl.SetLogger(log)
	klog.SetLogger(log)

	controlPlane = &envtest.Environment{
		CRDDirectoryPaths:     []string{filepath.Join("..", "..", "config", "crd", "bases")},
		ErrorIfCRDPathMissing: true,
	}
	var err error
	if config, err = controlPlane.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "start the control plane:", err)
		return 1
	}
	defer func() { _ = controlPlane.Stop() }()
	return m.Run()
}
