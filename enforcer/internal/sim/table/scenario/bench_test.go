package scenario

import (
	"testing"

	"github.com/sluice-dev/sluice/enforcer/limit"
)

// What one request costs in a pool of ten nodes at a hundred times the limit: the
// harness alone, and with the engine.
func BenchmarkRequest(b *testing.B) {
	for name, maker := range map[string]Maker{"harness": stub{}.make, "naive": NaiveWindow, "engine": Engine} {
		b.Run(name, func(b *testing.B) {
			s := Scenario{Name: "bench", Nodes: 10, Limit: PerSecond(1000), Load: Constant(100), Spread: Uniform(), Duration: limit.Second}
			s.Duration = limit.Span(max(1, b.N/100_000)) * limit.Second
			r, err := Run(s, maker, 1)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(r.Requests), "ns/request")
			b.ReportMetric(0, "ns/op")
		})
	}
}
