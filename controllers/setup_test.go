package controllers

import (
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

func TestSpecChanges(t *testing.T) {
	object := func(uid types.UID, generation int64, version string) *v1alpha1.RateLimitPolicy {
		p := &v1alpha1.RateLimitPolicy{}
		p.UID, p.Generation, p.ResourceVersion = uid, generation, version
		return p
	}
	for name, tc := range map[string]struct {
		before, after *v1alpha1.RateLimitPolicy
		want          bool
	}{
		"a new spec":                          {object("a", 1, "10"), object("a", 2, "11"), true},
		"a new status":                        {object("a", 1, "10"), object("a", 1, "11"), false},
		"deleted and made again, seen as one": {object("a", 1, "10"), object("b", 1, "11"), true},
	} {
		if got := specChanges.Update(event.UpdateEvent{ObjectOld: tc.before, ObjectNew: tc.after}); got != tc.want {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
	if !specChanges.Create(event.CreateEvent{}) || !specChanges.Delete(event.DeleteEvent{}) {
		t.Error("what comes or goes does not get through")
	}
}
