// Command manager is the operator: it checks policies, publishes them to the
// enforcers, and reports what became of them.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/controllers"
	"github.com/sluice-dev/sluice/enforcer/discovery"
	"github.com/sluice-dev/sluice/internal/version"
)

func main() {
	flags, err := parse(os.Args[1:], os.Stdout)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return
	case err != nil:
		fmt.Fprintf(os.Stderr, "manager: %v\nmanager --help lists the flags.\n", err)
		os.Exit(2)
	case flags.version:
		fmt.Println(version.Line("manager"))
		return
	}
	if err := run(ctrl.SetupSignalHandler(), flags); err != nil {
		fmt.Fprintf(os.Stderr, "manager: %v\n", err)
		os.Exit(1)
	}
}

// run runs the manager until ctx ends or leadership is lost.
func run(ctx context.Context, flags *flags) error {
	go stayLean(ctx)
	log := logr.FromSlogHandler(slog.NewTextHandler(os.Stderr, nil))
	ctrl.SetLogger(log)
	klog.SetLogger(log)

	config, err := restConfig(flags.kubeconfig)
	if err != nil {
		return fmt.Errorf("find the API server: %w", err)
	}
	discover, err := discovererOf(config, flags)
	if err != nil {
		return err
	}
	options, err := controllers.ManagerOptions(flags.namespace)
	if err != nil {
		return err
	}
	options.Metrics = metricsserver.Options{BindAddress: flags.metricsListen}
	options.HealthProbeBindAddress = flags.healthListen
	options.LeaderElection = flags.leaderElect
	options.LeaderElectionID = "sluice-manager"
	options.LeaderElectionNamespace = flags.namespace
	// The process ends when the manager does, so the lease may be given back at once
	// and the next leader need not wait for it to expire.
	options.LeaderElectionReleaseOnCancel = true

	mgr, err := ctrl.NewManager(config, options)
	if err != nil {
		return fmt.Errorf("set up the manager: %w", err)
	}
	err = errors.Join(
		controllers.Setup(ctx, mgr, controllers.Options{
			Namespace: flags.namespace, Image: flags.enforcerImage, DefaultPool: flags.defaultPool,
			Discover: discover, Metrics: metrics.Registry,
		}),
		mgr.AddHealthzCheck("ping", healthz.Ping),
		mgr.AddReadyzCheck("cache", func(r *http.Request) error { return synced(r.Context(), mgr) }),
	)
	if err != nil {
		return fmt.Errorf("set up the controllers: %w", err)
	}
	log.Info("Starting", "version", version.String(), "revision", version.Revision(), "namespace", flags.namespace)
	return mgr.Start(ctx)
}

// restConfig reads a kubeconfig, or without a path finds out itself: in a pod its
// service account, else $KUBECONFIG or ~/.kube/config.
func restConfig(kubeconfig string) (*rest.Config, error) {
	if kubeconfig == "" {
		return ctrl.GetConfig()
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS = -1 // the API server's own priority and fairness paces us
	return config, nil
}

// discovererOf says where the enforcers of a pool are: those of the default pool
// at the addresses of --enforcers if there are any, else in EndpointSlices.
func discovererOf(config *rest.Config, flags *flags) (func(pool, service string) discovery.Source, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	var static discovery.Source
	if len(flags.enforcers) > 0 {
		if static, err = discovery.Static(v1alpha1.AdminPort, flags.enforcers); err != nil {
			return nil, fmt.Errorf("--enforcers: %w", err)
		}
	}
	return func(pool, service string) discovery.Source {
		if static != nil && pool == v1alpha1.DefaultPool {
			return static
		}
		return discovery.EndpointSlices(client, flags.namespace, service)
	}, nil
}

// synced is nil once the manager has read what it works on.
func synced(ctx context.Context, mgr ctrl.Manager) error {
	ctx, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	if !mgr.GetCache().WaitForCacheSync(ctx) {
		return errors.New("the API server has not answered yet")
	}
	return nil
}
