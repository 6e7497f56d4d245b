package engine_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/policy"
	"github.com/sluice-dev/sluice/enforcer/request"
)

// cases are the requests whose cost is promised.
func cases(t testing.TB) map[string]struct {
	limits []policy.Limit
	req    *request.Request
} {
	t.Helper()
	descriptor := total("user", 1e9, "1s")
	descriptor.Key = []string{"descriptor['user']"}
	denied := perClient("denied", 1, "8784h", 1)
	one := perClient("client", 1e9, "1s", 1e9)
	sliding, calendar := perClient("sliding", 1e9, "1s", 0), perClient("calendar", 1e9, "Month", 0)
	sliding.Algorithm, calendar.Algorithm = policy.SlidingWindow, policy.FixedWindow
	exceptional, picky := one, one
	exceptional.Overrides = []policy.Override{{Key: []string{"b*"}, Deny: true}, {Key: []string{"a"}, Rate: &policy.Rate{Requests: 1e9, Per: "1m"}}}
	picky.When = []string{twentyOperators}
	return map[string]struct {
		limits []policy.Limit
		req    *request.Request
	}{
		"one limit":                         {[]policy.Limit{one}, client("a")},
		"one limit denied":                  {[]policy.Limit{denied}, client("a")},
		"three limits":                      {[]policy.Limit{one, total("all", 1e9, "1s"), perClient("slow", 1e9, "1m", 1e9)}, client("a")},
		"a sliding window":                  {[]policy.Limit{sliding}, client("a")},
		"a calendar window":                 {[]policy.Limit{calendar}, client("a")},
		"an override":                       {[]policy.Limit{exceptional}, client("a")},
		"twenty operators":                  {[]policy.Limit{picky}, client("a")},
		"three limits, one of which denies": {[]policy.Limit{one, total("all", 1e9, "1s"), denied}, client("a")},
		"a descriptor":                      {[]policy.Limit{descriptor}, &request.Request{Domain: "web", Cost: 1, Descriptors: []request.Descriptor{{Entries: []request.Entry{{Key: "user", Value: "a"}}}}}},
		"a limit of the request's own":      {[]policy.Limit{descriptor}, own("a", 1e9, limit.Second, "")},
		"a domain that has no such limit":   {[]policy.Limit{descriptor}, client("a")},
	}
}

func BenchmarkDecide(b *testing.B) {
	for name, c := range cases(b) {
		b.Run(name, func(b *testing.B) {
			e := newEngine(b, compile(b, c.limits...))
			var ans request.Answer
			now := start
			b.ReportAllocs()
			for b.Loop() {
				now += 1000
				e.Decide(now, c.req, &ans)
			}
		})
	}
}

func BenchmarkDecideKeysAtRandom(b *testing.B) {
	const keys = 100_000
	e := newEngine(b, compile(b, perClient("client", 1000, "1h", 1000)))
	reqs := make([]*request.Request, keys)
	for i := range reqs {
		reqs[i] = client(fmt.Sprint("client-", i))
	}
	b.RunParallel(func(pb *testing.PB) {
		random := rand.New(rand.NewPCG(1, rand.Uint64()))
		var ans request.Answer
		now := start
		for pb.Next() {
			now += 1000
			e.Decide(now, reqs[random.IntN(keys)], &ans)
		}
	})
}
