// Package inspect is what people ask of the policies in force: which limits apply
// to a request, and why; what the answer to it would be; what a client has left. It is
// the wire form of /v1/explain, /v1/try and /v1/keys, and what makes that out of what
// the core says.
package inspect

import (
	"fmt"
	"strings"

	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/request"
	"github.com/sluice-dev/sluice/enforcer/requestjson"
)

// NotFound is an error that says that nothing has the name that was asked for.
type NotFound string

// Error returns the text.
func (n NotFound) Error() string { return string(n) }

// Request is a request to a domain.
type Request struct {
	Domain string `json:"domain"`
	requestjson.Request
}

// request returns the request that r describes; it costs 1 unless r says otherwise.
func (r *Request) request() (*request.Request, error) {
	req := &request.Request{Domain: r.Domain, Cost: 1}
	return req, r.Fill(req, &request.HTTP{})
}

// noDomain says that no policy has a domain.
func noDomain(domain string) error {
	return NotFound(fmt.Sprintf("no policy in force has the domain %q", domain))
}

// Name names a limit.
type Name struct {
	Namespace string `json:"namespace"`
	Policy    string `json:"policy"`
	Limit     string `json:"limit"`
}

// String returns namespace/policy/limit.
func (n Name) String() string { return n.Namespace + "/" + n.Policy + "/" + n.Limit }

func nameOf(q *request.Quota) Name { return Name{q.Namespace, q.Policy, q.Limit} }

// Rate is how much a limit grants.
type Rate struct {
	Requests int64  `json:"requests"`
	Per      string `json:"per"` // a duration, or Day, Week, Month or Year
	Burst    int64  `json:"burst"`
}

// String returns the rate in words.
func (r Rate) String() string {
	if r.Burst == r.Requests {
		return fmt.Sprintf("%d per %s", r.Requests, r.Per)
	}
	return fmt.Sprintf("%d per %s, burst %d", r.Requests, r.Per, r.Burst)
}

// rateOf returns nil for a client that is banned or unlimited.
func rateOf(q *request.Quota) *Rate {
	if q.Per == 0 {
		return nil
	}
	per := q.Calendar
	if per == "" { // as it is written in a policy: 1m, not 1m0s
		per = q.Per.Duration().String()
		for _, zero := range []string{"m0s", "h0m"} {
			if strings.HasSuffix(per, zero) {
				per = per[:len(per)-2]
			}
		}
	}
	return &Rate{int64(q.Requests), per, int64(q.Burst)}
}

// Answer is what an enforcer would answer to a request.
type Answer struct {
	Node    string `json:"node,omitempty"` // the enforcer's name
	Outcome string `json:"outcome"`        // admitted, denied or not_limited

	// Decided names the limit that decides; nil when none applies.
	Decided *Name `json:"decided,omitempty"`

	// Limits are all that apply.
	Limits []Verdict `json:"limits"`
}

// Verdict is what one limit says.
type Verdict struct {
	Name
	Denied    bool `json:"denied,omitempty"`
	Shadow    bool `json:"shadow,omitempty"` // it never denies the request
	Unlimited bool `json:"unlimited,omitempty"`

	KeptBy string `json:"keptBy,omitempty"` // as in Counter

	// Remaining is what would be left afterwards, ResetAfter the time until the
	// limit has its whole quota again, RetryAfter when a denied request should come
	// again: "" where it never will be admitted. Absent for the unlimited.
	Remaining  *int64 `json:"remaining,omitempty"`
	ResetAfter string `json:"resetAfter,omitempty"`
	RetryAfter string `json:"retryAfter,omitempty"`
}

// Try returns the answer that try gives to r; try returns who keeps the counter of each
// limit that applies, or "". Its errors are the caller's: a request that cannot be, or a
// domain of no policy.
func Try(try func(*request.Request, *request.Answer) []limit.NodeID, r *Request) (*Answer, error) {
	req, err := r.request()
	if err != nil {
		return nil, err
	}
	var ans request.Answer
	keepers := try(req, &ans)
	if !ans.KnownDomain {
		return nil, noDomain(r.Domain)
	}
	out := &Answer{Outcome: ans.Outcome.String(), Limits: []Verdict{}}
	if q := ans.Verdict.Quota; q != nil {
		decided := nameOf(q)
		out.Decided = &decided
	}
	for i := range ans.Applied {
		v := verdictOf(&ans.Applied[i])
		v.KeptBy = string(keepers[i])
		out.Limits = append(out.Limits, v)
	}
	return out, nil
}

func verdictOf(v *request.Verdict) Verdict {
	out := Verdict{Name: nameOf(v.Quota), Denied: v.Denied, Shadow: v.Quota.Shadow}
	if v.Quota.Requests == limit.MaxAmount {
		out.Unlimited = true
		return out
	}
	remaining := int64(v.Remaining)
	out.Remaining, out.ResetAfter = &remaining, v.ResetAfter.Duration().String()
	if v.Denied && v.RetryAfter != limit.Forever {
		out.RetryAfter = v.RetryAfter.Duration().String()
	}
	return out
}
