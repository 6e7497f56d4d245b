package policy

import (
	"fmt"
	"regexp"
	"time"

	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

// gep2257 is the form of a duration in Gateway API (GEP-2257).
//
//nolint:gochecknoglobals // a constant that the language cannot write as one
var gep2257 = regexp.MustCompile(`^([0-9]{1,5}(h|m|s|ms)){1,4}$`)

// ParsePer reads the stretch of time of a rate: a duration such as 1s or 1h30m,
// or Day, Week, Month or Year. One of the results is zero.
func ParsePer(per string) (limit.Span, decide.Calendar, error) {
	for c := decide.Day; c <= decide.Year; c++ {
		if per == c.String() {
			return 0, c, nil
		}
	}
	if !gep2257.MatchString(per) {
		return 0, 0, fmt.Errorf("%q: use a duration of hours, minutes, seconds and milliseconds such as 1s, 250ms or 1h30m, or Day, Week, Month or Year", per)
	}
	d, err := time.ParseDuration(per)
	if err != nil {
		return 0, 0, fmt.Errorf("%q: %w", per, err)
	}
	if span := limit.Span(d); span >= decide.MinPer && span <= decide.MaxPer {
		return span, 0, nil
	}
	return 0, 0, fmt.Errorf("%q: use a duration from 1ms to 8784h (366 days)", per)
}
