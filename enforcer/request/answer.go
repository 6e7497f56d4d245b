package request

import (
	"slices"

	"github.com/sluice-dev/sluice/enforcer/limit"
)

// Outcome is what an enforcer says of a Request.
type Outcome uint8

// The outcomes. The zero value is the one that lets a request through without
// having counted it, so that a forgotten answer never denies.
const (
	// NotLimited: no enforced limit applied; nothing but shadow limits was charged.
	NotLimited Outcome = iota
	// Admitted: every limit that applied had room, and was charged.
	Admitted
	// Denied: at least one limit had no room, and none was charged.
	Denied
)

// String returns the outcome as it appears in metrics: "not_limited",
// "admitted" or "denied".
func (o Outcome) String() string {
	switch o {
	case Admitted:
		return "admitted"
	case Denied:
		return "denied"
	}
	return "not_limited"
}

// Answer is what an enforcer says of one Request. A caller may reuse an Answer,
// and should: Decide overwrites it, keeps the room of its slices, and then
// allocates nothing. One Answer is for one Decide at a time.
type Answer struct {
	Outcome Outcome

	// KnownDomain says whether any policy has the request's domain.
	KnownDomain bool

	// Verdict is the limit that decided: of the limits that denied, the one
	// that asks for the longest wait; else of those that applied, the one with
	// the smallest part of its quota left. Its Quota is nil when Outcome is
	// NotLimited.
	Verdict Verdict

	// Descriptors has one Verdict for each descriptor of the request, in order:
	// the deciding one among the limits that this descriptor matched and the
	// limits that read no descriptor. A nil Quota: none applied to it.
	Descriptors []Verdict

	// Applied has a Verdict for every limit that applied, shadow limits too, in
	// the order of the policies' names and of their limits.
	Applied []Verdict

	// Work is the decider's: memory that it keeps between two uses of an Answer.
	// Nobody else looks at it, and a copy of an Answer that is to be used at the
	// same time needs another, or nil.
	Work any
}

// Reset empties a for a request with n descriptors and keeps its room.
func (a *Answer) Reset(n int) {
	a.Outcome, a.KnownDomain = NotLimited, false
	a.Verdict = Verdict{} // on its own: among others it is made elsewhere and copied
	a.Applied = a.Applied[:0]
	a.Descriptors = a.Descriptors[:0]
	if n > 0 {
		a.Descriptors = slices.Grow(a.Descriptors, n)[:n]
		clear(a.Descriptors)
	}
}

// Verdict is what one limit says of a request.
type Verdict struct {
	// Quota is the limit that speaks: immutable, shared between answers.
	Quota *Quota

	// Denied says that this limit had no room for the cost.
	Denied bool

	// Remaining is what the limit would still admit now, never negative;
	// limit.MaxAmount where the caller is unlimited.
	Remaining limit.Amount

	// ResetAfter is the time until the limit has its whole quota again.
	ResetAfter limit.Span

	// RetryAfter is, for a denied request, the time after which the same cost
	// would be admitted if nothing else were; limit.Forever where it never will
	// be (a cost above the burst, a banned key).
	RetryAfter limit.Span
}

// Quota names and describes a limit to the people and programs it is applied
// to.
type Quota struct {
	Namespace, Policy, Limit string

	// Requests tokens are granted each Per; Burst is how many can be taken at
	// once. Requests is 0 for a banned key and limit.MaxAmount for an unlimited
	// one; Per is 0 for both.
	Requests, Burst limit.Amount
	Per             limit.Span

	// Calendar is "Day", "Week", "Month" or "Year" for a calendar window, of which
	// Per is the nominal length, and "" otherwise.
	Calendar string

	// Shadow limits are decided, counted and reported, but never deny.
	Shadow bool
}
