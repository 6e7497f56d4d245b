package layers

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// PROJECT tells kubebuilder of the kinds that there are CRDs for, and of no others.
func TestProjectNamesTheKinds(t *testing.T) {
	read := func(path string, into any) {
		t.Helper()
		text, err := os.ReadFile(path)
		if err == nil {
			err = yaml.Unmarshal(text, into)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var project struct {
		Repo      string
		Resources []struct{ Domain, Group, Version, Kind, Path string }
	}
	read("../../PROJECT", &project)
	var got, want []string
	for _, r := range project.Resources {
		got = append(got, r.Domain+r.Group+" "+r.Version+" "+r.Kind+" "+r.Path)
	}
	bases, err := filepath.Glob("../../config/crd/bases/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, base := range bases {
		var crd struct {
			Spec struct {
				Group    string
				Names    struct{ Kind string }
				Versions []struct{ Name string }
			}
		}
		read(base, &crd)
		for _, v := range crd.Spec.Versions {
			want = append(want, crd.Spec.Group+" "+v.Name+" "+crd.Spec.Names.Kind+" "+project.Repo+"/api/"+v.Name)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("PROJECT (-want +got):\n%s", diff)
	}
}
