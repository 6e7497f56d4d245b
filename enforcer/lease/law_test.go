package lease

import (
	"slices"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

// parameters draws a limit of any algorithm that is used up within seconds.
func parameters(t *rapid.T) decide.Params {
	requests := limit.Amount(rapid.IntRange(1, 200).Draw(t, "requests"))
	per := limit.Span(rapid.SampledFrom([]int64{100, 1000, 7000}).Draw(t, "per")) * limit.Millisecond
	var p decide.Params
	var err error
	switch rapid.SampledFrom([]decide.Algorithm{decide.Bucket, decide.Bucket, decide.Sliding, decide.Fixed, decide.CalendarFixed}).Draw(t, "algorithm") {
	case decide.Sliding:
		p, err = decide.SlidingWindow(requests, per)
	case decide.Fixed:
		p, err = decide.FixedWindow(requests, per)
	case decide.CalendarFixed:
		p, err = decide.CalendarWindow(requests, decide.Day)
	default:
		p, err = decide.TokenBucket(requests, per, limit.Amount(rapid.IntRange(1, 200).Draw(t, "burst")))
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// exchange is one book, those who hold leases of it, and the frames between them. Each
// holder has a clock of its own.
type exchange struct {
	params  decide.Params
	now     limit.Instant // by the owner's clock
	book    *book
	owner   int32
	holders []*holder
	ahead   []limit.Span // of now, by holder
	lives   atomic.Uint32
	asks    []sentAsk
	grants  []sentGrant
	exact   decide.State // what one limiter would have counted
	used    limit.Amount // in all
}

type sentAsk struct {
	from, to int32
	ask      Ask
}

type sentGrant struct {
	to    int32
	grant Grant
}

func newExchange(t *rapid.T, p decide.Params) *exchange {
	// Just before midnight: a calendar day ends while it runs.
	x := &exchange{params: p, now: limit.Instant(20_000*limit.Day - limit.Second), owner: 100}
	x.book = &book{params: &x.params, cameAt: x.now}
	for i := range rapid.IntRange(1, 4).Draw(t, "holders") {
		x.ahead = append(x.ahead, limit.Span(rapid.Int64Range(-1e12, 1e12).Draw(t, "clock")))
		x.holders = append(x.holders, nil)
		x.restart(i)
	}
	return x
}

func (x *exchange) restart(i int) {
	x.holders[i] = &holder{params: &x.params}
	x.holders[i].move(x.clock(i), x.owner, &x.lives)
}

func (x *exchange) clock(i int) limit.Instant { return x.now.Add(x.ahead[i]) }

// admitted notes that tokens were used, and fails if one limiter had not had them.
func (x *exchange) admitted(t *rapid.T, cost limit.Amount) {
	x.exact = x.params.Debit(x.exact, x.now, cost)
	x.used += cost
	if used := x.params.Used(x.exact, x.now); used > x.params.Burst() {
		t.Fatalf("%d are used of %d", used, x.params.Burst())
	}
}

func (x *exchange) take(t *rapid.T) {
	i := rapid.IntRange(0, len(x.holders)-1).Draw(t, "holder")
	cost := limit.Amount(rapid.IntRange(0, 5).Draw(t, "cost"))
	h := x.holders[i]
	h.move(x.clock(i), x.owner, &x.lives)
	switch h.take(x.clock(i), cost) {
	case Admitted:
		x.admitted(t, cost)
	case Pending:
		h.wait(nobody{}, cost)
	}
}

type nobody struct{}

func (nobody) Wake() {}

// undone has a request that was charged denied by another limit.
func (x *exchange) undone(t *rapid.T) {
	i := rapid.IntRange(0, len(x.holders)-1).Draw(t, "holder")
	cost := limit.Amount(rapid.IntRange(1, 5).Draw(t, "cost"))
	if h := x.holders[i]; h.take(x.clock(i), cost) == Admitted {
		life := h.life
		if rapid.Bool().Draw(t, "told between") {
			x.asks = append(x.asks, sentAsk{int32(i), h.owner, h.ask(x.clock(i))})
		}
		h.undo(x.clock(i), life, cost)
	}
}

func (x *exchange) takeHere(t *rapid.T) {
	if cost := limit.Amount(rapid.IntRange(0, 5).Draw(t, "cost")); x.book.take(x.now, cost) {
		x.admitted(t, cost)
	}
}

func (x *exchange) ask(t *rapid.T) {
	i := rapid.IntRange(0, len(x.holders)-1).Draw(t, "holder")
	h := x.holders[i]
	h.move(x.clock(i), x.owner, &x.lives)
	k := h.ask(x.clock(i))
	k.Demand = rapid.SampledFrom([]float64{0, 1, 100, 1e5}).Draw(t, "demand")
	x.asks = append(x.asks, sentAsk{int32(i), x.owner, k})
}

// hear has the owner hear any question that was ever asked of it, perhaps again.
func (x *exchange) hear(t *rapid.T) {
	if len(x.asks) == 0 {
		return
	}
	at := rapid.IntRange(0, len(x.asks)-1).Draw(t, "question")
	s := x.asks[at]
	if rapid.Bool().Draw(t, "once") {
		x.asks = slices.Delete(x.asks, at, at+1)
	}
	if s.to != x.owner {
		return
	}
	if g, ok := x.book.hear(x.now, s.from, &s.ask); ok {
		x.grants = append(x.grants, sentGrant{s.from, g})
	}
}

func (x *exchange) heard(t *rapid.T) {
	if len(x.grants) == 0 {
		return
	}
	at := rapid.IntRange(0, len(x.grants)-1).Draw(t, "answer")
	s := x.grants[at]
	if rapid.Bool().Draw(t, "once") {
		x.grants = slices.Delete(x.grants, at, at+1)
	}
	x.holders[s.to].hear(x.clock(int(s.to)), &s.grant)
}

func (x *exchange) pass(t *rapid.T) {
	x.now = x.now.Add(limit.Span(rapid.OneOf(rapid.Int64Range(0, 20), rapid.Int64Range(0, 3000)).Draw(t, "passes")) * limit.Millisecond)
}

// succeed has another node own the book, by a copy. Holders notice when they ask.
func (x *exchange) succeed(t *rapid.T) {
	if rapid.IntRange(0, 3).Draw(t, "rarely") > 0 {
		return
	}
	next := &book{params: &x.params}
	told := x.book.sum(x.now)
	x.pass(t) // it is under way
	next.copy(x.now, told)
	x.pass(t) // nobody owns it
	next.own(x.now)
	x.owner++
	x.book = next
}

// Whatever is lost, repeated, late or out of order, whoever forgets what he held, and
// wherever the book goes: no more is admitted than one limiter would have.
func TestNoOrderOfFramesAdmitsTooMuch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := newExchange(t, parameters(t))
		t.Repeat(map[string]func(*rapid.T){
			"take": x.take, "take again": x.take, "take here": x.takeHere, "undone": x.undone, "ask": x.ask, "hear": x.hear, "hear more": x.hear,
			"heard": x.heard, "heard more": x.heard, "pass": x.pass, "succeed": x.succeed,
			"restart": func(t *rapid.T) {
				if rapid.IntRange(0, 5).Draw(t, "rarely") == 0 {
					x.restart(rapid.IntRange(0, len(x.holders)-1).Draw(t, "holder"))
				}
			},
			"": func(t *rapid.T) {
				sum := limit.Amount(0)
				for i := range x.book.accounts {
					sum += x.book.accounts[i].outstanding()
				}
				if sum != x.book.outstanding {
					t.Fatalf("%d are outstanding, the accounts have %d", x.book.outstanding, sum)
				}
			},
		})
	})
}

// Where everything arrives the book knows all: what was used, and what is held. Tokens
// are lost by leases that end, and where what was told is undone.
func TestWhatIsToldIsCountedToTheToken(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, _ := decide.TokenBucket(1, limit.Hour, 300)
		x := newExchange(t, p)
		begin := x.now
		t.Repeat(map[string]func(*rapid.T){
			"take": x.take, "take again": x.take, "take here": x.takeHere, "ask": x.ask, "heard": x.heard,
			"hear": x.hear, "pass": func(*rapid.T) { x.now = x.now.Add(limit.Millisecond) },
		})
		if x.now.Sub(begin) > Term/2 {
			t.Skip("leases have ended")
		}
		held := limit.Amount(0)
		for i, h := range x.holders {
			h.until = max(h.until, x.clock(i).Add(1)) // of one that never heard of a lease
			k := h.ask(x.clock(i))
			k.Want = 0
			k.Demand = 0
			g, ok := x.book.hear(x.now, int32(i), &k)
			if !ok {
				t.Fatal("the last question is not heard")
			}
			h.hear(x.clock(i), &g)
			held += h.held()
		}
		if used := x.params.Used(x.book.state, x.now); used != x.used || held != x.book.outstanding {
			t.Fatalf("%d are counted and %d outstanding, want %d and %d", used, x.book.outstanding, x.used, held)
		}
	})
}
