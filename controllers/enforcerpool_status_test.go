package controllers

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/enforcer/policy"
)

func TestPoolStatus(t *testing.T) {
	published := &publication{document: &policy.Document{Pool: "default", Policies: make([]policy.Policy, 2)}, digest: "new", runs: documentRuns{storefront: {"u1", 4, 7}}, bytes: 300}
	good := enforcer{name: "a", digest: "new"}
	type want struct {
		published, ready string
		enforcers        string
		policies         int32
	}
	tests := map[string]struct {
		facts poolFacts
		want  want
	}{
		"every enforcer runs the document": {
			facts: poolFacts{published: published, enforcers: []enforcer{good, {name: "b", digest: "new"}}},
			want: want{
				"True Published: the document is in ConfigMap sluice-default",
				"True Ready: 2 of 2 enforcers run the published document", "2/2", 2,
			},
		},
		"enforcers that do not are named": {
			facts: poolFacts{published: published, enforcers: []enforcer{
				good, {name: "b", digest: "old"}, {name: "c", digest: "old", refused: "too new"}, {name: "d"},
			}},
			want: want{
				"True Published: the document is in ConfigMap sluice-default",
				"False Pending: 1 of 4 enforcers run the published document; b runs another document; c refuses it: too new; d has no document", "1/4", 2,
			},
		},
		"an enforcer that is too old for a field is named": {
			facts: poolFacts{published: published, enforcers: []enforcer{good, {name: "b", version: "v0.9.0", digest: "lossy", runs: documentRuns{storefront: {"u1", 4, 6}}}}},
			want: want{
				"True Published: the document is in ConfigMap sluice-default",
				"False Pending: 1 of 2 enforcers run the published document; b runs it otherwise: it has not taken the pool's defaults yet, or its version, v0.9.0, does not know a field", "1/2", 2,
			},
		},
		"enforcers get a moment to load a new document": {
			facts: poolFacts{published: published, settling: true, enforcers: []enforcer{good, {name: "b", digest: "old"}}},
			want: want{
				"True Published: the document is in ConfigMap sluice-default",
				"True Ready: 2 of 2 enforcers run the published document", "2/2", 2,
			},
		},
		"a dead enforcer gets no such moment": {
			facts: poolFacts{published: published, settling: true, enforcers: []enforcer{good, {name: "b", problem: "does not answer"}}},
			want: want{
				"True Published: the document is in ConfigMap sluice-default",
				"False Pending: 1 of 2 enforcers run the published document; b does not answer", "1/2", 2,
			},
		},
		"enforcers that do not hear each other are named": {
			facts: poolFacts{published: published, enforcers: []enforcer{
				{name: "a", digest: "new", members: 2}, {name: "b", digest: "new", members: 1, apart: "b does not hear 1 of 1 others"},
			}},
			want: want{
				"True Published: the document is in ConfigMap sluice-default",
				"False Apart: 2 of 2 enforcers run the published document; b does not hear 1 of 1 others", "2/2", 2,
			},
		},
		"a pool without enforcers": {
			facts: poolFacts{published: published},
			want: want{
				"True Published: the document is in ConfigMap sluice-default",
				"False NoEnforcers: the pool has no ready enforcer", "0/0", 2,
			},
		},
		"the API server refuses the document": {
			facts: poolFacts{published: published, unpublished: errors.New("apply ConfigMap sluice-default: forbidden"), enforcers: []enforcer{good}},
			want: want{
				"False PublishFailed: apply ConfigMap sluice-default: forbidden",
				"False PublishFailed: apply ConfigMap sluice-default: forbidden", "1/1", 2,
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			pool := &v1alpha1.EnforcerPool{Spec: v1alpha1.EnforcerPoolSpec{ServiceName: "theirs"}}
			pool.Generation = 4
			s := poolStatus(pool, tc.facts, day)
			got := want{
				text(t, s.Conditions, v1alpha1.ConditionPublished), text(t, s.Conditions, v1alpha1.ConditionReady),
				s.Enforcers.Summary, s.Document.Policies,
			}
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(want{})); diff != "" {
				t.Errorf("status (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMembers(t *testing.T) {
	for want, counts := range map[string][]int{"": {0, 0}, "3": {3, 3, 3}, "2-3": {3, 2, 3}, "1": {0, 1}} {
		var f poolFacts
		for _, n := range counts {
			f.enforcers = append(f.enforcers, enforcer{members: n})
		}
		if got := f.members(); got != want {
			t.Errorf("counts %v: %q, want %q", counts, got, want)
		}
	}
}
