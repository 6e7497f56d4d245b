package enforcer

import "testing"

// A waiter is used again: what it was woken for is over by then. One that remembers asks
// the owner of its next counter twice.
func TestAWaiterForgetsWhatItWasWokenFor(t *testing.T) {
	w := &waiter{woken: make(chan struct{}, 1)}
	woken := func() bool {
		select {
		case <-w.woken:
			return true
		default:
			return false
		}
	}
	w.forget()
	for range 2 {
		w.Wake()
		w.Wake() // it waited for the same counter twice
		w.forget()
		if woken() {
			t.Error("woken by what was before")
		}
		if w.Wake(); !woken() {
			t.Error("not woken")
		}
	}
}
