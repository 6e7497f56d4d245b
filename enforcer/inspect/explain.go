package inspect

import (
	"github.com/sluice-dev/sluice/enforcer/match"
	"github.com/sluice-dev/sluice/enforcer/policy"
)

// Explanation says of every limit of a domain whether it applies to a request.
type Explanation struct {
	Domain string    `json:"domain"`
	Limits []Finding `json:"limits"`
}

// Finding says whether a limit applies, and why.
type Finding struct {
	Name
	Applies bool `json:"applies"`

	// Descriptor is the position of the descriptor that it was tried against; nil
	// for a limit that applies to the request as a whole.
	Descriptor *int `json:"descriptor,omitempty"`

	// Missing is what the limit reads and the request does not have, as it is
	// written in expressions. Else When has the value of every condition.
	Missing []string    `json:"missing,omitempty"`
	When    []Condition `json:"when,omitempty"`

	// Of a limit that applies: which client it is, the override for it, if any, and
	// what is granted to it; Rate is nil where the override denies or unlimits. Cost is what
	// this request takes, CostFrom the limit's own expression for that, if any.
	Key      []Part    `json:"key,omitempty"`
	Override *Override `json:"override,omitempty"`
	Rate     *Rate     `json:"rate,omitempty"`
	Cost     int64     `json:"cost"`
	CostFrom string    `json:"costFrom,omitempty"`
	Shadow   bool      `json:"shadow,omitempty"` // it never denies

	// Sharing is how the enforcers count together, where that is not Gossip.
	// OnUnreachable, of Exact only, is what one does that cannot reach the one which
	// keeps the count.
	Sharing       string `json:"sharing,omitempty"`
	OnUnreachable string `json:"onUnreachable,omitempty"`

	// FirstBurst is Share where each enforcer begins with its share of the burst.
	FirstBurst string `json:"firstBurst,omitempty"`
}

// Condition is one `when` and its value. One that failed counts as true.
type Condition struct {
	Expression string `json:"expression"`
	Holds      bool   `json:"holds"`
	Error      string `json:"error,omitempty"`
}

// Part is one part of a key. One that failed counts as "".
type Part struct {
	Expression string `json:"expression"`
	Value      string `json:"value"`
	Error      string `json:"error,omitempty"`
}

// Override is the exception that was made for a client.
type Override struct {
	Index     int      `json:"index"` // in the limit's overrides
	Key       []string `json:"key"`   // its patterns
	Deny      bool     `json:"deny,omitempty"`
	Unlimited bool     `json:"unlimited,omitempty"`
}

// Explain says which limits of a snapshot apply to a request. Its errors are those
// of Try.
func Explain(s *policy.Snapshot, r *Request) (*Explanation, error) {
	req, err := r.request()
	if err != nil {
		return nil, err
	}
	domain := s.Domain(r.Domain)
	if domain == nil {
		return nil, noDomain(r.Domain)
	}
	out := &Explanation{Domain: r.Domain, Limits: []Finding{}}
	for _, f := range match.Explain(domain, req) {
		out.Limits = append(out.Limits, findingOf(s, &f))
	}
	return out, nil
}

func findingOf(s *policy.Snapshot, f *match.Finding) Finding {
	out := Finding{Name: nameOf(f.Limit.Quota), Missing: f.Missing, Shadow: f.Limit.Shadow()}
	if f.Descriptor != match.AllDescriptors {
		out.Descriptor = &f.Descriptor
	}
	for _, when := range f.When {
		out.When = append(out.When, Condition{when.Source, when.Value, text(when.Err)})
	}
	for _, key := range f.Key {
		out.Key = append(out.Key, Part{key.Source, key.Value, text(key.Err)})
	}
	if c := f.Charge; c != nil {
		out.Applies, out.Rate, out.Cost = true, rateOf(c.Quota), int64(c.Cost)
		meter := &s.Meters[f.Limit.Meter]
		if meter.Sharing != policy.Gossip {
			out.Sharing = meter.Sharing.String()
		}
		if meter.Sharing == policy.Exact {
			out.OnUnreachable = meter.OnUnreachable.String()
		}
		if meter.Cautious {
			out.FirstBurst = policy.Share
		}
		if f.Limit.Cost != nil {
			out.CostFrom = f.Limit.Cost.Source()
		}
		if f.Override >= 0 {
			out.Override = &Override{f.Override, f.Patterns, c.Deny, c.Unlimited}
		}
	}
	return out
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
