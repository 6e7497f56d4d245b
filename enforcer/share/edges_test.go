package share_test

import (
	"fmt"
	"testing"

	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/share"
)

// A part of a token that was taken is paid back by what comes in, like a whole
// one: it does not stay for ever below a counter that is full.
func TestAPartOfATokenIsPaidBack(t *testing.T) {
	for _, c := range []struct {
		params decide.Params
		gap    limit.Span // between requests that are to be admitted
	}{
		{bucket(1, limit.Second, 1), 1200 * limit.Millisecond},
		{bucket(1, limit.Minute, 1), 70 * limit.Second},
		{bucket(10, limit.Second, 1), 120 * limit.Millisecond},
		{bucket(1, limit.Second, 2), 1200 * limit.Millisecond},
	} {
		t.Run(fmt.Sprintf("%d per %v, burst %d", c.params.Requests(), c.params.Per().Duration(), c.params.Burst()), func(t *testing.T) {
			p := newPool(c.params, 3, false, 1)
			refused := 0
			for range 50 {
				if !p.ask(0, 1) {
					refused++
				}
				for range 10 {
					p.tell(0)
					p.check()
					p.Run(c.gap / 10)
				}
			}
			if refused > 0 {
				t.Errorf("%d of 50 requests below the limit were refused", refused)
			}
		})
	}
}

func TestACounterThatIsFullAgainIsForgotten(t *testing.T) {
	b := newBooks(bucket(10, limit.Second, 100), 3, start)
	b.apply(start, 1, 1, share.Report{Taken: 50, Level: 50, Age: 7 * limit.Millisecond, Era: 1, Fresh: true})
	if at := start.Add(limit.Minute); !b.Idle(&b.params, &b.rule, at) {
		t.Errorf("a minute later the home is not idle, with %v of 100 left", b.level(at))
	}
}

// What may be taken without a word is never asked for later: a client that takes
// a little more than leaks for long has not taken all of it at once.
func TestWhatHasLeakedIsNotCharged(t *testing.T) {
	for _, c := range []struct {
		name   string
		params decide.Params
		gap    limit.Span
	}{
		{"a bucket of 10/s and a client of 1.26/s", bucket(10, limit.Second, 100), 793 * limit.Millisecond},
		{"a window of 100/s and a client of 12.6/s", must(decide.FixedWindow(100, limit.Second)), 79_365 * limit.Millisecond / 1000},
		{"a sliding window of 100/s and a client of 12.6/s", must(decide.SlidingWindow(100, limit.Second)), 79_365 * limit.Millisecond / 1000},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPool(c.params, 2, false, 1)
			refused, lowest := 0, 1000.
			for range 2000 {
				if !p.ask(0, 1) {
					refused++
				}
				for range 3 {
					p.tell(0)
					p.check()
					lowest = min(lowest, p.homeLevel())
					p.Run(c.gap / 3)
				}
			}
			if refused > 0 || lowest < 70 {
				t.Errorf("%d of 2000 requests were refused, and the home believed that %v of 100 were left", refused, lowest)
			}
		})
	}
}

// A Local that is kept, because others take from the counter, forgives its node
// what leaks as well.
func TestWhatHasLeakedIsNotChargedWhenTheHomeTells(t *testing.T) {
	e := newEnd(bucket(10, limit.Second, 100), 2)
	refused := 0
	for i := range 1000 {
		now := start.Add(limit.Span(i) * limit.Second)
		if !e.ask(now, 1) { // 1 a second; 1.25 may be taken without a word
			refused++
		}
		if e.counter().Due(now) {
			e.counter().Report(now)
		}
		if i%5 == 4 {
			e.hear(now, share.State{Level: 80, Rate: 1, Others: 1})
		}
	}
	if refused > 0 {
		t.Errorf("%d of 1000 requests were refused, with 80 of 100 left", refused)
	}
}

// Nodes that take a little without a word are told to stop that when it could be
// too much together, whether or not their home has ever heard of them.
func TestManyThatTakeALittleDoNotExceedTheLimit(t *testing.T) {
	const seconds = 30
	c := newPool(bucket(1000, limit.Second, 1000), 10, false, 1).drive()
	c.link = lan
	all := []*tally{c.offer(0, 900, seconds*limit.Second, 1)}
	for i := 1; i < 10; i++ {
		all = append(all, c.offer(i, 24, seconds*limit.Second, 1))
	}
	c.Run(seconds * limit.Second)
	if got, most := admitted(all), seconds*1000+1000; float64(got) > 1.01*float64(most) {
		t.Errorf("%d were admitted in %d s, want at most %d", got, seconds, most)
	}
}

// What can never be admitted is no demand that others make room for.
func TestACostAboveTheBurstTakesNobodysPlace(t *testing.T) {
	c := newPool(bucket(100, limit.Second, 100), 2, false, 1).drive()
	all := c.spread(90, 20*limit.Second, 1, 1)
	c.offer(1, 10, 20*limit.Second, 5000)
	c.Run(20 * limit.Second)
	if got := admitted(all); got < 1795 {
		t.Errorf("%d of 1800 requests below the limit were admitted, with %v of 100 left", got, c.homeLevel())
	}
}

// A node whose counter begins anew with what others took may use what they give
// back.
func TestWhatOthersGiveBackCanBeUsed(t *testing.T) {
	e := newEnd(must(decide.FixedWindow(1000, limit.Day)), 3)
	e.state = e.params.Debit(e.state, start, 1000) // as it was told before
	e.local.Start(&e.rule, start, e.state, 0, 0, 2)
	e.hear(start, share.State{Level: 500})
	if !e.ask(start, 1) {
		t.Error("a token of 500 was refused")
	}
}

func TestAFairPartOfAFlashIsNotRoundedDown(t *testing.T) {
	for burst := limit.Amount(1); burst <= 300; burst++ {
		for nodes := 2; nodes <= 30; nodes++ {
			p := bucket(1, limit.Day, burst)
			r := share.NewRule(&p, nodes, delay, true)
			if got, want := grants(&p, &r), max(1, burst/limit.Amount(nodes)); got != want {
				t.Fatalf("each of %d nodes grants %d of %d, want %d", nodes, got, burst, want)
			}
		}
	}
}

// A node registers with a new home, and that is lost. What it says next is not
// taken for the first that anybody hears of those tokens.
func TestALostRegistrationIsNotChargedTwice(t *testing.T) {
	e := newEnd(hourly, 3)
	for range 300 {
		e.ask(start, 1)
	}
	e.counter().Report(start)   // to the former home
	e.counter().Register(start) // lost
	e.ask(start, 1)
	next := newBooks(hourly, 3, start.Add(25*limit.Millisecond))
	next.apply(start, 2, 1, share.Report{Level: 700, HandOver: true, Register: true})
	next.apply(start, 1, 2, e.counter().Report(start))
	near(t, "the new home's level", next.level(start), 700, 2)
}

// A node that becomes the home of a counter knows less of it than the former home,
// which has handed it over.
func TestANewHomesOwnViewDoesNotUndoAHandOver(t *testing.T) {
	e := newEnd(hourly, 3)
	e.hear(start, share.State{Level: 900})
	b := newBooks(hourly, 3, start.Add(25*limit.Millisecond))
	b.apply(start, 1, 1, share.Report{Level: 600, HandOver: true, Register: true})
	b.Seed(&b.params, &b.rule, &e.local, e.state, start)
	near(t, "the level", b.level(start), 600, 1e-9)
}

// What is taken of a window does not come in again before it ends, however slowly
// it is taken.
func TestAWindowForgetsNothing(t *testing.T) {
	c := newPool(must(decide.FixedWindow(1000, limit.Day)), 3, false, 1)
	for range 40 { // in 13 hours of one day
		c.ask(0, 1)
		c.tell(0)
		c.Run(20 * limit.Minute)
	}
	for range 40 {
		c.ask(0, 1)
	}
	c.tell(0)
	c.Run(0)
	near(t, "the home's level", c.homeLevel(), 920, 1)
}
