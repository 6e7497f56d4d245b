// Package crd checks what the API server makes of RateLimitPolicies and
// EnforcerPools: which it refuses, with which words, and what it fills in.
package crd

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// server is the API server that all tests of this package share.
var server client.Client

func TestMain(m *testing.M) {
	os.Exit(func() int {
		if os.Getenv("KUBEBUILDER_ASSETS") == "" {
			fmt.Fprintln(os.Stderr, "these tests need an API server: run make test, or set KUBEBUILDER_ASSETS to the folder that hack/kube/build.sh prints")
			return 1
		}
		logf.SetLogger(logr.Discard())
		env := &envtest.Environment{CRDDirectoryPaths: []string{"../../config/crd/bases"}, ErrorIfCRDPathMissing: true}
		config, err := env.Start()
		if err != nil {
			fmt.Fprintln(os.Stderr, "start the API server:", err)
			return 1
		}
		defer func() { _ = env.Stop() }()
		scheme := runtime.NewScheme()
		if err := v1alpha1.AddToScheme(scheme); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		if server, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// create tries to create the object of a file, without keeping it.
func create(t *testing.T, text []byte) error {
	t.Helper()
	// As kubectl does: integers stay integers.
	asJSON, err := yaml.ToJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(asJSON); err != nil {
		t.Fatal(err)
	}
	if object.GetNamespace() == "" || object.GetKind() == "RateLimitPolicy" {
		object.SetNamespace("default")
	}
	return server.Create(t.Context(), object, client.DryRunAll, client.FieldValidation("Strict"))
}

func files(t *testing.T, pattern string) []string {
	t.Helper()
	all, err := filepath.Glob(pattern)
	if err != nil || len(all) == 0 {
		t.Fatalf("no file matches %s (%v)", pattern, err)
	}
	return all
}

// TestInvalid: each file says in its first lines what the refusal must contain.
func TestInvalid(t *testing.T) {
	for _, file := range files(t, "invalid/*.yaml") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			want, ok := strings.CutPrefix(strings.SplitN(string(text), "\n", 2)[0], "# want: ")
			if !ok {
				t.Fatal("the first line is not '# want: MESSAGE'")
			}
			err = create(t, text)
			if err == nil {
				t.Fatalf("it was accepted, want %q", want)
			}
			if !strings.Contains(err.Error(), want) {
				t.Errorf("refused with\n  %v\nwant\n  %s", err, want)
			}
		})
	}
}

func TestValid(t *testing.T) {
	for _, file := range append(files(t, "valid/*.yaml"), files(t, "../../config/samples/*.yaml")...) {
		if filepath.Base(file) == "kustomization.yaml" {
			continue
		}
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := create(t, text); err != nil {
				t.Error(err)
			}
		})
	}
}

// What the README says to install is what kubectl makes of config/default.
func TestTheInstallationIsValid(t *testing.T) {
	kubectl := filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kubectl")
	text, err := exec.CommandContext(t.Context(), kubectl, "kustomize", "../../config/default").Output()
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for _, document := range strings.Split(string(text), "\n---\n") {
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(document), object); err != nil {
			t.Fatal(err)
		}
		kinds[object.GetKind()]++
		switch object.GetKind() {
		case "CustomResourceDefinition": // this API server has them
			continue
		case "Namespace": // what comes after it is created in it
			if err := server.Create(t.Context(), object); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := create(t, []byte(document)); err != nil {
			t.Errorf("%s %s: %v", object.GetKind(), object.GetName(), err)
		}
	}
	if kinds["Deployment"] != 1 || kinds["ClusterRole"] != 5 {
		t.Errorf("kinds %v, want a manager and the roles", kinds)
	}
	if kinds["EnforcerPool"] != 0 || kinds["RateLimitPolicy"] != 0 {
		t.Errorf("kinds %v: kubectl cannot apply a CRD and objects of its kind in one go", kinds)
	}
}

func TestPoolDefaults(t *testing.T) {
	pool := &v1alpha1.EnforcerPool{Spec: v1alpha1.EnforcerPoolSpec{
		AllowedNamespaces: &v1alpha1.AllowedNamespaces{},
		Autoscaling:       &v1alpha1.Autoscaling{MaxReplicas: 9},
	}}
	pool.Namespace, pool.Name = "default", "defaults"
	if err := server.Create(t.Context(), pool, client.DryRunAll); err != nil {
		t.Fatal(err)
	}
	want := v1alpha1.EnforcerPoolSpec{
		AllowedNamespaces: &v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesFromAll},
		Autoscaling:       &v1alpha1.Autoscaling{MinReplicas: 3, MaxReplicas: 9, TargetCPUUtilizationPercentage: 70},
	}
	if diff := cmp.Diff(want, pool.Spec); diff != "" {
		t.Errorf("spec after defaulting (-want +got):\n%s", diff)
	}
}

func TestDefaults(t *testing.T) {
	policy := &v1alpha1.RateLimitPolicy{
		Spec: v1alpha1.RateLimitPolicySpec{
			Limits: []v1alpha1.Limit{{Name: "one", Rate: v1alpha1.Rate{Requests: 1, Per: "1s"}}},
		},
	}
	policy.Namespace, policy.Name = "default", "defaults"
	if err := server.Create(t.Context(), policy, client.DryRunAll); err != nil {
		t.Fatal(err)
	}
	want := v1alpha1.RateLimitPolicySpec{
		PoolRef: v1alpha1.PoolReference{Name: "default"},
		Limits: []v1alpha1.Limit{{
			Name: "one", Rate: v1alpha1.Rate{Requests: 1, Per: "1s"},
			Algorithm: v1alpha1.AlgorithmTokenBucket, // what else is left out is the pool's to say
		}},
	}
	if diff := cmp.Diff(want, policy.Spec); diff != "" {
		t.Errorf("spec after defaulting (-want +got):\n%s", diff)
	}
}

// Every rule of the CRDs refuses something: its message is wanted by a file.
func TestEveryRuleHasAFile(t *testing.T) {
	var wanted []string
	for _, file := range files(t, "invalid/*.yaml") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		want, _, _ := strings.Cut(strings.TrimPrefix(string(text), "# want: "), "\n")
		wanted = append(wanted, want)
	}
	rules := 0
	for _, file := range files(t, "../../config/crd/bases/*.yaml") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		definition := map[string]any{}
		if err := yaml.Unmarshal(text, &definition); err != nil {
			t.Fatal(err)
		}
		for _, message := range messages(definition) {
			rules++
			if !slices.ContainsFunc(wanted, func(want string) bool { return strings.HasPrefix(message, want) }) {
				t.Errorf("%s: no file in invalid/ is refused with %q", filepath.Base(file), message)
			}
		}
	}
	if rules == 0 {
		t.Error("no rule was found")
	}
}

// messages returns those of all validation rules below a node of YAML.
func messages(node any) (all []string) {
	switch node := node.(type) {
	case []any:
		for _, child := range node {
			all = append(all, messages(child)...)
		}
	case map[string]any:
		for name, child := range node {
			if name == "x-kubernetes-validations" {
				for _, rule := range child.([]any) {
					all = append(all, rule.(map[string]any)["message"].(string))
				}
				continue
			}
			all = append(all, messages(child)...)
		}
	}
	return all
}
