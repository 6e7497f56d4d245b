package plugin_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sluice-dev/sluice/enforcer/requestjson"
	"github.com/sluice-dev/sluice/plugin"
)

const (
	poolPath = "/apis/sluice.dev/v1alpha1/namespaces/sluice-system/enforcerpools/default"
	podsPath = "/apis/discovery.k8s.io/v1/namespaces/sluice-system/endpointslices"
	webPath  = "/apis/sluice.dev/v1alpha1/namespaces/shop/ratelimitpolicies/web"
	proxies  = "/api/v1/namespaces/sluice-system/pods/"

	twoPods = `{"items": [{"ports": [{"name": "gossip", "port": 7946}, {"name": "admin", "port": 9090}], "endpoints": [
		{"targetRef": {"kind": "Pod", "name": "b"}}, {"targetRef": {"kind": "Pod", "name": "a"}, "conditions": {"ready": true}},
		{"targetRef": {"kind": "Pod", "name": "starting"}, "conditions": {"ready": false}}, {"addresses": ["10.0.0.9"]}]},
		{"ports": [{"name": "admin", "port": 9090}], "endpoints": [{"targetRef": {"kind": "Pod", "name": "a"}}]}]}`

	webPolicy = `{"metadata": {"namespace": "shop", "name": "web"}, "spec": {"poolRef": {"name": "default"}}}`

	admits = `{"node": "a", "outcome": "admitted", "decided": {"namespace": "shop", "policy": "web", "limit": "l"}, "limits": [
		{"namespace": "shop", "policy": "web", "limit": "l", "remaining": 7, "resetAfter": "1.3238s"},
		{"namespace": "shop", "policy": "web", "limit": "free", "unlimited": true}]}`
	denies = `{"node": "b", "outcome": "denied", "decided": {"namespace": "shop", "policy": "web", "limit": "l"}, "limits": [
		{"namespace": "shop", "policy": "web", "limit": "l", "denied": true, "remaining": 0, "resetAfter": "2m0.4s", "retryAfter": "100.4ms"},
		{"namespace": "shop", "policy": "web", "limit": "banned", "shadow": true, "denied": true, "remaining": 0, "resetAfter": "0s"}]}`
	forbids = `403 {"kind": "Status", "message": "pods \"a:9090\" is forbidden: User \"jane\" cannot create resource \"pods/proxy\""}`
)

func TestTryAsksEveryPodThroughTheAPIServer(t *testing.T) {
	s := serve(t, map[string]string{
		"GET " + webPath: webPolicy, "GET " + poolPath: `{"metadata": {"name": "default"}}`, "GET " + podsPath: twoPods,
		"POST " + proxies + "a:9090/proxy/v1/try": admits, "POST " + proxies + "b:9090/proxy/v1/try": denies,
	})
	o := plugin.Options{Kubeconfig: s.kubeconfig(t)}
	try := plugin.Try{Question: ask("web", requestjson.Request{Path: "/x", Headers: headers("alice")})}
	shows(t, o, try, `
denied by shop/web/l

LIMIT             SAYS              LEFT   FULL IN   RETRY IN
shop/web/l        denied            0      2m0s      100ms
shop/web/banned   denied (Shadow)   0      0s        never

So says b; a says admitted.
`)
	for _, pod := range []string{"a", "b"} {
		var sent map[string]any
		if err := json.Unmarshal([]byte(s.sent["POST "+proxies+pod+":9090/proxy/v1/try"]), &sent); err != nil {
			t.Fatal(err)
		}
		if sent["domain"] != "shop.web" || sent["path"] != "/x" {
			t.Errorf("pod %s was asked %v", pod, sent)
		}
	}

	s.answers["POST "+proxies+"b:9090/proxy/v1/try"] = "503 nobody is there"
	out, err := run(t, o, try)
	if err != nil || !strings.HasPrefix(out, "admitted by shop/web/l\n") || !strings.HasSuffix(out, "\nNo answer: enforcer b: 503 Service Unavailable: nobody is there\n") {
		t.Errorf("with one pod that does not answer: %v\n%s", err, out)
	}
	o.Output = "json"
	if out, err := run(t, o, try); err != nil || !strings.HasPrefix(out, "[\n  {\n    \"node\": \"a\"") {
		t.Errorf("as JSON: %v\n%s", err, out)
	}
}

// Each limit that is shared exactly is answered by the enforcer that keeps the client's
// count: another one may suppose that nothing is used, or that more is.
func TestTryAsksWhoKeepsTheCount(t *testing.T) {
	answer := func(node, outcome, one, two string) string {
		return `{"node": "` + node + `", "outcome": "` + outcome + `", "decided": {"namespace": "shop", "policy": "web", "limit": "one"}, "limits": [
			{"namespace": "shop", "policy": "web", "limit": "one", "keptBy": "a", ` + one + `}, {"namespace": "shop", "policy": "web", "limit": "two", "keptBy": "b", ` + two + `}]}`
	}
	const full, some = `"remaining": 20, "resetAfter": "0s"`, `"remaining": 5, "resetAfter": "1m"`
	const none = `"denied": true, "remaining": 0, "resetAfter": "2m", "retryAfter": "10s"`
	for name, c := range map[string]struct{ a, b, want string }{
		"one has more than the other supposes": {answer("a", "admitted", some, full), answer("b", "denied", none, some), `
admitted by shop/web/one

LIMIT          SAYS       LEFT   FULL IN   RETRY IN
shop/web/one   admitted   5      1m0s      -
shop/web/two   admitted   5      1m0s      -
`},
		"one denies, and the other does not know": {answer("a", "admitted", full, full), answer("b", "denied", full, none), `
denied by shop/web/two

LIMIT          SAYS       LEFT   FULL IN   RETRY IN
shop/web/one   admitted   20     0s        -
shop/web/two   denied     0      2m0s      10s
`},
		"one does not answer": {answer("a", "admitted", some, full), "503 nobody is there", `
admitted by shop/web/one

LIMIT          SAYS       LEFT   FULL IN   RETRY IN
shop/web/one   admitted   5      1m0s      -
shop/web/two   admitted   20     0s        -

No answer: enforcer b: 503 Service Unavailable: nobody is there
`},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, map[string]string{
				"GET " + webPath: webPolicy, "GET " + poolPath: `{"metadata": {"name": "default"}}`, "GET " + podsPath: twoPods,
				"POST " + proxies + "a:9090/proxy/v1/try": c.a, "POST " + proxies + "b:9090/proxy/v1/try": c.b,
			})
			shows(t, plugin.Options{Kubeconfig: s.kubeconfig(t)}, plugin.Try{Question: ask("web", requestjson.Request{})}, c.want)
		})
	}
}

func TestWhatTheAPIServerRefuses(t *testing.T) {
	s := serve(t, map[string]string{"GET " + webPath: webPolicy, "GET " + podsPath: twoPods})
	o := plugin.Options{Kubeconfig: s.kubeconfig(t)}
	web := plugin.Try{Question: ask("web", requestjson.Request{})}
	refuses(t, o, web, "EnforcerPool sluice-system/default: 404 Not Found")
	s.answers["GET "+poolPath] = `{"metadata": {"name": "default"}, "spec": {"serviceName": "mine"}}`
	for _, pod := range []string{"a", "b"} {
		s.answers["POST "+proxies+pod+":9090/proxy/v1/try"] = forbids
		s.answers["POST "+proxies+pod+":9090/proxy/v1/explain"] = forbids
	}
	rights := "\nconfig/rbac/users.yaml has the roles that this takes, to be bound in the namespace of the policies and in sluice-system"
	refuses(t, o, web, `enforcer a: pods "a:9090" is forbidden: User "jane" cannot create resource "pods/proxy"`)
	if _, err := run(t, o, web); strings.Count(err.Error(), "is forbidden") != 1 {
		t.Errorf("it is refused more than once: %v", err)
	}
	refuses(t, o, web, rights)
	explain := plugin.Explain{Question: ask("", requestjson.Request{})}
	explain.Request.Domain = "web"
	refuses(t, o, explain, rights)
	s.answers["POST "+proxies+"a:9090/proxy/v1/explain"] = `404 {"kind": "Status", "message": "pods \"a\" not found"}`
	s.answers["POST "+proxies+"b:9090/proxy/v1/explain"] = `{"domain": "web"}`
	shows(t, o, explain, "0 of 0 limits of domain web apply.\n")
	refuses(t, o, plugin.Try{Question: ask("other", requestjson.Request{})}, "RateLimitPolicy shop/other: 404 Not Found")
	refuses(t, o, plugin.Try{}, "say which limits to ask about: name a policy, or a --domain")
	s.answers["GET "+podsPath] = `{"items": []}`
	refuses(t, o, web, "EnforcerPool sluice-system/default has no pod that is ready: look at the EndpointSlices of Service mine, or name an enforcer with --enforcer")
	refuses(t, plugin.Options{Kubeconfig: "/nowhere"}, web, "or ask enforcers themselves with --enforcer URL")
}

func TestWithoutACluster(t *testing.T) {
	s := serve(t, map[string]string{
		"GET /v1/state":    `{"node": "a", "policies": [{"namespace": "shop", "name": "web", "domain": "d"}]}`,
		"POST /v1/try":     admits,
		"POST /v1/explain": `404 {"detail": "no policy in force has the domain \"d\""}`,
	})
	o := plugin.Options{Enforcers: []string{s.URL + "/"}, Namespace: "shop"}
	shows(t, o, plugin.Try{Question: ask("web", requestjson.Request{})}, `
admitted by shop/web/l

LIMIT           SAYS       LEFT        FULL IN   RETRY IN
shop/web/l      admitted   7           1.3s      -
shop/web/free   admitted   unlimited   -         -
`)
	if sent := s.sent["POST /v1/try"]; !strings.Contains(sent, `"domain":"d"`) {
		t.Errorf("asked %s", sent)
	}
	refuses(t, o, plugin.Explain{Question: ask("web", requestjson.Request{})}, `: no policy in force has the domain "d"`)
	o.Namespace = "other"
	refuses(t, o, plugin.Try{Question: ask("web", requestjson.Request{})}, "enforcer a runs no policy web: name another, or its -n NAMESPACE")
	for _, url := range []string{"127.0.0.1:9090", "ftp://a", "http://"} {
		refuses(t, plugin.Options{Enforcers: []string{url}}, plugin.Try{Question: ask("web", requestjson.Request{})}, "--enforcer "+url+": write the URL of its admin port, such as http://127.0.0.1:9090")
	}
}
