package plugin_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-dev/sluice/enforcer/inspect"
	"github.com/sluice-dev/sluice/enforcer/requestjson"
	"github.com/sluice-dev/sluice/plugin"
)

const storefront = `
apiVersion: sluice.dev/v1alpha1
kind: RateLimitPolicy
metadata: {name: storefront, namespace: shop}
spec:
  domain: storefront
  limits:
  - name: per-client
    when: ["request.path.startsWith('/api/')", "request.method != 'OPTIONS'"]
    key: ["request.headers['x-api-key']"]
    rate: {requests: 10, per: 1s}
    burst: 20
    firstBurst: Share
    cost: 1 + size(request.query['page'])
    overrides:
    - {key: [banned], deny: true}
    - {key: ["internal-*"], unlimited: true}
    - {key: ["acme"], rate: {requests: 100, per: 1m}}
  - name: writes
    when: ["request.method == 'POST'"]
    rate: {requests: 5, per: Day}
    sharing: Local
    algorithm: FixedWindow
    mode: Shadow
  - name: plan
    key: ["descriptor['plan']"]
    rate: {requests: 1, per: 1s}
    sharing: Exact
---
apiVersion: sluice.dev/v1alpha1
kind: RateLimitPolicy
metadata: {name: odd, namespace: other}
spec:
  domain: odd
  limits:
  - name: l
    when: ["int(request.path) > 1"]
    rate: {requests: 1, per: 1s}
`

// files writes the policies to a file.
func files(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "policies.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// ask is a question about a policy.
func ask(policy string, r requestjson.Request) plugin.Question {
	return plugin.Question{Policy: policy, Request: inspect.Request{Request: r}}
}

func headers(key string) map[string]string { return map[string]string{"X-Api-Key": key} }

func TestExplainByFiles(t *testing.T) {
	path := files(t, storefront)
	for name, c := range map[string]struct {
		question plugin.Question
		want     string
	}{
		"what applies and what does not": {
			ask("storefront", requestjson.Request{Method: "GET", Path: "/api/x", Headers: headers("alice"), Query: map[string]string{"page": "12"}}), `
shop/storefront/per-client applies
  when        request.path.startsWith('/api/')  true
  when        request.method != 'OPTIONS'       true
  key         request.headers['x-api-key']      "alice"
  cost        1 + size(request.query['page'])   3
  rate        10 per 1s, burst 20
  firstBurst  Share

shop/storefront/writes does not apply
  when  request.method == 'POST'  false

shop/storefront/plan does not apply
  reads  descriptor['plan']  which the request does not have

1 of 3 limits of domain storefront apply.
`,
		},
		"overrides and Shadow": {
			ask("storefront", requestjson.Request{Method: "POST", Path: "/api/x", Headers: headers("banned"), Descriptors: []requestjson.Descriptor{
				{Entries: []requestjson.Entry{{Key: "plan", Value: "gold"}}},
			}}), `
shop/storefront/per-client applies, and denies this client
  when      request.path.startsWith('/api/')  true
  when      request.method != 'OPTIONS'       true
  key       request.headers['x-api-key']      "banned"
  override  overrides[0]                      ["banned"]
  cost      1 + size(request.query['page'])   1

shop/storefront/writes applies; in Shadow mode: it is counted, and denies nothing
  when     request.method == 'POST'  true
  cost     1
  rate     5 per Day
  sharing  Local

shop/storefront/plan applies (descriptor 0)
  key            descriptor['plan']  "gold"
  cost           1
  rate           1 per 1s
  sharing        Exact
  onUnreachable  LocalShare

3 of 3 limits of domain storefront apply.
`,
		},
		"an expression that fails": {
			ask("odd", requestjson.Request{Method: "GET", Path: "/"}), `
other/odd/l applies
  when  int(request.path) > 1  true, since it fails: type conversion error from 'string' to 'int'
  cost  1
  rate  1 per 1s

1 of 1 limits of domain odd apply.
`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			shows(t, plugin.Options{}, plugin.Explain{Question: c.question, Files: path}, c.want)
		})
	}

	whole := plugin.Explain{Question: ask("", requestjson.Request{Path: "/"}), Files: path}
	refuses(t, plugin.Options{}, whole, "has the domains odd, storefront: say which with --domain")
	refuses(t, plugin.Options{}, plugin.Explain{Question: ask("web", requestjson.Request{}), Files: path}, "has no policy web: name another, or its -n NAMESPACE")
	refuses(t, plugin.Options{Namespace: "other"}, plugin.Explain{Question: ask("storefront", requestjson.Request{}), Files: path}, "has no policy storefront")
	refuses(t, plugin.Options{}, plugin.Explain{Files: files(t, "kind: Nonsense")}, "this is no Kubernetes object: give it an apiVersion and a kind")
	refuses(t, plugin.Options{Output: "yaml"}, whole, "-o yaml: use json, or leave it out")
	whole.Request.Domain = "odd"
	if out, err := run(t, plugin.Options{Output: "json"}, whole); err != nil || !strings.Contains(out, `"applies": true`) {
		t.Errorf("%s, %v", out, err)
	}
}
