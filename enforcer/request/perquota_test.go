package request_test

import (
	"testing"

	"github.com/sluice-dev/sluice/enforcer/request"
)

func TestWhatIsMadeOfAQuotaIsRemembered(t *testing.T) {
	made := 0
	of := func(q *request.Quota) string {
		made++
		return q.Limit
	}
	var memo request.PerQuota[string]
	a, b := request.Quota{Limit: "a"}, request.Quota{Limit: "b"}
	for range 3 {
		for _, q := range []*request.Quota{&a, &b} {
			if got := memo.Of(q, of); got != q.Limit {
				t.Fatalf("of %q is remembered %q", q.Limit, got)
			}
		}
	}
	if made != 2 {
		t.Errorf("made %d times of two quotas", made)
	}

	// Quotas that are never seen again do not pile up: after many of them an old one
	// is made anew, and right.
	for range 10_000 {
		memo.Of(&request.Quota{Limit: "passing"}, of)
	}
	if before := made; memo.Of(&a, of) != "a" || made != before+1 {
		t.Errorf("of 10,002 quotas the first is still remembered, or wrong")
	}
}
