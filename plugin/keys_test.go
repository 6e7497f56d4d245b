package plugin_test

import (
	"strings"
	"testing"

	"github.com/sluice-dev/sluice/plugin"
)

func TestKeys(t *testing.T) {
	counter := func(node, rest string) string {
		return `{"node": "` + node + `", "namespace": "shop", "policy": "web", "limit": "l", "key": ["alice", ""], ` + rest + `}`
	}
	const used = `"rate": {"requests": 10, "per": "1s", "burst": 20}, "remaining": 3, "resetAfter": "1.7123s"`
	s := serve(t, map[string]string{
		"GET " + webPath: webPolicy, "GET " + poolPath: `{"metadata": {"name": "default"}}`, "GET " + podsPath: twoPods,
		"POST " + proxies + "a:9090/proxy/v1/keys": counter("a", used), "POST " + proxies + "b:9090/proxy/v1/keys": counter("b", strings.Replace(used, "3", "20", 1)),
		"PUT " + proxies + "a:9090/proxy/v1/keys": counter("a", strings.Replace(used, "3", "20", 1)), "PUT " + proxies + "b:9090/proxy/v1/keys": `502 {"kind": "Status", "message": "error trying to reach service"}`,
	})
	o := plugin.Options{Kubeconfig: s.kubeconfig(t)}
	look := plugin.Keys{Policy: "web", Limit: "l", Key: []string{"alice", ""}}
	shows(t, o, look, `
shop/web/l ["alice" ""]: 10 per 1s, burst 20

ENFORCER   LEFT   FULL IN
a          3      1.7s
b          20     1.7s
`)
	if sent, want := s.sent["POST "+proxies+"b:9090/proxy/v1/keys"], `{"namespace":"shop","policy":"web","limit":"l","key":["alice",""]}`+"\n"; sent != want {
		t.Errorf("asked %s, want %s", sent, want)
	}

	reset := look
	reset.Reset = true
	out, err := run(t, o, reset)
	if want := "reset on 1 of 2 enforcers; repeat it for the others:\nenforcer b: error trying to reach service"; err == nil || err.Error() != want || !strings.Contains(out, "\na          20 ") {
		t.Errorf("output %s, error %v, want %s", out, err, want)
	}
	for _, c := range []struct{ rest, want string }{
		{`"deny": true`, "shop/web/l [\"alice\" \"\"]: denied by an override\n"},
		{`"unlimited": true`, "shop/web/l [\"alice\" \"\"]: not limited, by an override\n"},
	} {
		s.answers["POST "+proxies+"a:9090/proxy/v1/keys"] = counter("a", c.rest)
		if out, err := run(t, o, look); err != nil || !strings.HasPrefix(out, c.want) || !strings.Contains(out, "\na          -      -\n") {
			t.Errorf("%v\n%s", err, out)
		}
	}
	for _, pod := range []string{"a", "b"} {
		s.answers["PUT "+proxies+pod+":9090/proxy/v1/keys"] = forbids
	}
	refuses(t, o, reset, `enforcer a: pods "a:9090" is forbidden`)
	refuses(t, o, reset, "config/rbac/users.yaml has the roles that this takes")
}

// Of a limit that is shared exactly the enforcer that keeps the count knows what is left,
// whatever the others have heard.
func TestKeysOfWhatIsSharedExactly(t *testing.T) {
	counter := func(node, left string) string {
		return `{"node": "` + node + `", "namespace": "shop", "policy": "web", "limit": "l", "key": ["alice"], "keptBy": "b",
			"rate": {"requests": 20, "per": "24h", "burst": 20}, "remaining": ` + left + `, "resetAfter": "1h"}`
	}
	s := serve(t, map[string]string{
		"GET " + webPath: webPolicy, "GET " + poolPath: `{"metadata": {"name": "default"}}`, "GET " + podsPath: twoPods,
		"POST " + proxies + "a:9090/proxy/v1/keys": counter("a", "20"), "POST " + proxies + "b:9090/proxy/v1/keys": counter("b", "3"),
	})
	o, look := plugin.Options{Kubeconfig: s.kubeconfig(t)}, plugin.Keys{Policy: "web", Limit: "l", Key: []string{"alice"}}
	shows(t, o, look, `
shop/web/l ["alice"]: 20 per 24h
It is shared exactly, and one enforcer keeps the count.

ENFORCER   LEFT   FULL IN
b          3      1h0m0s
`)
	s.answers["POST "+proxies+"b:9090/proxy/v1/keys"] = counter("b", `3, "lent": 5`)
	if out, err := run(t, o, look); err != nil || !strings.Contains(out, "one enforcer keeps the count: it has lent 5 more to others, who use them or give them back.\n") {
		t.Errorf("%v\n%s", err, out)
	}
	s.answers["POST "+proxies+"b:9090/proxy/v1/keys"] = "503 nobody is there"
	out, err := run(t, o, look)
	if want := "It is shared exactly, and b keeps the count: what others know may be old, or nothing.\n\nENFORCER   LEFT   FULL IN\na          20"; err == nil || !strings.Contains(out, want) {
		t.Errorf("without the one that keeps the count: %v\n%s", err, out)
	}
}
