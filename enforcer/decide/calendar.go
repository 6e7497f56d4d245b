package decide

import (
	"time"

	"github.com/sluice-dev/sluice/enforcer/limit"
)

// Calendar is a period of the UTC calendar. The zero value is none.
type Calendar uint8

// The calendar periods. A week begins on Monday (ISO 8601).
const (
	Day Calendar = iota + 1
	Week
	Month
	Year
)

// String returns the period's name as it is written in a policy.
func (c Calendar) String() string {
	switch c {
	case Day:
		return "Day"
	case Week:
		return "Week"
	case Month:
		return "Month"
	case Year:
		return "Year"
	}
	return ""
}

// Nominal returns the period's usual length: 1, 7, 30 or 365 days.
func (c Calendar) Nominal() limit.Span {
	switch c {
	case Day:
		return limit.Day
	case Week:
		return 7 * limit.Day
	case Month:
		return 30 * limit.Day
	case Year:
		return 365 * limit.Day
	}
	return 0
}

// The epoch was a Thursday: the week it lies in began three days earlier.
const daysBeforeEpoch = 3

// number returns how many periods lie between the epoch's and that of now.
func (c Calendar) number(now limit.Instant) int64 {
	days := int64(now) / int64(limit.Day)
	switch c {
	case Day:
		return days
	case Week:
		return (days + daysBeforeEpoch) / 7
	}
	year, month, _ := now.Time().Date()
	if c == Year {
		return int64(year - 1970)
	}
	return int64(year-1970)*12 + int64(month-time.January)
}

// start returns the instant at which a period begins; one after the year 2261
// never does.
func (c Calendar) start(number int64) limit.Instant {
	const lastDay = int64(limit.Never) / int64(limit.Day)
	switch c {
	case Day, Week:
		days := number
		if c == Week {
			days = min(number, lastDay)*7 - daysBeforeEpoch
		}
		if days > lastDay {
			return limit.Never
		}
		return limit.Instant(days * int64(limit.Day))
	}
	const lastYear = 2262
	year, month := min(number, lastYear), int64(0)
	if c == Month {
		year, month = min(number/12, lastYear), number%12
	}
	return limit.InstantOf(time.Date(1970+int(year), time.January+time.Month(month), 1, 0, 0, 0, 0, time.UTC))
}
