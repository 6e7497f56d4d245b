package controllers

import (
	"testing"
	"time"

	"github.com/sluice-dev/sluice/enforcer/policy"
)

func TestALargeDocumentIsPublishedLessOften(t *testing.T) {
	for policies, want := range map[int]time.Duration{0: 100 * time.Millisecond, 1000: 100 * time.Millisecond, 1500: 150 * time.Millisecond, 10_000: time.Second} {
		m := poolMemory{inForce: &publication{document: &policy.Document{Policies: make([]policy.Policy, policies)}}}
		if got := m.spacing(); got != want {
			t.Errorf("%d policies are published every %s, want %s", policies, got, want)
		}
	}
	if got := (&poolMemory{}).spacing(); got != publishSpacing {
		t.Errorf("before the first document the spacing is %s, want %s", got, publishSpacing)
	}
}
