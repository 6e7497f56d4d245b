package policy

import (
	"fmt"
	"strings"
	"time"

	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

// ParsePer reads the stretch of time of a rate: a duration such as 1s or 1h30m,
// or Day, Week, Month or Year. One of the results is zero.
func ParsePer(per string) (limit.Span, decide.Calendar, error) {
	for c := decide.Day; c <= decide.Year; c++ {
		if per == c.String() {
			return 0, c, nil
		}
	}
	if !isDuration(per) {
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

// isDuration says whether s has the form of a duration of Gateway API (GEP-2257):
// one to four times a number of up to five digits and one of h, m, s and ms.
func isDuration(s string) bool {
	for n := 0; n == 0 || s != ""; n++ {
		rest := strings.TrimLeft(s, "0123456789")
		digits := len(s) - len(rest)
		after, ok := strings.CutPrefix(rest, "ms")
		if !ok {
			after = strings.TrimLeft(rest, "hms")
			ok = len(rest)-len(after) == 1
		}
		if n == 4 || digits < 1 || digits > 5 || !ok {
			return false
		}
		s = after
	}
	return true
}
