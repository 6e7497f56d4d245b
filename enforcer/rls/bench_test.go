package rls_test

import (
	"testing"

	ratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/request"
	"github.com/sluice-dev/sluice/enforcer/rls"
)

// always gives one answer.
type always struct{ answer request.Answer }

func (a *always) Decide(_ *request.Request, ans *request.Answer) {
	ans.Outcome, ans.KnownDomain, ans.Verdict = a.answer.Outcome, true, a.answer.Verdict
	ans.Descriptors = append(ans.Descriptors[:0], a.answer.Descriptors...)
}

// What the front end adds to a decision: unmarshalling, translating there and back,
// and marshalling.
func BenchmarkCall(b *testing.B) {
	quota := request.Quota{Policy: "shop", Limit: "per-client", Requests: 10, Burst: 20, Per: limit.Second}
	admitted := request.Verdict{Quota: &quota, Remaining: 7, ResetAfter: limit.Second}
	denied := request.Verdict{Quota: &quota, Denied: true, ResetAfter: limit.Second, RetryAfter: limit.Second}
	call, err := proto.Marshal(&rlsv3.RateLimitRequest{
		Domain: "edge", Descriptors: []*ratelimitv3.RateLimitDescriptor{descriptor("client", "client-1234")},
	})
	if err != nil {
		b.Fatal(err)
	}
	for name, answer := range map[string]request.Answer{
		"admitted": {Outcome: request.Admitted, Verdict: admitted, Descriptors: []request.Verdict{admitted}},
		"denied":   {Outcome: request.Denied, Verdict: denied, Descriptors: []request.Verdict{denied}},
	} {
		b.Run(name, func(b *testing.B) {
			s := rls.New(rls.Options{Decider: &always{answer}})
			b.ReportAllocs()
			for b.Loop() {
				in := new(rlsv3.RateLimitRequest)
				if err := proto.Unmarshal(call, in); err != nil {
					b.Fatal(err)
				}
				out, err := s.ShouldRateLimit(b.Context(), in)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := proto.Marshal(out); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
