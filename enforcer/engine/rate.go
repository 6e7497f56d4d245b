package engine

import (
	"github.com/sluice-dev/sluice/enforcer/account"
	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/request"
)

// rate is a limit that a request brings along: a fixed window. It is its own
// name: the identity of its meter says all of it, so a node that hears of a
// counter from a peer knows how to count without ever having seen the request.
type rate struct {
	requests limit.Amount // 1 to decide.MaxRequests
	millis   uint64       // of the window; 0 for a calendar period
	calendar decide.Calendar
}

// The identity of a rate's meter: requests in the low 30 bits of Limit, millis
// in the rest of it and the low bit of Variant, then the calendar period, and
// ownFlag, which no override of a policy has.
const (
	requestBits  = 30
	requestsMask = 1<<requestBits - 1
	ownFlag      = 1 << 15
)

// rateOf reads the quota that a request brings along; amounts above the bounds of
// decide count as the bounds, and a part of a millisecond as a whole one.
func rateOf(q *request.Quota) (rate, bool) {
	r := rate{requests: min(q.Requests, decide.MaxRequests)}
	for c := decide.Day; q.Calendar != "" && c <= decide.Year; c++ {
		if c.String() == q.Calendar {
			r.calendar = c
		}
	}
	if r.calendar == 0 {
		per := min(max(q.Per, decide.MinPer), decide.MaxPer)
		r.millis = uint64((per + limit.Millisecond - 1) / limit.Millisecond)
	}
	return r, q.Requests >= 1
}

// rateNamed returns the rate of a meter's identity; false for those that name a
// policy's limit or nothing at all.
func rateNamed(id uint64, variant uint16) (rate, bool) {
	r := rate{
		requests: limit.Amount(id & requestsMask),
		millis:   id>>requestBits | uint64(variant&1)<<(64-requestBits),
		calendar: decide.Calendar(variant >> 1 & 7),
	}
	named, rest := r.name()
	return r, variant&ownFlag != 0 && named == id && rest == variant && r.requests > 0
}

// name returns the identity of the rate's meter.
func (r rate) name() (id uint64, variant uint16) {
	return uint64(r.requests) | r.millis<<requestBits,
		ownFlag | uint16(r.calendar)<<1 | uint16(r.millis>>(64-requestBits))&1
}

// meter returns how to count by the rate.
func (r rate) meter() (account.Meter, error) {
	m := account.Meter{}
	m.Limit, m.Variant = r.name()
	var err error
	if r.calendar != 0 {
		m.Params, err = decide.CalendarWindow(r.requests, r.calendar)
	} else {
		m.Params, err = decide.FixedWindow(r.requests, limit.Span(min(r.millis, uint64(decide.MaxPer/limit.Millisecond)))*limit.Millisecond)
	}
	return m, err
}
