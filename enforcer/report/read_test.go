package report_test

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/enforcer/report"
)

// FuzzRead reads any text as a state. What is one reads as all of it at once does.
func FuzzRead(f *testing.F) {
	f.Add(`{"node": "a", "policies": null, "peers": [{"address": "b"}]}`)
	f.Add(`{"policies": [], "new": {"x": [1]}, "document": {"digest": "d", "since": "2026-03-01T12:00:00Z"}}`)
	f.Add(`{"policies": [{"namespace": "shop", "name": "web", "uid": "u", "generation": 3, "limits": [{"name": "l", "admitted": 7}]}], "ready": true}`)
	f.Fuzz(func(t *testing.T, text string) {
		state, err := read(strings.NewReader(text))
		if err != nil {
			return
		}
		whole, err := json.Marshal(state)
		if err != nil {
			t.Skip("a time that JSON cannot say")
		}
		want := &report.State{}
		if err := json.Unmarshal(whole, want); err != nil {
			t.Fatal(err)
		}
		got, err := read(bytes.NewReader(whole))
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("error %v, state (-want +got):\n%s", err, diff)
		}
	})
}

// read reads a state with its policies.
func read(r io.Reader) (*report.State, error) {
	var policies []report.Policy
	state, err := report.Read(r, func(p *report.Policy) { policies = append(policies, *p) })
	if err == nil && state.Policies != nil {
		state.Policies = append(state.Policies, policies...)
	}
	return state, err
}
