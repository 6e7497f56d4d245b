package httpcheck

import (
	"fmt"
	"net/http"

	"github.com/sluice-dev/sluice/enforcer/jsonhttp"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/quotafields"
	"github.com/sluice-dev/sluice/enforcer/request"
	"github.com/sluice-dev/sluice/enforcer/requestjson"
)

// maxBody bounds the JSON of a check.
const maxBody = 64 << 10

// readCheck reads the JSON of a check into the scratch's request.
func readCheck(r *http.Request, s *scratch) error {
	var c requestjson.Request
	if err := requestjson.Decode(http.MaxBytesReader(nil, r.Body, maxBody), &c); err != nil {
		return fmt.Errorf("the body is not a check: %w", err)
	}
	return c.Fill(&s.req, &s.http)
}

// verdict is the JSON of one limit's verdict, and of the deciding one.
type verdict struct {
	Limit      string `json:"limit,omitempty"` // policy/limit
	Denied     bool   `json:"denied,omitempty"`
	Shadow     bool   `json:"shadow,omitempty"`
	Unlimited  bool   `json:"unlimited,omitempty"`
	Remaining  *int64 `json:"remaining,omitempty"`
	ResetAfter string `json:"resetAfter,omitempty"`
	RetryAfter string `json:"retryAfter,omitempty"` // absent when the cost will never be admitted
}

// answer is the JSON of an answer, and of the problem that a denial is.
type answer struct {
	Type     string   `json:"type,omitempty"`
	Title    string   `json:"title,omitempty"`
	Status   int      `json:"status,omitempty"`
	Detail   string   `json:"detail,omitempty"`
	Violated []string `json:"violated-policies,omitempty"`

	Outcome string `json:"outcome"`
	verdict
	Limits []verdict `json:"limits,omitempty"`
}

func verdictOf(v *request.Verdict) verdict {
	if v.Quota == nil {
		return verdict{}
	}
	out := verdict{
		Limit: quotafields.Name(v.Quota), Denied: v.Denied, Shadow: v.Quota.Shadow,
		Unlimited: v.Quota.Requests == limit.MaxAmount,
	}
	if out.Unlimited {
		return out
	}
	remaining := int64(v.Remaining)
	out.Remaining, out.ResetAfter = &remaining, v.ResetAfter.Duration().String()
	if v.Denied && v.RetryAfter != limit.Forever {
		out.RetryAfter = v.RetryAfter.Duration().String()
	}
	return out
}

// writeCheck writes 200 with the answer, or 429 with the answer as a problem.
func writeCheck(w http.ResponseWriter, _ *http.Request, ans *request.Answer) {
	body := answer{Outcome: ans.Outcome.String(), verdict: verdictOf(&ans.Verdict)}
	for i := range ans.Applied {
		body.Limits = append(body.Limits, verdictOf(&ans.Applied[i]))
	}
	if ans.Outcome != request.Denied {
		jsonhttp.Write(w, http.StatusOK, jsonhttp.Type, body)
		return
	}
	describeProblem(&body, ans)
	jsonhttp.Write(w, http.StatusTooManyRequests, jsonhttp.ProblemType, body)
}
