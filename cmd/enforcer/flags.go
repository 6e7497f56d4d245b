package main

import (
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/spf13/pflag"

	"github.com/sluice-dev/sluice/enforcer"
	"github.com/sluice-dev/sluice/enforcer/account"
)

// flags are the command line.
type flags struct {
	options enforcer.Options
	version bool
}

const usage = `An enforcer of Sluice decides whether requests are within the limits of the
RateLimitPolicies, and shares its counts with the other enforcers of its pool.
Proxies and applications ask it over HTTP or Envoy's Rate Limit Service.

Usage:
  enforcer --policies PATH [flags]            policies are files, without Kubernetes
  enforcer --pool-namespace NAMESPACE [flags] policies come from the manager

Two enforcers on one machine that share what they count:
  enforcer --policies policies/ --node-name a --peers 127.0.0.1:7946,127.0.0.1:7947
  enforcer --policies policies/ --node-name b --peers 127.0.0.1:7946,127.0.0.1:7947 \
    --http-listen :8180 --rls-listen :8181 --gossip-listen :7947 --admin-listen :9190

Then ask one of them, and see what it does:
  curl -i -H 'X-Api-Key: acme' localhost:8080/v1/auth/DOMAIN
  curl localhost:9090/v1/state

Every flag can also be an environment variable: --node-name is SLUICE_NODE_NAME.
A flag on the command line counts for more.

Flags:
`

// parse reads the command line and the environment. For --help it writes to out
// and returns pflag.ErrHelp.
func parse(args []string, env func(string) (string, bool), out io.Writer) (*flags, error) {
	f := &flags{}
	o := &f.options
	set := pflag.NewFlagSet("enforcer", pflag.ContinueOnError)
	set.SortFlags = false
	set.Usage = func() { fmt.Fprint(out, usage+set.FlagUsagesWrapped(110)) }
	set.StringVar(&o.Policies, "policies", "", "`path` of a file, or a folder of files, with RateLimitPolicies in YAML; changes are read at once")
	set.StringVar(&o.PoolNamespace, "pool-namespace", "", "`namespace` of the manager, which publishes the pool's policies there")
	set.StringVar(&o.PoolName, "pool-name", "", "`name` of the EnforcerPool (default \"default\")")
	set.StringVar(&o.Kubeconfig, "kubeconfig", "", "`path` of a kubeconfig; by default the pod's service account")
	set.StringVar(&o.Peers, "peers", "", "the other enforcers: \"kubernetes\" for the pods of the pool's Service (the default with --pool-namespace), or gossip `addresses` host:port separated by commas, this one's own may be among them")
	set.StringVar(&o.Node, "node-name", "", "`name` of this enforcer in its pool; by default that of the host")
	set.StringVar(&o.HTTPListen, "http-listen", enforcer.DefaultHTTPListen, "`address` for forward auth and checks over HTTP")
	set.StringVar(&o.RLSListen, "rls-listen", enforcer.DefaultRLSListen, "`address` for Envoy's Rate Limit Service, gRPC")
	set.StringVar(&o.GossipListen, "gossip-listen", enforcer.DefaultGossipListen, "`address` for the other enforcers, UDP and TCP")
	set.StringVar(&o.AdminListen, "admin-listen", enforcer.DefaultAdminListen, "`address` of /metrics, /healthz, /readyz, /v1/state, and of what kubectl sluice asks")
	set.Func("trusted-proxies", "`networks` of the proxies whose X-Forwarded-* fields are believed, such as 203.0.113.0/24, separated by commas (default loopback and private networks)",
		func(text string) (err error) { o.TrustedProxies, err = networks(text); return err })
	set.StringVar(&o.GossipKeyFile, "gossip-key-file", "", "`path` of a file with the pool's keys, 32 bytes in base64 a line, that seal what enforcers tell each other; the first one seals, all open; changes are read within seconds (default: not sealed)")
	set.StringVar(&o.TLSCertFile, "tls-cert-file", "", "`path` of a certificate in PEM, with those that lead to its authority: the ports http, rls and admin speak TLS; changes are read within seconds (default: plain text)")
	set.StringVar(&o.TLSPrivateKeyFile, "tls-private-key-file", "", "`path` of the certificate's key in PEM")
	set.StringSliceVar(&o.TLSClientCAFiles, "tls-client-ca-file", nil, "`paths` of certificates of authorities, in PEM, separated by commas: the ports http and rls answer only clients with a certificate of one of them (default: everybody)")
	set.BoolVar(&o.TLSPermissive, "tls-permissive", false, "have the ports http and rls take plain text as well, from anybody, while proxies change over to TLS")
	set.StringVar(&o.Journal, "journal", "", "`folder` that keeps the last policies and peers, to start with while the API server is away; needs --pool-namespace")
	set.IntVar(&o.MaxKeys, "max-keys", account.DefaultMaxKeys, "most clients that are counted at a time, at about 80 bytes each; of exact limits as many are kept and as many borrowed for, at about 400 bytes each; beyond it those nearest to unused are forgotten")
	set.BoolVar(&f.version, "version", false, "print the version and exit")
	if err := set.Parse(args); err != nil {
		return nil, err
	}
	if set.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q: the enforcer takes flags only", strings.Join(set.Args(), " "))
	}
	return f, fromEnvironment(set, env)
}

// networks reads a list of networks in CIDR notation.
func networks(text string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for one := range strings.SplitSeq(text, ",") {
		network, err := netip.ParsePrefix(strings.TrimSpace(one))
		if err != nil {
			return nil, fmt.Errorf("%q is no network: write it as 203.0.113.0/24", one)
		}
		all = append(all, network)
	}
	return all, nil
}

// fromEnvironment sets the flags that the command line left out.
func fromEnvironment(set *pflag.FlagSet, env func(string) (string, bool)) (err error) {
	set.VisitAll(func(flag *pflag.Flag) {
		name := "SLUICE_" + strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_"))
		value, ok := env(name)
		if !ok || flag.Changed || err != nil {
			return
		}
		if setErr := set.Set(flag.Name, value); setErr != nil {
			err = fmt.Errorf("environment variable %s: %w", name, setErr)
		}
	})
	return err
}
