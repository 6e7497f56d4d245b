package httpcheck

import (
	"fmt"
	"net/http"

	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/quotafields"
	"github.com/sluice-dev/sluice/enforcer/request"
)

// quotaExceeded is the problem type that the RateLimit fields' draft registers.
const quotaExceeded = "https://iana.org/assignments/http-problem-types#quota-exceeded"

// describeProblem makes a denial a problem of RFC 9457.
func describeProblem(body *answer, ans *request.Answer) {
	body.Type, body.Title, body.Status = quotaExceeded, "Quota exceeded", http.StatusTooManyRequests
	body.Detail = fmt.Sprintf("limit %s has no room for this request", quotafields.Name(ans.Verdict.Quota))
	if after := ans.Verdict.RetryAfter; after == limit.Forever {
		body.Detail += ", and never will have"
	} else {
		body.Detail += fmt.Sprintf(": retry after %v", after.Duration())
	}
	for i := range ans.Applied {
		if v := &ans.Applied[i]; v.Denied && !v.Quota.Shadow {
			body.Violated = append(body.Violated, quotafields.Name(v.Quota))
		}
	}
}
