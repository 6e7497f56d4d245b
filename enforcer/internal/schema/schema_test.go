package schema_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/config/crd"
	"github.com/sluice-dev/sluice/enforcer/internal/schema"
)

func load(t testing.TB) *schema.Schema {
	t.Helper()
	s, err := schema.New(crd.RateLimitPolicies)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func parse(t testing.TB, text string) map[string]any {
	t.Helper()
	var object map[string]any
	if err := yaml.Unmarshal([]byte(text), &object); err != nil {
		t.Fatal(err)
	}
	return object
}

const head = `
apiVersion: sluice.dev/v1alpha1
kind: RateLimitPolicy
metadata: {name: storefront, namespace: shop}
`

func TestDefaultsAreFilledIn(t *testing.T) {
	object := parse(t, head+`
spec: {limits: [{name: all, rate: {requests: 5, per: 1s}}]}
status: {domain: ignored}
`)
	if err := load(t).Check(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	want := parse(t, head+`
spec:
  poolRef: {name: default}
  limits: [{name: all, rate: {requests: 5, per: 1s}, algorithm: TokenBucket}]
`)
	// YAML numbers are decoded as float64 here and as int64 by the file source.
	if diff := cmp.Diff(want, object); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWhatTheAPIServerRefusesIsRefused(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"a number that is too small", head + `spec: {limits: [{name: a, rate: {requests: 0, per: 1s}}]}`, []string{"spec.limits[0].rate.requests: Invalid value: 0: spec.limits[0].rate.requests in body should be greater than or equal to 1"}},
		{"a value that no choice has", head + `spec: {limits: [{name: a, algorithm: Magic, rate: {requests: 1, per: 1s}}]}`, []string{`spec.limits[0].algorithm: Unsupported value: "Magic": supported values: "TokenBucket", "SlidingWindow", "FixedWindow"`}},
		{"a rule across fields", head + `spec: {limits: [{name: a, algorithm: FixedWindow, burst: 5, rate: {requests: 1, per: 1s}}]}`, []string{"burst belongs to algorithm TokenBucket"}},
		{"two limits of one name", head + `spec: {limits: [{name: a, rate: {requests: 1, per: 1s}}, {name: a, rate: {requests: 1, per: 1s}}]}`, []string{`spec.limits[1]: Duplicate value: {"name":"a"}`}},
		{"no limits", head + `spec: {}`, []string{"spec.limits: Required value"}},
		{"text in place of a number", head + `spec: {limits: [{name: a, rate: {requests: many, per: 1s}}]}`, []string{"spec.limits[0].rate.requests: Invalid value: \"string\""}},
		{"a field that does not exist", head + `spec: {limits: [{name: a, rates: 1, rate: {requests: 1, per: 1s}}]}`, []string{`unknown field "spec.limits[0].rates"`}},
		{"a metadata field that does not exist", "apiVersion: sluice.dev/v1alpha1\nkind: RateLimitPolicy\nmetadata: {name: a, namespace: b, lables: {}}\nspec: {limits: []}", []string{`unknown field "metadata.lables"`}},
		{"no name", "apiVersion: sluice.dev/v1alpha1\nkind: RateLimitPolicy\nmetadata: {namespace: b}\nspec: {limits: [{name: a, rate: {requests: 1, per: 1s}}]}", []string{"metadata.name: Required value"}},
		{"another version", "apiVersion: sluice.dev/v9\nkind: RateLimitPolicy", []string{"use sluice.dev/v1alpha1 RateLimitPolicy"}},
		{"several mistakes at once", head + `spec: {limits: [{name: A, rate: {requests: -1, per: 1y}}]}`, []string{"a limit's name is made of", "greater than or equal to 1", "use a duration of hours"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := load(t).Check(t.Context(), parse(t, c.text))
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("Check() = %v, want %q in it", err, want)
				}
			}
		})
	}
}

func TestADefinitionWithoutSchemaIsRefused(t *testing.T) {
	for _, crd := range []string{"", "[", "spec: {versions: [{name: v1, storage: true}]}"} {
		if s, err := schema.New([]byte(crd)); err == nil {
			t.Errorf("New(%q) = %v, want an error", crd, s)
		}
	}
}
