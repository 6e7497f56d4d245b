package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"
)

// flags are the command line.
type flags struct {
	namespace     string
	enforcerImage string
	defaultPool   bool
	enforcers     []string
	kubeconfig    string
	leaderElect   bool
	metricsListen string
	healthListen  string
	version       bool
}

const usage = `The manager of Sluice runs the enforcers of every EnforcerPool, checks
RateLimitPolicies, publishes them to the enforcers of their pool, and reports in
their status what became of them. Enforcers need it for changes only: while it is
down they go on with what they have.

Usage:
  manager [flags]

In a cluster, as config/default runs it:
  manager --namespace sluice-system --default-pool --leader-elect

On a developer's machine, with enforcers that run there too:
  manager --kubeconfig ~/.kube/config --enforcers 127.0.0.1:9090,127.0.0.1:9091

Flags:
`

// parse reads the command line. For --help it writes to out and returns
// pflag.ErrHelp.
func parse(args []string, out io.Writer) (*flags, error) {
	f := &flags{}
	set := pflag.NewFlagSet("manager", pflag.ContinueOnError)
	set.SortFlags = false
	set.Usage = func() { fmt.Fprint(out, usage+set.FlagUsagesWrapped(110)) }
	set.StringVar(&f.namespace, "namespace", "sluice-system", "the operator's own `namespace`: EnforcerPools, their ConfigMaps and Services are there")
	set.StringVar(&f.enforcerImage, "enforcer-image", "ghcr.io/sluice-dev/enforcer:latest", "`image` of the enforcers of pools that name none in spec.image")
	set.BoolVar(&f.defaultPool, "default-pool", false, "create the EnforcerPool \"default\" when the manager starts and there is none")
	set.StringSliceVar(&f.enforcers, "enforcers", nil, "admin `addresses` of the enforcers of the pool \"default\", host:port separated by commas, when they run outside of pods; without it, and for other pools, they are found in the EndpointSlices of the pool's Service")
	set.StringVar(&f.kubeconfig, "kubeconfig", "", "`path` of a kubeconfig; by default the pod's service account, else $KUBECONFIG or ~/.kube/config")
	set.BoolVar(&f.leaderElect, "leader-elect", false, "work only while holding the Lease sluice-manager in the namespace: needed to run more than one manager")
	set.StringVar(&f.metricsListen, "metrics-listen", ":9090", "`address` of /metrics, plain HTTP; 0 turns it off")
	set.StringVar(&f.healthListen, "health-listen", ":8081", "`address` of /healthz and /readyz; 0 turns it off")
	set.BoolVar(&f.version, "version", false, "print the version and exit")
	if err := set.Parse(args); err != nil {
		return nil, err
	}
	if set.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q: the manager takes flags only", strings.Join(set.Args(), " "))
	}
	if f.namespace == "" {
		return nil, errors.New("--namespace is empty: name the namespace of the EnforcerPools")
	}
	if f.enforcerImage == "" {
		return nil, errors.New("--enforcer-image is empty: name an image, or leave the flag out")
	}
	return f, nil
}
