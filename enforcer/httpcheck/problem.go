package httpcheck

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/quotafields"
	"github.com/sluice-dev/sluice/enforcer/request"
)

const (
	// problemType is the media type of RFC 9457.
	problemType = "application/problem+json"

	// quotaExceeded is the problem type that the RateLimit fields' draft registers.
	quotaExceeded = "https://iana.org/assignments/http-problem-types#quota-exceeded"
)

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

// writeProblem writes an error that is the caller's.
func writeProblem(w http.ResponseWriter, code int, detail string) {
	writeJSON(w, code, problemType, struct {
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
	}{http.StatusText(code), code, detail})
}

// writeJSON writes a body. A client that is gone cannot be told, so errors are
// dropped.
func writeJSON(w http.ResponseWriter, code int, mediaType string, body any) {
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body)
}
