package enforcer

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/enforcer/discovery"
	"github.com/sluice-dev/sluice/enforcer/internal/journal"
	"github.com/sluice-dev/sluice/enforcer/internal/source"
)

// newInputs makes what tells the enforcer of policies and peers. In standalone
// mode the policies are in force afterwards; in Kubernetes mode those of the
// journal are.
func newInputs(ctx context.Context, e *Enforcer) (*policies, *peers, error) {
	o := &e.opts
	policies := &policies{engine: e.engine, clock: e.clock, log: o.Log}
	peers := newPeers(o.Log)
	service, inKubernetes := cutKubernetes(o.Peers)
	if o.Peers != "" && !inKubernetes {
		var err error
		if peers.source, err = listedPeers(o.Peers, o.Log); err != nil {
			return nil, nil, fmt.Errorf("--peers: %w", err)
		}
	}
	if o.PoolNamespace == "" {
		return policies, peers, policies.loadFiles(ctx, o)
	}

	client, err := newClient(o)
	if err != nil {
		return nil, nil, err
	}
	if o.Journal != "" {
		if policies.journal, err = journal.Open(o.Journal); err != nil {
			return nil, nil, fmt.Errorf("--journal %s: %w", o.Journal, err)
		}
	}
	if inKubernetes {
		pool := v1alpha1.EnforcerPool{Spec: v1alpha1.EnforcerPoolSpec{ServiceName: service}}
		pool.Name = o.PoolName
		peers.source = discovery.EndpointSlices(client, o.PoolNamespace, pool.Service())
		peers.journal = policies.journal
	}
	policies.source = source.NewConfigMaps(client, o.PoolNamespace, o.PoolName, o.Log)
	policies.loadJournal()
	return policies, peers, nil
}

// listedPeers returns the source that --peers names: dns:NAME:PORT, or a list.
func listedPeers(peers string, log *slog.Logger) (discovery.Source, error) {
	if name, ok := strings.CutPrefix(peers, "dns:"); ok {
		return discovery.DNS(gossipPort, name, nil, func(err error) {
			log.Warn("peers cannot be looked up; trying again, the last answer stands", "error", err)
		})
	}
	return discovery.Static(gossipPort, strings.Split(peers, ","))
}

// newClient returns a client of the API server. It does not call it.
func newClient(o *Options) (kubernetes.Interface, error) {
	var config *rest.Config
	var err error
	if o.Kubeconfig != "" {
		config, err = clientcmd.BuildConfigFromFlags("", o.Kubeconfig)
		if err != nil {
			return nil, fmt.Errorf("--kubeconfig %s: %w", o.Kubeconfig, err)
		}
	} else if config, err = rest.InClusterConfig(); err != nil {
		return nil, fmt.Errorf("this is no pod (%w): say how to reach the API server with --kubeconfig FILE", err)
	}
	config.UserAgent = "sluice-enforcer/" + o.Version
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("--kubeconfig %s: %w", o.Kubeconfig, err)
	}
	return client, nil
}
