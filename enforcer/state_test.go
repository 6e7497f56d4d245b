package enforcer_test

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/enforcer"
	"github.com/sluice-dev/sluice/enforcer/report"
)

func TestTheStateTellsCapacitiesAndWhatIsNotKnown(t *testing.T) {
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

	if state.Policies[0].Digest == 0 {
		t.Error("it does not tell what its policy says")
	}
	for digest, want := range map[string]int{state.Document.Digest: 0, "another": 1} {
		var again report.State
		if err := e.get("/v1/state?"+report.Known+"=older&"+report.Known+"="+digest, &again); err != nil {
			t.Fatal(err)
		}
		if len(again.Policies) != want || again.Document.Digest != state.Document.Digest {
			t.Errorf("to one who knows the document %s, %d policies of %s are told, want %d", digest, len(again.Policies), again.Document.Digest, want)
		}
	}
}
