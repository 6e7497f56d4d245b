//go:build !race

package engine_test

import (
	"testing"

	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/request"
)

// Under the race detector a sync.Pool forgets at random, so this is a test of
// what is shipped only.
func TestDecideDoesNotAllocate(t *testing.T) {
	for name, c := range cases(t) {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t, compile(t, c.limits...))
			var ans request.Answer
			now := start
			if n := testing.AllocsPerRun(1000, func() {
				now = now.Add(limit.Millisecond)
				e.Decide(now, c.req, &ans)
			}); n != 0 {
				t.Errorf("%v allocations, want none", n)
			}
		})
	}
}
