package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/sluice-dev/sluice/enforcer/inspect"
	"github.com/sluice-dev/sluice/plugin"
)

// The plugin has its user's rights. Those of config/rbac/users.yaml are enough for
// all that it does, and without them it says what is missing. There is no pod
// behind the Service, so that it gets as far as being told that.
func TestThePluginHasItsUsersRights(t *testing.T) {
	w := newEmptyWorld(t)
	pool := w.createPool("default")
	w.create(endpointSlice(w.operator, pool.Service(), []discoveryv1.Endpoint{
		{Addresses: []string{"10.1.0.1"}, TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: "sluice-0"}},
	}))
	w.policy(w.shop, "storefront", "", byKey)

	user := "jane-of-" + w.operator
	account, err := controlPlane.AddUser(envtest.User{Name: user}, nil)
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig, err := account.KubeConfig()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, kubeconfig, 0o600); err != nil {
		t.Fatal(err)
	}
	question := plugin.Question{Policy: "storefront"}
	byDomain := plugin.Question{Request: inspect.Request{Domain: "storefront"}}
	run := func(c plugin.Command) string {
		var out strings.Builder
		err := plugin.Run(t.Context(), plugin.Options{Kubeconfig: path, Namespace: w.shop, PoolNamespace: w.operator, Pool: "default", Out: &out}, c)
		return fmt.Sprint(err)
	}
	forbidden := fmt.Sprintf("\nconfig/rbac/users.yaml has the roles that this takes, to be bound in the namespace of the policies and in %s", w.operator)
	check := func(what string, c plugin.Command, wants ...string) {
		t.Helper()
		got := run(c)
		for _, want := range wants {
			if !strings.Contains(got, want) {
				t.Errorf("%s: %s\nwant %q", what, got, want)
			}
		}
	}
	check("without any rights", plugin.Explain{Question: question}, `RateLimitPolicy `+w.shop+`/storefront: ratelimitpolicies.sluice.dev "storefront" is forbidden: User "`+user+`" cannot get`)
	check("without any rights", plugin.Try{Question: byDomain}, `EnforcerPool `+w.operator+`/default: enforcerpools.sluice.dev "default" is forbidden`, forbidden)

	noPod := `enforcer sluice-0: pods "sluice-0" not found`
	reaches := func(c plugin.Command) {
		t.Helper()
		w.eventually("the rights are known", func() error {
			if got := run(c); !strings.Contains(got, noPod) {
				return fmt.Errorf("it says %s", got)
			}
			return nil
		})
	}
	reset := plugin.Keys{Policy: "storefront", Limit: "l", Reset: true}
	w.grant(user, "users.yaml", "sluice-policy-viewer", "sluice-observer")
	for _, c := range []plugin.Command{plugin.Explain{Question: question}, plugin.Try{Question: byDomain}, plugin.Keys{Policy: "storefront", Limit: "l"}, plugin.Top{Interval: time.Second}} {
		reaches(c)
	}
	check("an observer", reset, `enforcer sluice-0: pods "sluice-0:9090" is forbidden: User "`+user+`" cannot update resource "pods/proxy"`, forbidden)
	w.grant(user, "users.yaml", "sluice-key-resetter")
	reaches(reset)
	question.Policy = "nothing"
	check("with all rights", plugin.Try{Question: question}, `RateLimitPolicy `+w.shop+`/nothing: ratelimitpolicies.sluice.dev "nothing" not found`)
}
