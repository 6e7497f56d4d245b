package engine_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/engine"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/request"
)

// own asks with a limit of the request's own.
func own(user string, requests limit.Amount, per limit.Span, calendar string) *request.Request {
	return &request.Request{Domain: "web", Cost: 1, Descriptors: []request.Descriptor{{
		Entries: []request.Entry{{Key: "user", Value: user}},
		Own:     &request.OwnLimit{Quota: request.Quota{Limit: "own", Requests: requests, Burst: requests, Per: per, Calendar: calendar}},
	}}}
}

func TestARequestMayBringItsOwnLimit(t *testing.T) {
	day := start - start%limit.Instant(limit.Day)
	for _, c := range []struct {
		name     string
		requests limit.Amount
		per      limit.Span
		calendar string
		next     limit.Instant // when the window after that of start begins
		want     int
	}{
		{"a number each second", 3, limit.Second, "", start - start%limit.Instant(limit.Second) + limit.Instant(limit.Second), 3},
		{"a number each calendar day", 4, limit.Day, "Day", day + limit.Instant(limit.Day), 4},
		{"none at all", 0, limit.Second, "", start.Add(limit.Hour), 0},
		{"a part of a millisecond is a whole one", 2, limit.Millisecond / 2, "", start.Add(2 * limit.Millisecond), 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEngine(t, compile(t, perClient("http", 1, "1s", 1)))
			for _, now := range []limit.Instant{start, c.next} {
				if got := admitted(e, now, own("a", c.requests, c.per, c.calendar), 10); got != c.want {
					t.Errorf("at %v %d of 10 requests were admitted, want %d", now.Time(), got, c.want)
				}
			}
			if got := admitted(e, start, own("b", c.requests, c.per, c.calendar), 10); got != c.want {
				t.Errorf("another user: %d of 10 requests were admitted, want %d", got, c.want)
			}
		})
	}
}

func TestAnUnknownDomainHasNoLimitsOfTheRequestsOwn(t *testing.T) {
	e := newEngine(t, compile(t, perClient("http", 1, "1s", 1)))
	req := own("a", 1, limit.Second, "")
	req.Domain = "other"
	if got := admitted(e, start, req, 10); got != 10 {
		t.Errorf("%d of 10 requests were admitted, want all", got)
	}
}

func TestOwnLimitsSurviveAPolicyChange(t *testing.T) {
	e := newEngine(t, compile(t, perClient("http", 1, "1s", 1)))
	admitted(e, start, own("a", 5, limit.Hour, ""), 4)
	e.SetPolicy(start, compile(t, total("another", 2000, "1s"), perClient("http", 1, "1s", 1)))
	if got := admitted(e, start, own("a", 5, limit.Hour, ""), 10); got != 1 {
		t.Errorf("%d more were admitted, want 1", got)
	}
}

func TestTooManyDifferentOwnLimitsDenyRatherThanEscape(t *testing.T) {
	const most = 4096
	e := newEngine(t, compile(t, perClient("http", 1, "1s", 1)))
	user := func(i int) string { return fmt.Sprint("user-", i) }
	for i := range most {
		admitted(e, start, own(user(i), limit.Amount(10+i), limit.Hour, ""), 1)
	}
	if got := admitted(e, start, own("late", 9, limit.Hour, ""), 5); got != 0 {
		t.Errorf("%d requests with one limit more were admitted, want none", got)
	}
	if got := admitted(e, start, own(user(0), 10, limit.Hour, ""), 20); got != 9 {
		t.Errorf("with a known limit %d were admitted, want 9: all but the first", got)
	}
	later := start.Add(3 * limit.Minute)
	if got := admitted(e, later, own("late", 9, limit.Hour, ""), 20); got != 9 {
		t.Errorf("minutes later %d requests with a new limit were admitted, want 9", got)
	}
	if got := admitted(e, later, own(user(1), 11, limit.Hour, ""), 20); got != 10 {
		t.Errorf("minutes later %d requests were admitted, want 10: the counter survives", got)
	}
}

// The identity of a rate's meter says all of it, and is never that of a policy's
// limit.
func TestRatesAreTheirOwnNames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := request.Quota{
			Requests: limit.Amount(rapid.Int64Range(1, int64(decide.MaxRequests)).Draw(t, "requests")),
			Per:      limit.Span(rapid.Int64Range(1, int64(decide.MaxPer)).Draw(t, "per")),
			Calendar: rapid.SampledFrom([]string{"", "Day", "Week", "Month", "Year"}).Draw(t, "calendar"),
		}
		id, variant, ok := engine.NameOfRate(&q)
		if !ok {
			t.Fatal("the rate was refused")
		}
		again, ok := engine.RateNamed(id, variant)
		wantPer := (q.Per + limit.Millisecond - 1) / limit.Millisecond * limit.Millisecond
		if q.Calendar != "" {
			wantPer = again.Per
		}
		if !ok || again.Requests != q.Requests || again.Calendar != q.Calendar || again.Per != wantPer {
			t.Fatalf("%+v is named %x/%x, which means %+v, %v", q, id, variant, again, ok)
		}
		if _, ok := engine.RateNamed(rapid.Uint64().Draw(t, "limit"), uint16(rapid.IntRange(0, 256).Draw(t, "override"))); ok {
			t.Fatal("a policy's limit was taken for a rate")
		}
	})
}
