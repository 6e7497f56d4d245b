package plugin

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"k8s.io/client-go/rest"

	"github.com/sluice-dev/sluice/enforcer/report"
)

// direct are enforcers that are asked without an API server in between.
type direct struct {
	namespace string // "" for all
	enforcers []enforcer
}

func newDirect(o *Options) (*direct, error) {
	d := &direct{namespace: o.Namespace}
	client, err := rest.HTTPClientFor(&rest.Config{
		Timeout: patience, TLSClientConfig: rest.TLSClientConfig{CAFile: o.CertificateAuthority, ServerName: o.TLSServerName},
	})
	if err != nil {
		return nil, fmt.Errorf("--certificate-authority %s: %w", o.CertificateAuthority, err)
	}
	for _, text := range o.Enforcers {
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return nil, fmt.Errorf("--enforcer %s: write the URL of its admin port, such as http://127.0.0.1:9090", text)
		}
		d.enforcers = append(d.enforcers, enforcer{name: u.Host, url: strings.TrimSuffix(text, "/"), client: client})
	}
	return d, nil
}

// find implements pools: an enforcer knows the policies that it runs.
func (d *direct) find(ctx context.Context, policy string) (*target, error) {
	state, err := askOne[report.State](ctx, d.enforcers, http.MethodGet, "/v1/state", nil)
	if err != nil {
		return nil, err
	}
	for _, p := range state.Policies {
		if d.means(p.Namespace) && p.Name == policy {
			return &target{p.Namespace, p.Name, p.Domain, d.enforcers}, nil
		}
	}
	return nil, fmt.Errorf("enforcer %s runs no policy %s: name another, or its -n NAMESPACE", state.Node, policy)
}

// means says whether policies of a namespace are meant: all are while none is named.
func (d *direct) means(namespace string) bool { return d.namespace == "" || d.namespace == namespace }

// pool implements pools.
func (d *direct) pool(context.Context) ([]enforcer, error) { return d.enforcers, nil }

// scopes implements pools.
func (d *direct) scopes(_ context.Context, policy string, all bool) ([]scope, error) {
	return []scope{{enforcers: d.enforcers, means: func(namespace, name string) bool {
		return (all || d.means(namespace)) && (policy == "" || policy == name)
	}}}, nil
}
