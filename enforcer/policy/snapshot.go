package policy

import (
	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/expression"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/request"
)

// Snapshot is a compiled Document: immutable, and safe for concurrent use.
type Snapshot struct {
	Digest   string // of Document
	Document *Document

	// PolicyDigests are those of its policies, by their position in Document.
	PolicyDigests []uint64

	// Meters are all ways to count in this snapshot; compiled limits name them by
	// their position.
	Meters []Meter

	domains map[string]*Domain
}

// Domain returns the limits of a domain, or nil when no policy has it.
func (s *Snapshot) Domain(name string) *Domain { return s.domains[name] }

// Name names a limit.
type Name struct{ Namespace, Policy, Limit string }

// Limit returns a limit by its name, or nil when there is none.
func (s *Snapshot) Limit(n Name) *CompiledLimit {
	for i := range s.Document.Policies {
		p := &s.Document.Policies[i]
		if p.Namespace != n.Namespace || p.Name != n.Policy {
			continue
		}
		for _, l := range s.domains[p.Domain].Limits {
			if l.Quota.Namespace == n.Namespace && l.Quota.Policy == n.Policy && l.Quota.Limit == n.Limit {
				return l
			}
		}
	}
	return nil
}

// Meter is one way to count: a limit's own rate, or that of one of its overrides.
type Meter struct {
	// Limit identifies the limit by its namespace, policy and name, over all
	// versions of it and on every enforcer.
	Limit uint64

	// Variant is 0 for the limit's own rate and i+1 for its i-th override.
	Variant uint16

	// Params says how to count.
	Params decide.Params

	// Sharing says how the enforcers of the pool count together.
	Sharing Sharing

	// OnUnreachable, of Exact only, says what an enforcer does that cannot reach the one
	// which keeps a count.
	OnUnreachable OnUnreachable

	// Cautious, of Gossip only: an enforcer grants no more than its share of the burst
	// to a client that it has not heard of.
	Cautious bool

	// Quota is what a client is told of it.
	Quota *request.Quota
}

// Domain is the limits that apply to the requests of one domain, in the order of
// their policies' names and of the limits within each.
type Domain struct {
	Name   string
	Limits []*CompiledLimit

	perRequest, perDescriptor index
}

// file makes the indexes, when all limits are there.
func (d *Domain) file() {
	var perRequest, perDescriptor []int
	for at, l := range d.Limits {
		if l.Reads.Descriptor {
			perDescriptor = append(perDescriptor, at)
		} else {
			perRequest = append(perRequest, at)
		}
	}
	d.perRequest, d.perDescriptor = newIndex(d.Limits, perRequest), newIndex(d.Limits, perDescriptor)
}

// PerRequest returns, in order, the positions of those limits that may apply to a
// request as a whole: they read no descriptor. Not all of them apply: their When
// decides. The result is not to be changed, and valid until room is used again.
func (d *Domain) PerRequest(in *expression.Input, room *[]int) []int {
	return d.perRequest.candidates(in, room)
}

// PerDescriptor returns, as PerRequest does, the positions of those limits that
// may apply to the descriptor of in: they read it. Their When and their entries
// decide.
func (d *Domain) PerDescriptor(in *expression.Input, room *[]int) []int {
	return d.perDescriptor.candidates(in, room)
}

// CompiledLimit is one limit, ready to be matched.
type CompiledLimit struct {
	ID    uint64 // as Meter.Limit
	Meter int    // of its own rate, in Snapshot.Meters
	Quota *request.Quota

	When []*expression.Bool
	Key  []*expression.String
	Cost *expression.Int // nil: the request's own cost

	// Reads sums up what the expressions read.
	Reads expression.Reads

	overrides overrides
}

// Shadow says that the limit never denies.
func (l *CompiledLimit) Shadow() bool { return l.Quota.Shadow }

// Exception is what an override makes of a limit for one client.
type Exception struct {
	Meter           int // in Snapshot.Meters; of no meaning when Unlimited or Deny
	Quota           *request.Quota
	Unlimited, Deny bool
}

// Override returns the first override whose patterns match the key parts.
func (l *CompiledLimit) Override(parts []string) (Exception, bool) { return l.overrides.find(parts) }

// OverrideAt returns the position of that override among the limit's, and its
// patterns; -1 when none matches.
func (l *CompiledLimit) OverrideAt(parts []string) (at int, patterns []string) {
	if at = l.overrides.at(parts); at < 0 {
		return at, nil
	}
	for _, p := range l.overrides.all[at].parts {
		patterns = append(patterns, p.String())
	}
	return at, patterns
}

// quota describes a rate of a limit to clients.
func quota(p *Policy, l *Limit, params *decide.Params) *request.Quota {
	return &request.Quota{
		Namespace: p.Namespace, Policy: p.Name, Limit: l.Name,
		Requests: params.Requests(), Burst: params.Burst(), Per: params.Per(), Calendar: params.Calendar().String(),
		Shadow: l.Mode == Shadow,
	}
}

// exceptionQuota describes an override without a rate.
func exceptionQuota(p *Policy, l *Limit, unlimited bool) *request.Quota {
	q := &request.Quota{Namespace: p.Namespace, Policy: p.Name, Limit: l.Name, Shadow: l.Mode == Shadow}
	if unlimited {
		q.Requests, q.Burst = limit.MaxAmount, limit.MaxAmount
	}
	return q
}
