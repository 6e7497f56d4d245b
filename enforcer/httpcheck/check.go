package httpcheck

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/quotafields"
	"github.com/sluice-dev/sluice/enforcer/request"
)

// maxBody bounds the JSON of a check.
const maxBody = 64 << 10

// check is the JSON of a check. Everything is optional: what is absent is "".
type check struct {
	Method  string            `json:"method"`
	Path    string            `json:"path"`
	Host    string            `json:"host"`
	Query   map[string]string `json:"query"`
	Headers map[string]string `json:"headers"`
	Source  struct {
		Address string `json:"address"`
	} `json:"source"`
	Descriptors []struct {
		Entries []struct {
			Key   string `json:"key"`
			Value string `json:"value"`
		} `json:"entries"`
		Cost *int64 `json:"cost"`
	} `json:"descriptors"`
	Cost *int64 `json:"cost"`
}

// describesHTTP says whether the check has more than descriptors.
func (c *check) describesHTTP() bool {
	return len(c.Descriptors) == 0 || c.Method+c.Path+c.Host+c.Source.Address != "" || c.Query != nil || c.Headers != nil
}

// readCheck reads the JSON of a check into the scratch's request.
func readCheck(r *http.Request, s *scratch) error {
	body := json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxBody))
	body.DisallowUnknownFields()
	var c check
	if err := body.Decode(&c); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("the body is not a check: %w", err)
	}
	if body.More() {
		return errors.New("the body has more than one JSON value: send one")
	}
	if len(c.Descriptors) > request.MaxDescriptors {
		return fmt.Errorf("descriptors has %d items: send at most %d", len(c.Descriptors), request.MaxDescriptors)
	}
	s.http = request.HTTP{
		Method: c.Method, Path: c.Path, Host: strings.ToLower(c.Host), Source: c.Source.Address,
		Headers: lowered(c.Headers), Query: request.Values(c.Query),
	}
	if !c.describesHTTP() {
		s.req.HTTP = nil
	}
	if c.Cost != nil {
		s.req.Cost = limit.Amount(*c.Cost)
	}
	for i, d := range c.Descriptors {
		if len(d.Entries) == 0 {
			return fmt.Errorf("descriptors[%d].entries is empty: send at least one", i)
		}
		out := request.Descriptor{}
		for _, e := range d.Entries {
			out.Entries = append(out.Entries, request.Entry{Key: e.Key, Value: e.Value})
		}
		if d.Cost != nil {
			out.HasCost, out.Cost = true, limit.Amount(*d.Cost)
		}
		s.req.Descriptors = append(s.req.Descriptors, out)
	}
	return nil
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
		writeJSON(w, http.StatusOK, "application/json", body)
		return
	}
	describeProblem(&body, ans)
	writeJSON(w, http.StatusTooManyRequests, problemType, body)
}
