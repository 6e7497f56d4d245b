package install

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	lua "github.com/yuin/gopher-lua"
)

// The paths that the samples for GitOps tools name are there, and kubectl can build
// them; what one names of another is there too.
func TestGitOpsSamplesNameWhatIsThere(t *testing.T) {
	flux, argo := gitops(t, "flux.yaml"), gitops(t, "argocd.yaml")
	paths := map[string]bool{}
	for name, o := range flux {
		if !strings.HasPrefix(name, "Kustomization ") {
			continue
		}
		paths[at(o, "spec.path").(string)] = true
		if source := "GitRepository flux-system/" + at(o, "spec.sourceRef.name").(string); flux[source] == nil {
			t.Errorf("%s: there is no %s", name, source)
		}
		if first, ok := at(o, "spec.dependsOn.0.name").(string); ok && flux["Kustomization flux-system/"+first] == nil {
			t.Errorf("%s: there is no Kustomization %s", name, first)
		}
	}
	for _, o := range argo {
		paths[at(o, "spec.source.path").(string)] = true
	}
	if len(flux) != 3 || len(argo) != 2 || len(paths) != 4 {
		t.Errorf("%d objects for Flux, %d for Argo CD, paths %v", len(flux), len(argo), paths)
	}
	for path := range paths {
		if len(kustomize(t, path)) == 0 {
			t.Errorf("%s is empty", path)
		}
	}
}

func gitops(t *testing.T, file string) map[string]object {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "config", "gitops", file))
	if err != nil {
		t.Fatal(err)
	}
	return objects(t, string(text))
}

func TestArgoHealth(t *testing.T) {
	var patch struct{ Data map[string]string }
	parse(t, root+"/config/gitops/argocd-health.yaml", &patch)
	ready := func(observed float64, status, reason string) object {
		return object{"observedGeneration": observed, "conditions": []any{
			object{"type": "Accepted", "status": status, "reason": reason, "message": "not this one"},
			object{"type": "Ready", "status": status, "reason": reason, "message": "because"},
		}}
	}
	for _, kind := range []string{"RateLimitPolicy", "EnforcerPool"} {
		script := patch.Data["resource.customizations.health.sluice.dev_"+kind]
		for name, tc := range map[string]struct {
			status any
			want   string
		}{
			"no status":                        {nil, "Progressing: the manager has not seen this generation"},
			"nobody has seen it":               {object{"observedGeneration": -1.0}, "Progressing: the manager has not seen this generation"},
			"nobody has seen this generation":  {ready(3, "True", "Ready"), "Progressing: the manager has not seen this generation"},
			"ready":                            {ready(4, "True", "Ready"), "Healthy: because"},
			"an enforcer lags":                 {ready(4, "False", "Pending"), "Progressing: because"},
			"the author has to mend it":        {ready(4, "False", "Invalid"), "Degraded: because"},
			"the author has to ask for it":     {ready(4, "False", "NotAllowedByPool"), "Degraded: because"},
			"the pool's admin has to mend it":  {ready(4, "False", "Stuck"), "Degraded: because"},
			"the pool's admin has to unbar it": {ready(4, "False", "BuildFailed"), "Degraded: because"},
			"a rollout":                        {ready(4, "False", "RollingOut"), "Progressing: because"},
		} {
			o := object{"metadata": object{"generation": 4.0}}
			if tc.status != nil {
				o["status"] = tc.status
			}
			if got := runLua(t, script, o); got != tc.want {
				t.Errorf("%s, %s: %q, want %q", kind, name, got, tc.want)
			}
		}
	}
}

// Every reason that the script knows is one of the API: a name that was changed there
// would make it useless.
func TestArgoHealthKnowsTheReasons(t *testing.T) {
	var patch struct{ Data map[string]string }
	parse(t, root+"/config/gitops/argocd-health.yaml", &patch)
	text, err := os.ReadFile(root + "/api/v1alpha1/conditions.go")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(patch.Data["resource.customizations.health.sluice.dev_EnforcerPool"], "{")
	list, _, _ = strings.Cut(list, "}")
	for _, entry := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' }) {
		reason := strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(entry), "= true"))
		if reason != "" && !slices.Contains(strings.Split(string(text), "\n"), "\tReason"+reason+" = \""+reason+"\"") {
			t.Errorf("the API has no reason %s", reason)
		}
	}
}

// runLua returns the health that a script finds, as Argo CD does.
func runLua(t *testing.T, script string, o object) string {
	t.Helper()
	state := lua.NewState()
	defer state.Close()
	state.SetGlobal("obj", luaOf(state, o))
	if err := state.DoString(script); err != nil {
		t.Fatal(err)
	}
	health := state.Get(-1).(*lua.LTable)
	return health.RawGetString("status").String() + ": " + health.RawGetString("message").String()
}

func luaOf(state *lua.LState, value any) lua.LValue {
	switch value := value.(type) {
	case string:
		return lua.LString(value)
	case float64:
		return lua.LNumber(value)
	case []any:
		table := state.NewTable()
		for _, v := range value {
			table.Append(luaOf(state, v))
		}
		return table
	case object:
		table := state.NewTable()
		for name, v := range value {
			table.RawSetString(name, luaOf(state, v))
		}
		return table
	}
	return lua.LNil
}
