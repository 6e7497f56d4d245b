package enforcer_test

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/enforcer"
	"github.com/sluice-dev/sluice/enforcer/report"
)

func TestTheStateTellsACapacity(t *testing.T) {
	path := filepath.Join(t.TempDir(), "web.yaml")
	writePolicy(t, path, `apiVersion: sluice.dev/v1alpha1
kind: RateLimitPolicy
metadata: {name: web, namespace: shop}
spec:
  limits:
  - {name: shared, rate: {requests: 90, per: 1m}}
  - {name: daily, algorithm: FixedWindow, rate: {requests: 864000, per: Day}}
  - {name: of-each-client, key: [request.path], rate: {requests: 90, per: 1m}}
`)
	e := start(t, enforcer.Options{Policies: path, Node: "n"})
	var state report.State
	if err := e.get("/v1/state", &state); err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	for _, l := range state.Policies[0].Limits {
		got[l.Name] = l.Capacity
	}
	if diff := cmp.Diff(map[string]int64{"shared": 1500, "daily": 10_000, "of-each-client": 0}, got); diff != "" {
		t.Errorf("capacities, in thousandths of a token per second (-want +got):\n%s", diff)
	}
}
