package enforcer

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/enforcer/account"
)

// PeersKubernetes as Options.Peers means: the members of the pool's Service.
// Followed by ":NAME" it means the Service of that name.
const PeersKubernetes = "kubernetes"

// The addresses that an enforcer listens on when Options name none.
const (
	DefaultRLSListen    = ":8081"
	DefaultHTTPListen   = ":8080"
	DefaultGossipListen = ":7946"
	DefaultAdminListen  = ":9090"
)

// Options configure an Enforcer. Errors name the flags of cmd/enforcer that set
// them.
type Options struct {
	// Node is this enforcer's name in its pool, and must be unique there. Empty
	// means the host's name.
	Node string

	// Version is what GET /v1/state and the metrics tell of the program, Revision
	// what the metrics tell of the commit that it was built from.
	Version, Revision string

	// Policies is a file or folder of RateLimitPolicy YAML: standalone mode.
	Policies string

	// PoolNamespace is the namespace that the pool's document is published in:
	// Kubernetes mode. Exactly one of Policies and PoolNamespace is set.
	PoolNamespace string

	// PoolName is the EnforcerPool's name; empty means "default".
	PoolName string

	// Kubeconfig is the file that says how to reach the API server. Empty means
	// what a pod is told of it. Kubernetes mode only.
	Kubeconfig string

	// Peers says where the other enforcers of the pool are: PeersKubernetes, or
	// gossip addresses host:port separated by commas, this one's own among them or
	// not. Empty means PeersKubernetes in Kubernetes mode, and nobody in standalone
	// mode.
	Peers string

	// GossipKeyFile names a file with the keys that gossip is sealed with, the same
	// on every enforcer of the pool: 32 bytes in base64 on a line, at most 4 lines,
	// and comments that begin with '#'. The first key seals, and every one opens, so
	// a key rotates in three steps: append the new one everywhere, move it to the
	// top everywhere, remove the old one. Changes of the file are taken up within
	// seconds. Empty means that whoever reaches the gossip port can read and change
	// the counts.
	GossipKeyFile string

	// RLSListen (gRPC), HTTPListen, GossipListen (UDP and TCP) and AdminListen (HTTP)
	// are host:port; port 0 takes any free one. Empty means the default.
	RLSListen, HTTPListen, GossipListen, AdminListen string

	// TLSCertFile and TLSPrivateKeyFile name files in PEM: the certificate that RLS, HTTP
	// and admin show, followed by those that lead to its authority, and its key. Changes
	// are taken up within seconds. Empty means plain text; gossip has its own key.
	TLSCertFile, TLSPrivateKeyFile string

	// TLSClientCAFiles name files in PEM with the authorities that vouch for clients: RLS
	// and HTTP then answer nobody else. Admin does, since probes have no certificate.
	// They go with TLSCertFile. Empty means that everybody is answered.
	TLSClientCAFiles []string

	// TLSPermissive has RLS and HTTP take plain text as well, from anybody, while proxies
	// change over one by one. It goes with TLSCertFile.
	TLSPermissive bool

	// TrustedProxies are the networks whose X-Forwarded-* and X-Original-* fields
	// forward auth believes; nil means loopback, link-local and private networks.
	TrustedProxies []netip.Prefix

	// Journal is a folder in which the last document and the last peers are kept,
	// to start with while the API server is away. Empty keeps nothing. Kubernetes
	// mode only: in standalone mode the files are there.
	Journal string

	// MaxKeys bounds the counters in memory; 0 means account.DefaultMaxKeys.
	MaxKeys int

	// Log is where the enforcer tells what happens; nil means nowhere.
	Log *slog.Logger
}

// validate fills in the defaults, and says everything that is wrong.
func (o *Options) validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	switch {
	case o.Policies == "" && o.PoolNamespace == "":
		wrong("say where the policies come from: --policies PATH for files, or --pool-namespace NAMESPACE for Kubernetes")
	case o.Policies != "" && o.PoolNamespace != "":
		wrong("--policies and --pool-namespace exclude each other: leave one of them out")
	}
	for _, only := range []struct{ flag, value string }{
		{"kubeconfig", o.Kubeconfig}, {"journal", o.Journal}, {"pool-name", o.PoolName},
	} {
		if o.PoolNamespace == "" && only.value != "" {
			wrong("--%s goes with --pool-namespace: add that, or leave --%s out", only.flag, only.flag)
		}
	}
	o.fillIn()
	if o.Node == "" {
		wrong("the host has no name: give this enforcer one with --node-name")
	}
	if len(o.Node) > 253 {
		wrong("--node-name has %d characters: use at most 253", len(o.Node))
	}
	if service, ok := cutKubernetes(o.Peers); ok && o.PoolNamespace == "" {
		wrong("--peers %s needs --pool-namespace: add it, or list the peers as host:port,host:port", o.Peers)
	} else if ok && service == "" && strings.Contains(o.Peers, ":") {
		wrong("--peers %s: write the Service's name after the colon, or leave the colon out", o.Peers)
	}
	for _, listen := range []struct{ flag, address string }{
		{"rls", o.RLSListen}, {"http", o.HTTPListen}, {"gossip", o.GossipListen}, {"admin", o.AdminListen},
	} {
		if _, _, err := net.SplitHostPort(listen.address); err != nil {
			wrong("--%s-listen %q: write host:port, or :port for every address of this host", listen.flag, listen.address)
		}
	}
	if (o.TLSCertFile == "") != (o.TLSPrivateKeyFile == "") {
		wrong("--tls-cert-file and --tls-private-key-file go together: name both, or neither")
	}
	if (len(o.TLSClientCAFiles) > 0 || o.TLSPermissive) && o.TLSCertFile == "" {
		wrong("--tls-client-ca-file and --tls-permissive go with --tls-cert-file and --tls-private-key-file: add those, or leave them out")
	}
	if o.MaxKeys < account.MinKeys || o.MaxKeys > account.MostKeys {
		wrong("--max-keys %d: use %d to %d", o.MaxKeys, account.MinKeys, account.MostKeys)
	}
	return errors.Join(errs...)
}

func (o *Options) fillIn() {
	fill := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	if host, err := os.Hostname(); err == nil {
		fill(&o.Node, host)
	}
	fill(&o.PoolName, v1alpha1.DefaultPool)
	fill(&o.RLSListen, DefaultRLSListen)
	fill(&o.HTTPListen, DefaultHTTPListen)
	fill(&o.GossipListen, DefaultGossipListen)
	fill(&o.AdminListen, DefaultAdminListen)
	if o.PoolNamespace != "" {
		fill(&o.Peers, PeersKubernetes)
	}
	if o.MaxKeys == 0 {
		o.MaxKeys = account.DefaultMaxKeys
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}

// cutKubernetes returns the Service that peers names, "" for the pool's own, and
// whether the peers are those of Kubernetes at all.
func cutKubernetes(peers string) (service string, ok bool) {
	kind, service, _ := strings.Cut(peers, ":")
	return service, kind == PeersKubernetes
}
