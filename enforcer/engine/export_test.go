package engine

import "github.com/sluice-dev/sluice/enforcer/request"

// NameOfRate returns the identity of the meter of a limit that a request brings
// along.
func NameOfRate(q *request.Quota) (id uint64, variant uint16, ok bool) {
	r, ok := rateOf(q)
	id, variant = r.name()
	return id, variant, ok
}

// RateNamed reads it back.
func RateNamed(id uint64, variant uint16) (request.Quota, bool) {
	r, ok := rateNamed(id, variant)
	if !ok {
		return request.Quota{}, false
	}
	m, err := r.meter()
	return request.Quota{Requests: m.Params.Requests(), Per: m.Params.Per(), Calendar: m.Params.Calendar().String()}, err == nil
}
