// Package install checks what Sluice is installed and delivered by: the Helm chart,
// which must install what config/default does, and the samples for Flux and Argo CD.
// It is a module of its own so that Helm does not reach that of Sluice.
package install

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	"sigs.k8s.io/yaml"
)

const (
	root  = "../.."
	chart = root + "/charts/sluice"
)

// object is one of YAML, as it is.
type object = map[string]any

func TestHelmLint(t *testing.T) {
	for _, m := range lint.RunAll(chart, nil, "sluice-system").Messages {
		if m.Path != "Chart.yaml" || !strings.Contains(m.Err.Error(), "icon is recommended") {
			t.Error(m)
		}
	}
}

func TestTheChartInstallsWhatConfigDoes(t *testing.T) {
	got, want := render(t, "sluice-system", ""), kustomize(t, "config/default")
	delete(want, "Namespace /sluice-system") // helm install --create-namespace
	for name, o := range got {
		if strings.HasPrefix(name, "CustomResourceDefinition") {
			annotations := at(o, "metadata.annotations").(object)
			if annotations["helm.sh/resource-policy"] != "keep" {
				t.Errorf("helm uninstall would delete %s, and policies with it", name)
			}
			delete(annotations, "helm.sh/resource-policy")
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the chart differs from config/default (-config +chart):\n%s", diff)
	}
}

func TestEveryValueHasItsEffect(t *testing.T) {
	manager := "Deployment edge/sluice-manager"
	container := "spec.template.spec.containers.0."
	for values, want := range map[string]struct {
		object, path string
		value        any // nil: it is not there
	}{
		"crds: false":        {"CustomResourceDefinition /ratelimitpolicies.sluice.dev", "kind", nil},
		"defaultPool: false": {manager, container + "args", []any{"--namespace=edge", "--leader-elect", "--enforcer-image=$(ENFORCER_IMAGE)"}},
		"manager: {image: {repository: example.com/m}}":                       {manager, container + "image", "example.com/m:latest"},
		"manager: {image: {tag: v1.2.3}}":                                     {manager, container + "image", "ghcr.io/sluice-dev/manager:v1.2.3"},
		"enforcer: {image: {repository: example.com/e}}":                      {manager, container + "env.0.value", "example.com/e:latest"},
		"enforcer: {image: {tag: 'sha256:" + strings.Repeat("0f", 32) + "'}}": {manager, container + "env.0.value", "ghcr.io/sluice-dev/enforcer@sha256:" + strings.Repeat("0f", 32)},
		"imagePullSecrets: [{name: registry}]":                                {manager, "spec.template.spec.imagePullSecrets", []any{object{"name": "registry"}}},
		"manager: {replicas: 2}":                                              {manager, "spec.replicas", 2.0},
		"manager: {resources: {limits: {memory: 1Gi}}}":                       {manager, container + "resources.limits.memory", "1Gi"},
		"manager: {nodeSelector: {role: infra}}":                              {manager, "spec.template.spec.nodeSelector", object{"role": "infra"}},
		"manager: {tolerations: [{operator: Exists}]}":                        {manager, "spec.template.spec.tolerations", []any{object{"operator": "Exists"}}},
		"manager: {affinity: {nodeAffinity: {}}}":                             {manager, "spec.template.spec.affinity", object{"nodeAffinity": object{}}},
		"manager: {priorityClassName: system-cluster-critical}":               {manager, "spec.template.spec.priorityClassName", "system-cluster-critical"},
	} {
		t.Run(values, func(t *testing.T) {
			if diff := cmp.Diff(want.value, at(render(t, "edge", values)[want.object], want.path)); diff != "" {
				t.Errorf("%s of %s (-want +got):\n%s", want.path, want.object, diff)
			}
		})
	}
}

func TestTheNamespaceIsThatOfTheRelease(t *testing.T) {
	for name, o := range render(t, "edge", "") {
		text, err := yaml.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "sluice-system") && !strings.HasPrefix(name, "CustomResourceDefinition") {
			t.Errorf("%s names sluice-system, but the release is in edge:\n%s", name, text)
		}
	}
}

func TestTheSchemaRefusesMistakes(t *testing.T) {
	for values, want := range map[string]string{
		"replicas: 3":                    "additional properties 'replicas' not allowed",
		"manager: {replica: 3}":          "additional properties 'replica' not allowed",
		"manager: {replicas: 0}":         "minimum: got 0, want 1",
		"manager: {image: {tag: 'a b'}}": "does not match pattern",
		"enforcer: {image: ghcr.io/x}":   "got string, want object",
		"imagePullSecrets: [registry]":   "got string, want object",
		"defaultPool: 'no'":              "got string, want boolean",
	} {
		if _, err := tryRender(t, "edge", values); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", values, err, want)
		}
	}
}

// What values.yaml explains and what the schema allows is the same.
func TestTheSchemaKnowsWhatValuesExplain(t *testing.T) {
	var schema, values object
	parse(t, chart+"/values.schema.json", &schema)
	parse(t, chart+"/values.yaml", &values)
	for _, path := range []string{"", "manager", "manager.image", "enforcer", "enforcer.image"} {
		allowed, explained := at(schema, "properties"), any(values)
		for _, name := range strings.FieldsFunc(path, func(r rune) bool { return r == '.' }) {
			if allowed = at(allowed.(object)[name].(object), "properties"); allowed == nil {
				allowed = at(schema, "definitions."+name+".properties")
			}
			explained = explained.(object)[name]
		}
		want, got := slices.Sorted(maps.Keys(explained.(object))), slices.Sorted(maps.Keys(allowed.(object)))
		if diff := cmp.Diff(want, slices.DeleteFunc(got, func(name string) bool { return name == "global" })); diff != "" { // Helm's own
			t.Errorf("values %q (-explained +allowed):\n%s", path, diff)
		}
	}
}

// render returns what helm template makes of some values, by kind and name.
func render(t *testing.T, namespace, values string) map[string]object {
	t.Helper()
	all, err := tryRender(t, namespace, values)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func tryRender(t *testing.T, namespace, values string) (map[string]object, error) {
	t.Helper()
	loaded, err := loader.LoadDir(chart)
	if err != nil {
		t.Fatal(err)
	}
	given := object{}
	if err := yaml.Unmarshal([]byte(values), &given); err != nil {
		t.Fatal(err)
	}
	release := common.ReleaseOptions{Name: "sluice", Namespace: namespace, IsInstall: true, Revision: 1}
	all, err := util.ToRenderValues(loaded, given, release, common.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	files, err := engine.Render(loaded, all)
	if err != nil {
		return nil, err
	}
	return objects(t, strings.Join(slices.Collect(maps.Values(files)), "\n---\n")), nil
}

// kustomize returns what kubectl makes of a folder, by kind and name.
func kustomize(t *testing.T, folder string) map[string]object {
	t.Helper()
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	if assets == "" {
		t.Fatal("this test needs kubectl: run make test, or set KUBEBUILDER_ASSETS to the folder that hack/kube/build.sh prints")
	}
	text, err := exec.CommandContext(t.Context(), filepath.Join(assets, "kubectl"), "kustomize", filepath.Join(root, folder)).Output()
	if err != nil {
		t.Fatal(err)
	}
	return objects(t, string(text))
}

// objects returns those of a stream of YAML, by kind and name.
func objects(t *testing.T, stream string) map[string]object {
	t.Helper()
	all := map[string]object{}
	for _, document := range strings.Split("\n"+stream, "\n---\n") {
		var o object
		if err := yaml.Unmarshal([]byte(document), &o); err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		if o == nil {
			continue
		}
		namespace, _ := at(o, "metadata.namespace").(string)
		name := o["kind"].(string) + " " + namespace + "/" + at(o, "metadata.name").(string)
		if all[name] != nil {
			t.Errorf("%s is there twice", name)
		}
		all[name] = o
	}
	return all
}

// at returns what is at a path of names and, in lists, indices; nil if nothing is.
func at(o any, path string) any {
	for _, step := range strings.Split(path, ".") {
		switch node := o.(type) {
		case object:
			o = node[step]
		case []any:
			if len(step) != 1 || int(step[0]-'0') >= len(node) {
				return nil
			}
			o = node[step[0]-'0']
		default:
			return nil
		}
	}
	return o
}

func parse(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err == nil {
		err = yaml.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}
