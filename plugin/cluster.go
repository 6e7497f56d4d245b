package plugin

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/enforcer/assemble"
)

const (
	// patience bounds one call.
	patience = 10 * time.Second

	apiPath = "apis/sluice.dev/v1alpha1"
)

// cluster is what is reached through an API server, with its user's rights.
type cluster struct {
	client    *http.Client
	base      *url.URL
	namespace string // of the policies
	pools     string // namespace of the pools
	byDefault string // name of the pool that is asked when no policy says which
}

func newCluster(o *Options) (*cluster, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.Kubeconfig
	overrides := &clientcmd.ConfigOverrides{CurrentContext: o.Context}
	overrides.Context.Namespace = o.Namespace
	overrides.AuthInfo.Impersonate, overrides.AuthInfo.ImpersonateGroups = o.As, o.AsGroups
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides)
	config, err := loader.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("find the API server: %w; or ask enforcers themselves with --enforcer URL", err)
	}
	namespace, _, err := loader.Namespace()
	if err != nil {
		return nil, fmt.Errorf("find the namespace: %w", err)
	}
	config.Timeout = patience
	c := &cluster{namespace: namespace, pools: o.PoolNamespace, byDefault: o.Pool}
	if c.client, err = rest.HTTPClientFor(config); err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	if c.base, _, err = rest.DefaultServerUrlFor(config); err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	return c, nil
}

// get reads an object or a list.
func (c *cluster) get(ctx context.Context, into any, query url.Values, path ...string) error {
	u := c.base.JoinPath(path...)
	u.RawQuery = query.Encode()
	return call(ctx, c.client, http.MethodGet, u.String(), nil, into)
}

// find implements pools.
func (c *cluster) find(ctx context.Context, policy string) (*target, error) {
	var p v1alpha1.RateLimitPolicy
	err := c.get(ctx, &p, nil, apiPath, "namespaces", c.namespace, "ratelimitpolicies", policy)
	if err != nil {
		return nil, fmt.Errorf("RateLimitPolicy %s/%s: %w", c.namespace, policy, err)
	}
	enforcers, err := c.enforcers(ctx, p.Pool())
	if err != nil {
		return nil, err
	}
	return &target{p.Namespace, p.Name, assemble.Policy(&p, nil).Domain, enforcers}, nil
}

// pool implements pools.
func (c *cluster) pool(ctx context.Context) ([]enforcer, error) {
	return c.enforcers(ctx, c.byDefault)
}

// scopes implements pools. Its user sees what he may list.
func (c *cluster) scopes(ctx context.Context, policy string, all bool) ([]scope, error) {
	if policy != "" {
		t, err := c.find(ctx, policy)
		if err != nil {
			return nil, err
		}
		return []scope{{enforcers: t.enforcers, means: func(namespace, name string) bool { return namespace == t.namespace && name == t.policy }}}, nil
	}
	path := []string{apiPath, "namespaces", c.namespace, "ratelimitpolicies"}
	if all {
		path = []string{apiPath, "ratelimitpolicies"}
	}
	var list v1alpha1.RateLimitPolicyList
	if err := c.get(ctx, &list, nil, path...); err != nil {
		return nil, fmt.Errorf("RateLimitPolicies: %w", err)
	}
	byPool := map[string]map[types.NamespacedName]bool{}
	for _, p := range list.Items {
		pool := p.Pool()
		if byPool[pool] == nil {
			byPool[pool] = map[types.NamespacedName]bool{}
		}
		byPool[pool][types.NamespacedName{Namespace: p.Namespace, Name: p.Name}] = true
	}
	var scopes []scope
	for _, pool := range slices.Sorted(maps.Keys(byPool)) {
		s := scope{means: func(namespace, name string) bool {
			return byPool[pool][types.NamespacedName{Namespace: namespace, Name: name}]
		}}
		s.enforcers, s.problem = c.enforcers(ctx, pool)
		scopes = append(scopes, s)
	}
	return scopes, nil
}

// enforcers returns the pods of a pool that answer.
func (c *cluster) enforcers(ctx context.Context, pool string) ([]enforcer, error) {
	var p v1alpha1.EnforcerPool
	if err := c.get(ctx, &p, nil, apiPath, "namespaces", c.pools, "enforcerpools", pool); err != nil {
		return nil, fmt.Errorf("EnforcerPool %s/%s: %w", c.pools, pool, err)
	}
	var endpoints discoveryv1.EndpointSliceList
	selector := url.Values{"labelSelector": {discoveryv1.LabelServiceName + "=" + p.Service()}}
	if err := c.get(ctx, &endpoints, selector, "apis/discovery.k8s.io/v1/namespaces", c.pools, "endpointslices"); err != nil {
		return nil, fmt.Errorf("EndpointSlices of Service %s/%s: %w", c.pools, p.Service(), err)
	}
	all := c.pods(endpoints.Items)
	if len(all) == 0 {
		return nil, fmt.Errorf("EnforcerPool %s/%s has no pod that is ready: look at the EndpointSlices of Service %s, or name an enforcer with --enforcer", c.pools, pool, p.Service())
	}
	return all, nil
}

// pods returns the ready pods in EndpointSlices, each once and ordered by name.
func (c *cluster) pods(all []discoveryv1.EndpointSlice) (pods []enforcer) {
	for _, s := range all {
		scheme, port := adminPort(s.Ports)
		if port == nil {
			continue
		}
		for _, e := range s.Endpoints {
			ready := e.Conditions.Ready == nil || *e.Conditions.Ready
			if e.TargetRef == nil || e.TargetRef.Kind != "Pod" || !ready {
				continue
			}
			at := fmt.Sprintf("%s%s:%d", scheme, e.TargetRef.Name, *port)
			proxy := c.base.JoinPath("api/v1/namespaces", c.pools, "pods", at, "proxy")
			pods = append(pods, enforcer{name: e.TargetRef.Name, url: proxy.String(), client: c.client})
		}
	}
	slices.SortFunc(pods, func(a, b enforcer) int { return cmp.Compare(a.name, b.name) })
	return slices.CompactFunc(pods, func(a, b enforcer) bool { return a.name == b.name })
}

// adminPort returns the port where enforcers answer, nil for none, and what the name of
// a pod begins with for the API server's proxy to speak TLS there.
func adminPort(ports []discoveryv1.EndpointPort) (scheme string, port *int32) {
	for _, p := range ports {
		switch {
		case p.Name == nil:
		case *p.Name == v1alpha1.AdminPort:
			return "", p.Port
		case *p.Name == v1alpha1.AdminTLSPort:
			return "https:", p.Port
		}
	}
	return "", nil
}
