package quotafields_test

import (
	"testing"

	"github.com/dunglas/httpsfv"
	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/quotafields"
	"github.com/sluice-dev/sluice/enforcer/request"
)

func TestFields(t *testing.T) {
	plain := request.Quota{Policy: "shop", Limit: "per-client", Requests: 10, Burst: 10, Per: limit.Second}
	burst, short, odd := plain, plain, plain
	burst.Burst, burst.Per = 50, 90*limit.Minute
	short.Per = 250 * limit.Millisecond
	odd.Limit = "é"
	unlimited := request.Quota{Requests: limit.MaxAmount}
	huge := plain
	huge.Requests, huge.Burst = 1e15, 1e15
	var writer quotafields.Writer // what it remembers of one answer is right in the next
	for name, tc := range map[string]struct {
		verdict request.Verdict
		want    []quotafields.Field
	}{
		"no limit applied": {},
		"unlimited":        {verdict: request.Verdict{Quota: &unlimited, Remaining: limit.MaxAmount}},
		"admitted": {
			request.Verdict{Quota: &plain, Remaining: 3, ResetAfter: 700 * limit.Millisecond},
			[]quotafields.Field{
				{"RateLimit-Policy", `"shop/per-client";q=10;w=1`},
				{"RateLimit", `"shop/per-client";r=3;t=1`},
				{"X-RateLimit-Limit", "10"},
				{"X-RateLimit-Remaining", "3"},
				{"X-RateLimit-Reset", "1"},
			},
		},
		"a burst of its own, and a longer window": {
			request.Verdict{Quota: &burst, Remaining: 49, ResetAfter: 540 * limit.Second},
			[]quotafields.Field{
				{"RateLimit-Policy", `"shop/per-client";q=10;w=5400;sluice-burst=50`},
				{"RateLimit", `"shop/per-client";r=49;t=540`},
				{"X-RateLimit-Limit", "10"},
				{"X-RateLimit-Remaining", "49"},
				{"X-RateLimit-Reset", "540"},
			},
		},
		"a window below a second counts as one: fields have whole seconds": {
			request.Verdict{Quota: &short, Remaining: 9, ResetAfter: 25 * limit.Millisecond},
			[]quotafields.Field{
				{"RateLimit-Policy", `"shop/per-client";q=10;w=1`},
				{"RateLimit", `"shop/per-client";r=9;t=1`},
				{"X-RateLimit-Limit", "10"},
				{"X-RateLimit-Remaining", "9"},
				{"X-RateLimit-Reset", "1"},
			},
		},
		"denied: when to come back, not when all is well again": {
			request.Verdict{Quota: &plain, Denied: true, ResetAfter: 60 * limit.Second, RetryAfter: 2500 * limit.Millisecond},
			[]quotafields.Field{
				{"RateLimit-Policy", `"shop/per-client";q=10;w=1`},
				{"RateLimit", `"shop/per-client";r=0;t=3`},
				{"Retry-After", "3"},
				{"X-RateLimit-Limit", "10"},
				{"X-RateLimit-Remaining", "0"},
				{"X-RateLimit-Reset", "3"},
			},
		},
		"denied for good": {
			request.Verdict{Quota: &plain, Denied: true, RetryAfter: limit.Forever},
			[]quotafields.Field{
				{"RateLimit-Policy", `"shop/per-client";q=10;w=1`},
				{"RateLimit", `"shop/per-client";r=0`},
				{"X-RateLimit-Limit", "10"},
				{"X-RateLimit-Remaining", "0"},
			},
		},
		"more than a structured field can hold": {
			request.Verdict{Quota: &huge, Remaining: 1e15, ResetAfter: limit.Second},
			[]quotafields.Field{{"X-RateLimit-Limit", "1000000000000000"}, {"X-RateLimit-Remaining", "1000000000000000"}, {"X-RateLimit-Reset", "1"}},
		},
		"a name that a structured field cannot hold": {
			request.Verdict{Quota: &odd, Remaining: 1, ResetAfter: limit.Second},
			[]quotafields.Field{{"X-RateLimit-Limit", "10"}, {"X-RateLimit-Remaining", "1"}, {"X-RateLimit-Reset", "1"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := writer.Of(&request.Answer{Verdict: tc.verdict})
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
			for _, f := range got {
				if f.Name == "RateLimit" || f.Name == "RateLimit-Policy" {
					if _, err := httpsfv.UnmarshalList([]string{f.Value}); err != nil {
						t.Errorf("%s is no structured field: %v", f.Name, err)
					}
				}
			}
		})
	}
}

func TestRetryAfterIsAtLeastASecond(t *testing.T) {
	for after, want := range map[limit.Span]string{0: "1", 1: "1", limit.Second: "1", limit.Second + 1: "2"} {
		if got, ok := quotafields.RetryAfter(&request.Verdict{Denied: true, RetryAfter: after}); got != want || !ok {
			t.Errorf("after %v: %q %v, want %q", after.Duration(), got, ok, want)
		}
	}
	if got, ok := quotafields.RetryAfter(&request.Verdict{}); ok {
		t.Errorf("an admitted request is told to retry after %s", got)
	}
}
