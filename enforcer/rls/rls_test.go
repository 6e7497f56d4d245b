package rls_test

import (
	"context"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	ratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/request"
	"github.com/sluice-dev/sluice/enforcer/rls"
)

// decider gives one answer and remembers what it was asked.
type decider struct {
	asked  request.Request
	answer request.Answer
}

func (d *decider) Decide(req *request.Request, ans *request.Answer) {
	d.asked = *req
	d.asked.Descriptors = nil
	for _, in := range req.Descriptors { // whose room is used again
		in.Entries = slices.Clone(in.Entries)
		d.asked.Descriptors = append(d.asked.Descriptors, in)
	}
	*ans = d.answer
}

// dial serves s in memory and returns a connection to it.
func dial(t *testing.T, s *rls.Server) *grpc.ClientConn {
	t.Helper()
	listener, server := bufconn.Listen(1<<16), s.GRPC()
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	conn, err := grpc.NewClient("passthrough:rls", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func descriptor(pairs ...string) *ratelimitv3.RateLimitDescriptor {
	d := &ratelimitv3.RateLimitDescriptor{}
	for i := 0; i < len(pairs); i += 2 {
		d.Entries = append(d.Entries, &ratelimitv3.RateLimitDescriptor_Entry{Key: pairs[i], Value: pairs[i+1]})
	}
	return d
}

func entries(pairs ...string) (list []request.Entry) {
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, request.Entry{Key: pairs[i], Value: pairs[i+1]})
	}
	return list
}

func TestACallIsTranslated(t *testing.T) {
	costs := descriptor("tenant", "acme")
	costs.HitsAddend = wrapperspb.UInt64(7)
	looks := descriptor("tenant", "acme")
	looks.HitsAddend = wrapperspb.UInt64(0)
	gives := descriptor("tenant", "acme")
	gives.IsNegativeHits = true
	own := func(unit typev3.RateLimitUnit) *ratelimitv3.RateLimitDescriptor {
		d := descriptor("tenant", "acme")
		d.Limit = &ratelimitv3.RateLimitDescriptor_RateLimitOverride{RequestsPerUnit: 5, Unit: unit}
		return d
	}
	ownQuota := func(per limit.Span, calendar string) *request.OwnLimit {
		return &request.OwnLimit{Quota: request.Quota{Limit: "override", Requests: 5, Burst: 5, Per: per, Calendar: calendar}}
	}
	for name, tc := range map[string]struct {
		hits        uint32
		descriptors []*ratelimitv3.RateLimitDescriptor
		want        request.Request
	}{
		"a call that says no cost takes one token": {
			0,
			[]*ratelimitv3.RateLimitDescriptor{descriptor("a", "1", "b", "2"), descriptor("c", "")},
			request.Request{Cost: 1, Descriptors: []request.Descriptor{{Entries: entries("a", "1", "b", "2")}, {Entries: entries("c", "")}}},
		},
		"hits_addend of the call, and of a descriptor": {
			3,
			[]*ratelimitv3.RateLimitDescriptor{descriptor("a", "1"), costs, looks, gives},
			request.Request{Cost: 3, Descriptors: []request.Descriptor{
				{Entries: entries("a", "1")},
				{Entries: entries("tenant", "acme"), Cost: 7, HasCost: true},
				{Entries: entries("tenant", "acme"), Cost: 0, HasCost: true},
				{Entries: entries("tenant", "acme"), Cost: -3, HasCost: true},
			}},
		},
		"the most hits there are": {
			1<<32 - 1,
			[]*ratelimitv3.RateLimitDescriptor{descriptor("a", "1")},
			request.Request{Cost: 1<<32 - 1, Descriptors: []request.Descriptor{{Entries: entries("a", "1")}}},
		},
		"limits that descriptors bring along": {
			0,
			[]*ratelimitv3.RateLimitDescriptor{
				own(typev3.RateLimitUnit_SECOND), own(typev3.RateLimitUnit_MINUTE), own(typev3.RateLimitUnit_HOUR),
				own(typev3.RateLimitUnit_DAY), own(typev3.RateLimitUnit_MONTH), own(typev3.RateLimitUnit_YEAR),
			},
			request.Request{Cost: 1, Descriptors: []request.Descriptor{
				{Entries: entries("tenant", "acme"), Own: ownQuota(limit.Second, "")},
				{Entries: entries("tenant", "acme"), Own: ownQuota(limit.Minute, "")},
				{Entries: entries("tenant", "acme"), Own: ownQuota(limit.Hour, "")},
				{Entries: entries("tenant", "acme"), Own: ownQuota(limit.Day, "Day")},
				{Entries: entries("tenant", "acme"), Own: ownQuota(30*limit.Day, "Month")},
				{Entries: entries("tenant", "acme"), Own: ownQuota(365*limit.Day, "Year")},
			}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := &decider{}
			s := rls.New(rls.Options{Decider: d})
			call := &rlsv3.RateLimitRequest{Domain: "edge", Descriptors: tc.descriptors, HitsAddend: tc.hits}
			tc.want.Domain = "edge"
			for range 2 { // the second call uses the room of the first
				if _, err := s.ShouldRateLimit(t.Context(), call); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tc.want, d.asked); diff != "" {
					t.Errorf("asked (-want +got):\n%s", diff)
				}
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	nameless := descriptor("a", "1", "", "2")
	unknownUnit, tooMuch := descriptor("a", "1"), descriptor("a", "1")
	unknownUnit.Limit = &ratelimitv3.RateLimitDescriptor_RateLimitOverride{RequestsPerUnit: 1}
	tooMuch.Limit = &ratelimitv3.RateLimitDescriptor_RateLimitOverride{RequestsPerUnit: 1_000_000_001, Unit: typev3.RateLimitUnit_SECOND}
	for name, tc := range map[string]struct {
		domain      string
		descriptors []*ratelimitv3.RateLimitDescriptor
		want        string
	}{
		"no domain":            {"", []*ratelimitv3.RateLimitDescriptor{descriptor("a", "1")}, "domain is empty: send the domain of a RateLimitPolicy"},
		"a long domain":        {strings.Repeat("x", 318), []*ratelimitv3.RateLimitDescriptor{descriptor("a", "1")}, "domain has 318 characters"},
		"no descriptors":       {"edge", nil, "descriptors is empty: send at least one"},
		"too many descriptors": {"edge", slices.Repeat([]*ratelimitv3.RateLimitDescriptor{descriptor("a", "1")}, 65), "descriptors has 65 items: send at most 64"},
		"no entries":           {"edge", []*ratelimitv3.RateLimitDescriptor{descriptor("a", "1"), descriptor()}, "descriptors[1].entries is empty"},
		"an entry without key": {"edge", []*ratelimitv3.RateLimitDescriptor{nameless}, "descriptors[0].entries[1].key is empty"},
		"an own limit without unit": {
			"edge", []*ratelimitv3.RateLimitDescriptor{unknownUnit}, "descriptors[0].limit.unit is UNKNOWN: send SECOND, MINUTE, HOUR, DAY, MONTH or YEAR",
		},
		"an own limit that is too large": {"edge", []*ratelimitv3.RateLimitDescriptor{tooMuch}, "descriptors[0].limit.requests_per_unit is 1000000001: send at most 1000000000"},
	} {
		t.Run(name, func(t *testing.T) {
			d := &decider{}
			var observed []string
			s := rls.New(rls.Options{Decider: d, Observe: func(outcome string, _ time.Duration) { observed = append(observed, outcome) }})
			_, err := s.ShouldRateLimit(t.Context(), &rlsv3.RateLimitRequest{Domain: tc.domain, Descriptors: tc.descriptors})
			if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want InvalidArgument with %q", err, tc.want)
			}
			if d.asked.Domain != "" || !slices.Equal(observed, []string{"invalid"}) {
				t.Errorf("asked %+v, observed %v", d.asked, observed)
			}
		})
	}
}

func TestAnAnswerIsTranslated(t *testing.T) {
	perSecond := request.Quota{Policy: "shop", Limit: "fast", Requests: 10, Burst: 10, Per: limit.Second}
	perNinety := request.Quota{Policy: "shop", Limit: "slow", Requests: 3, Burst: 3, Per: 90 * limit.Minute}
	perWeek := request.Quota{Policy: "shop", Limit: "quota", Requests: 100, Burst: 100, Per: 7 * limit.Day, Calendar: "Week"}
	short := request.Quota{Policy: "shop", Limit: "short", Requests: 5, Burst: 5, Per: 250 * limit.Millisecond}
	free := request.Quota{Policy: "shop", Limit: "free", Requests: limit.MaxAmount, Burst: limit.MaxAmount}
	denial := request.Verdict{Quota: &perSecond, Denied: true, ResetAfter: limit.Second, RetryAfter: 100 * limit.Millisecond}
	ok, over := rlsv3.RateLimitResponse_OK, rlsv3.RateLimitResponse_OVER_LIMIT
	type limitOf = rlsv3.RateLimitResponse_RateLimit

	d := &decider{answer: request.Answer{
		Outcome: request.Denied, KnownDomain: true, Verdict: denial,
		Descriptors: []request.Verdict{
			denial,
			{Quota: &perNinety, Remaining: 2, ResetAfter: 30 * limit.Minute},
			{Quota: &perWeek, Remaining: 99, ResetAfter: limit.Day},
			{Quota: &short, Remaining: 5},
			{Quota: &free, Remaining: limit.MaxAmount},
			{},
		},
	}}
	got, err := rls.New(rls.Options{Decider: d}).ShouldRateLimit(t.Context(), &rlsv3.RateLimitRequest{
		Domain: "edge", Descriptors: slices.Repeat([]*ratelimitv3.RateLimitDescriptor{descriptor("a", "1")}, 6),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := &rlsv3.RateLimitResponse{
		OverallCode: over,
		Statuses: []*rlsv3.RateLimitResponse_DescriptorStatus{
			{Code: over, CurrentLimit: &limitOf{Name: "shop/fast", RequestsPerUnit: 10, Unit: rlsv3.RateLimitResponse_RateLimit_SECOND}, DurationUntilReset: durationpb.New(time.Second)},
			{Code: ok, LimitRemaining: 2, CurrentLimit: &limitOf{Name: "shop/slow", RequestsPerUnit: 3, Unit: rlsv3.RateLimitResponse_RateLimit_MINUTE, UnitMultiplier: wrapperspb.UInt32(90)}, DurationUntilReset: durationpb.New(30 * time.Minute)},
			{Code: ok, LimitRemaining: 99, CurrentLimit: &limitOf{Name: "shop/quota", RequestsPerUnit: 100, Unit: rlsv3.RateLimitResponse_RateLimit_WEEK}, DurationUntilReset: durationpb.New(24 * time.Hour)},
			{Code: ok, LimitRemaining: 5, CurrentLimit: &limitOf{Name: "shop/short", RequestsPerUnit: 5}, DurationUntilReset: durationpb.New(0)},
			{Code: ok, LimitRemaining: 1<<32 - 1},
			{Code: ok},
		},
		ResponseHeadersToAdd: []*corev3.HeaderValue{
			{Key: "RateLimit-Policy", Value: `"shop/fast";q=10;w=1`},
			{Key: "RateLimit", Value: `"shop/fast";r=0;t=1`},
			{Key: "Retry-After", Value: "1"},
			{Key: "X-RateLimit-Limit", Value: "10"},
			{Key: "X-RateLimit-Remaining", Value: "0"},
			{Key: "X-RateLimit-Reset", Value: "1"},
		},
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("response (-want +got):\n%s", diff)
	}
}

// Over the wire: probes learn when calls are answered well, and each of the names
// that they know is served.
func TestHealth(t *testing.T) {
	s := rls.New(rls.Options{Decider: &decider{}})
	conn := dial(t, s)
	probe := healthv1.NewHealthClient(conn)
	for _, serving := range []bool{false, true, false} {
		want := healthv1.HealthCheckResponse_NOT_SERVING
		if serving {
			want = healthv1.HealthCheckResponse_SERVING
		}
		s.SetServing(serving)
		for _, service := range []string{"", "envoy.service.ratelimit.v3.RateLimitService", "ratelimit"} {
			got, err := probe.Check(t.Context(), &healthv1.HealthCheckRequest{Service: service})
			if err != nil || got.GetStatus() != want {
				t.Errorf("%q is %v (%v), want %v", service, got.GetStatus(), err, want)
			}
		}
	}
	// Health is advice: whoever asks is answered.
	answer, err := rlsv3.NewRateLimitServiceClient(conn).ShouldRateLimit(t.Context(), &rlsv3.RateLimitRequest{
		Domain: "edge", Descriptors: []*ratelimitv3.RateLimitDescriptor{descriptor("a", "1")},
	})
	if err != nil || answer.GetOverallCode() != rlsv3.RateLimitResponse_OK {
		t.Errorf("answer %v, %v", answer, err)
	}
	if _, ok := s.GRPC().GetServiceInfo()["grpc.reflection.v1.ServerReflection"]; !ok {
		t.Error("the services cannot be listed")
	}
}
