package report_test

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/enforcer/report"
)

// testdata/state.json says everything, as released enforcers do: a manager of the next
// release, and of the one before, must find it where it was. A new field is added to
// the file; one that is there stays.
func TestTheReleasedFormStays(t *testing.T) {
	text, err := os.ReadFile("testdata/state.json")
	if err != nil {
		t.Fatal(err)
	}
	var state report.State
	if err := json.Unmarshal(text, &state); err != nil {
		t.Fatal(err)
	}
	again, err := json.MarshalIndent(state, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(text), string(again)+"\n"); diff != "" {
		t.Errorf("read and written again (-released +now):\n%s", diff)
	}
}

func TestAddKeys(t *testing.T) {
	tests := map[string]struct {
		usage        report.Usage
		others, want int64
	}{
		"who gossips knows the same clients": {report.Usage{ActiveKeys: 7}, 5, 7},
		"or fewer of them":                   {report.Usage{ActiveKeys: 3}, 5, 5},
		"an owner has clients of its own":    {report.Usage{ActiveKeys: 7, Apart: true}, 5, 12},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := tc.usage.AddKeys(tc.others); got != tc.want {
				t.Errorf("got %d, want %d", got, tc.want)
			}
		})
	}
}
