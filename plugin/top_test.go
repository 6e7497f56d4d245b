package plugin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/enforcer/inspect"
	"github.com/sluice-dev/sluice/enforcer/report"
	"github.com/sluice-dev/sluice/plugin"
)

// began is when the enforcers of these tests started.
var began = time.Unix(1_700_000_000, 0).UTC()

// busy is an enforcer that is asked every ten seconds, by its own clock, and in each of
// which it did what usage says. One that starts again has done it once.
func busy(t *testing.T, restarts bool, usage ...report.Usage) string {
	t.Helper()
	var asked atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := asked.Add(1)
		now := began.Add(time.Duration(10*n) * time.Second)
		state := report.State{Node: "n", Started: began, Now: now}
		if restarts {
			state.Started, n = now.Add(-10*time.Second), 1
		}
		p := report.Policy{Namespace: "shop", Name: "web"}
		for _, u := range usage {
			u.Admitted, u.Limited, u.OverAdmitted = n*u.Admitted, n*u.Limited, n*u.OverAdmitted
			p.Limits = append(p.Limits, u)
		}
		state.Policies = []report.Policy{{Namespace: "zoo", Name: "z", Limits: []report.Usage{{Name: "l"}}}, p}
		_ = json.NewEncoder(w).Encode(state)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestTop(t *testing.T) {
	used := []report.Usage{
		{Name: "per-client", ActiveKeys: 12, Admitted: 490, Limited: 1955, OverAdmitted: 5000},
		{Name: "capacity", ActiveKeys: 1, Admitted: 45_000, Capacity: 10_000_000},
		{Name: "full", ActiveKeys: 1, Admitted: 1, Limited: 10_000, Capacity: 200},
		{Name: "nearly-idle", ActiveKeys: 1, Admitted: 3},
	}
	o := plugin.Options{Enforcers: []string{busy(t, false, used...), busy(t, true, used...)}, Namespace: "shop"}
	once := plugin.Top{Interval: plugin.MinInterval, Once: true}
	shows(t, o, once, `
NAMESPACE   POLICY   LIMIT         ADMITTED/S   LIMITED/S   KEYS   OVER   LOAD
shop        web      per-client    98.0         391         12     1.0%   [########--] 80% limited
shop        web      capacity      9000         0           1      0.0%   [#########-] 90% of 10000/s
shop        web      full          0.20         2000        1      0.0%   [##########] 100% of 0.20/s
shop        web      nearly-idle   0.60         0           1      0.0%   [----------] 0% limited
`)

	once.All = true
	if out, err := run(t, o, once); err != nil || !strings.Contains(out, "\nzoo         z        l             0            0           0      0.0%   [----------] idle\n") {
		t.Errorf("all namespaces: %v\n%s", err, out)
	}
	once.All, o.Output = false, "json"
	out, err := run(t, o, once)
	if err != nil {
		t.Fatal(err)
	}
	var got []plugin.Usage
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	want := plugin.Usage{Name: inspect.Name{Namespace: "shop", Policy: "web", Limit: "per-client"}, ActiveKeys: 12, Admitted: 98, Limited: 391, OverAdmission: 1 / 98.}
	if diff := cmp.Diff(want, got[0], cmp.Comparer(func(a, b float64) bool { return a-b < 1e-9 && b-a < 1e-9 }), cmp.AllowUnexported(plugin.Usage{})); diff != "" || len(got) != 4 {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
}

func TestTopOnATerminal(t *testing.T) {
	o := plugin.Options{Enforcers: []string{busy(t, false, report.Usage{Name: "l", Admitted: 1, Limited: 9}), "http://127.0.0.1:1"}, Terminal: true}
	ctx, cancel := context.WithCancel(t.Context())
	var text strings.Builder
	o.Out = writer(func(p []byte) (int, error) {
		if text.Len() > 0 {
			cancel() // it goes on until it is stopped
		}
		return text.Write(p)
	})
	err := plugin.Run(ctx, o, plugin.Top{Interval: plugin.MinInterval, Policy: "web"})
	out := text.String()
	if err != nil || strings.Count(out, "NAMESPACE") < 2 || !strings.HasPrefix(out, "\x1b[H\x1b[JNAMESPACE") || !strings.Contains(out, "\x1b[31m[#########-]\x1b[0m 90% limited\n") {
		t.Errorf("%v\n%q", err, out)
	}
	if !strings.Contains(out, "\nNo answer: enforcer 127.0.0.1:1: ") {
		t.Errorf("it does not say who does not answer:\n%q", out)
	}
}

// writer is an io.Writer.
type writer func(p []byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// Through an API server: of each pool the policies that the user may list, and what
// is wrong with one pool does not hide another.
func TestTopThroughTheAPIServer(t *testing.T) {
	state := func(seconds, admitted int) string {
		text, err := json.Marshal(report.State{Started: began, Now: began.Add(time.Duration(seconds) * time.Second), Policies: []report.Policy{
			{Namespace: "shop", Name: "web", Limits: []report.Usage{{Name: "l", Admitted: int64(admitted)}}},
			{Namespace: "shop", Name: "hidden", Limits: []report.Usage{{Name: "l", Admitted: int64(admitted)}}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	policies := `{"items": [` + webPolicy + `, {"metadata": {"namespace": "shop", "name": "lost"}, "spec": {"poolRef": {"name": "gone"}}}]}`
	s := serve(t, map[string]string{
		"GET /apis/sluice.dev/v1alpha1/namespaces/shop/ratelimitpolicies": policies,
		"GET /apis/sluice.dev/v1alpha1/ratelimitpolicies":                 `403 {"kind": "Status", "message": "ratelimitpolicies is forbidden at the cluster scope"}`,
		"GET " + poolPath: `{"metadata": {"name": "default"}}`, "GET " + podsPath: twoPods,
		"GET " + strings.Replace(poolPath, "default", "gone", 1): `404 {"kind": "Status", "message": "enforcerpools \"gone\" not found"}`,
		"GET " + proxies + "a:9090/proxy/v1/state":               state(1, 10), "GET " + proxies + "b:9090/proxy/v1/state": state(5, 50),
	})
	o := plugin.Options{Kubeconfig: s.kubeconfig(t)}
	out, err := run(t, o, plugin.Top{Interval: plugin.MinInterval, Once: true})
	if err != nil || !strings.Contains(out, "shop        web      l") || strings.Contains(out, "hidden") {
		t.Errorf("%v\n%s", err, out)
	}
	if want := "\nNo answer: EnforcerPool sluice-system/gone: enforcerpools \"gone\" not found\n"; !strings.Contains(out, want) {
		t.Errorf("output %q, want %q", out, want)
	}
	refuses(t, o, plugin.Top{Interval: time.Second, All: true}, "RateLimitPolicies: ratelimitpolicies is forbidden at the cluster scope")
	refuses(t, o, plugin.Top{Interval: time.Second, All: true, Policy: "web"}, "-A is for the policies of all namespaces: leave it out, or the policy's name")
	refuses(t, o, plugin.Top{Interval: time.Millisecond}, fmt.Sprintf("--interval 1ms: use %v or more", plugin.MinInterval))
}
