package controllers

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"slices"
	"sync"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/enforcer/discovery"
)

// clients are what enforcers are asked with: by plain text, or by TLS where they
// speak it. Safe for concurrent use.
type clients struct {
	plain *http.Client

	mu    sync.Mutex
	pools map[string]verifier // of those that speak TLS, or did
}

// verifier asks the enforcers of a pool by TLS. It is immutable.
type verifier struct {
	name   string   // that their certificates are for
	roots  []string // in PEM, the newest first: what their certificates lead to
	client *http.Client
}

func newClients(plain *http.Client) *clients {
	return &clients{plain: plain, pools: map[string]verifier{}}
}

// verify says what the certificates of a pool's enforcers are for, and what they lead
// to. Where they led before is good as well: new certificates reach one enforcer
// after the other. So is all that was said when the pool goes back to plain text.
func (c *clients) verify(pool, name string, roots []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.pools[pool]
	if before.name == name && before.roots[0] == string(roots) {
		return
	}
	now := verifier{name: name, roots: append([]string{string(roots)}, before.roots...)}
	now.roots = slices.Clip(now.roots[:min(len(now.roots), 2)])
	trusted := x509.NewCertPool()
	for _, pem := range now.roots {
		trusted.AppendCertsFromPEM([]byte(pem))
	}
	client, transport := *c.plain, &http.Transport{}
	if own, ok := c.plain.Transport.(*http.Transport); ok {
		transport = own.Clone()
	}
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: trusted, ServerName: name}
	client.Transport = transport
	now.client = &client
	c.pools[pool] = now
	if before.client != nil {
		before.client.CloseIdleConnections()
	}
}

// forget drops what is known of a pool that is gone.
func (c *clients) forget(pool string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.pools, pool)
}

// ask asks one enforcer of a pool for its state, as fetchState does.
func (c *clients) ask(ctx context.Context, pool string, e discovery.Endpoint, known []string) answer {
	if address, ok := e.Address(v1alpha1.AdminTLSPort); ok {
		c.mu.Lock()
		client := c.pools[pool].client
		c.mu.Unlock()
		if client == nil {
			return answer{problem: "speaks TLS, and the manager has no certificate to verify it by: say spec.tls.secretName in the pool"}
		}
		return fetchState(ctx, client, "https://"+address, known)
	}
	if address, ok := e.Address(v1alpha1.AdminPort); ok {
		return fetchState(ctx, c.plain, "http://"+address, known)
	}
	return answer{problem: "has no port named " + v1alpha1.AdminPort}
}
