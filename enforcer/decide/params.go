// Package decide answers one question: given the state of a counter, may this
// cost be taken now? Each algorithm is a pure function on a state of 24 bytes.
// There are integers only: nothing rounds in a client's favour, and nothing
// drifts, however many requests are counted.
package decide

import (
	"fmt"

	"github.com/sluice-dev/sluice/enforcer/limit"
)

// Algorithm is a way to count a rate. The zero value is none.
type Algorithm uint8

// The algorithms.
const (
	// Bucket is a token bucket: it holds burst tokens, is full at first, and
	// refills evenly.
	Bucket Algorithm = iota + 1
	// Sliding counts the last stretch of time, estimated from sub-windows.
	Sliding
	// Fixed counts the current stretch of time since the epoch.
	Fixed
	// CalendarFixed counts the current day, week, month or year of the UTC calendar.
	CalendarFixed
)

// Bounds of the parameters. Within them no arithmetic of this package overflows.
const (
	// MaxRequests bounds rates and bursts.
	MaxRequests = limit.Amount(1_000_000_000)
	// MinPer and MaxPer bound the stretch of time of a rate.
	MinPer = limit.Millisecond
	MaxPer = 8784 * limit.Hour
	// MaxFill bounds the time in which an empty bucket fills.
	MaxFill = 100 * 366 * limit.Day
)

// Params is an algorithm with its numbers: an immutable, comparable value, safe
// for concurrent use. Two equal Params read the same states. The zero Params is
// not valid; the constructors make valid ones.
type Params struct {
	algorithm Algorithm
	calendar  Calendar
	requests  uint64 // tokens per `per`
	per       uint64 // nanoseconds; 0 for a calendar window
	burst     uint64 // tokens; equals requests in a window

	// Of a bucket: how much later one token, and a whole burst, moves the time at
	// which the bucket is full.
	token, fill span
}

// TokenBucket returns a bucket of burst tokens that refills by requests each per.
// The algorithm is the virtual scheduling form of GCRA (ITU-T I.371).
func TokenBucket(requests limit.Amount, per limit.Span, burst limit.Amount) (Params, error) {
	if err := checkRate(requests, per); err != nil {
		return Params{}, err
	}
	if burst < 1 || burst > MaxRequests {
		return Params{}, fmt.Errorf("burst is %d: use 1 to %d", burst, MaxRequests)
	}
	p := Params{algorithm: Bucket, requests: uint64(requests), per: uint64(per), burst: uint64(burst)}
	p.token = p.spanOf(1)
	p.fill = p.spanOf(p.burst)
	if p.fill.ns > uint64(MaxFill) {
		return Params{}, fmt.Errorf("a burst of %d at %d per %v takes more than 100 years to refill: use a smaller burst or a higher rate", burst, requests, per.Duration())
	}
	return p, nil
}

// SlidingWindow returns a window that counts the stretch of per that ends now. It
// does so in constant space, by an estimate: of the oldest third it takes what was
// admitted there as evenly spread. Traffic that is steady is held to requests in
// any stretch of per, and one burst at a chosen moment followed by another to
// twice as many.
func SlidingWindow(requests limit.Amount, per limit.Span) (Params, error) {
	if err := checkRate(requests, per); err != nil {
		return Params{}, err
	}
	return Params{algorithm: Sliding, requests: uint64(requests), per: uint64(per), burst: uint64(requests)}, nil
}

// FixedWindow returns a window that admits requests in each stretch of per since
// the epoch.
func FixedWindow(requests limit.Amount, per limit.Span) (Params, error) {
	if err := checkRate(requests, per); err != nil {
		return Params{}, err
	}
	return Params{algorithm: Fixed, requests: uint64(requests), per: uint64(per), burst: uint64(requests)}, nil
}

// CalendarWindow returns a window that admits requests in each period of the UTC
// calendar.
func CalendarWindow(requests limit.Amount, c Calendar) (Params, error) {
	if requests < 1 || requests > MaxRequests {
		return Params{}, fmt.Errorf("requests is %d: use 1 to %d", requests, MaxRequests)
	}
	if c < Day || c > Year {
		return Params{}, fmt.Errorf("calendar period %d: use Day, Week, Month or Year", c)
	}
	return Params{algorithm: CalendarFixed, calendar: c, requests: uint64(requests), burst: uint64(requests)}, nil
}

func checkRate(requests limit.Amount, per limit.Span) error {
	if requests < 1 || requests > MaxRequests {
		return fmt.Errorf("requests is %d: use 1 to %d", requests, MaxRequests)
	}
	if per < MinPer || per > MaxPer {
		return fmt.Errorf("per is %v: use 1ms to 8784h", per.Duration())
	}
	return nil
}

// Algorithm returns how p counts.
func (p *Params) Algorithm() Algorithm { return p.algorithm }

// Requests returns the tokens granted each Per.
func (p *Params) Requests() limit.Amount { return limit.Amount(p.requests) }

// Burst returns the most tokens that can be taken at once.
func (p *Params) Burst() limit.Amount { return limit.Amount(p.burst) }

// Per returns the stretch of time of the rate; of a calendar period the nominal
// one: 24 hours, 7, 30 or 365 days.
func (p *Params) Per() limit.Span {
	if p.algorithm == CalendarFixed {
		return p.calendar.Nominal()
	}
	return limit.Span(p.per)
}

// Calendar returns the calendar period, or 0 for a rate per duration.
func (p *Params) Calendar() Calendar { return p.calendar }
