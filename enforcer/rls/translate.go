package rls

import (
	"fmt"
	"math"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	ratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/quotafields"
	"github.com/sluice-dev/sluice/enforcer/request"
)

// translate fills req from a call, keeping the room of its slices.
func translate(in *rlsv3.RateLimitRequest, req *request.Request) error {
	switch n := len(in.GetDescriptors()); {
	case in.GetDomain() == "":
		return fmt.Errorf("domain is empty: send the domain of a RateLimitPolicy")
	case len(in.GetDomain()) > request.MaxDomain:
		return fmt.Errorf("domain has %d characters: no policy has one of more than %d", len(in.GetDomain()), request.MaxDomain)
	case n == 0:
		return fmt.Errorf("descriptors is empty: send at least one")
	case n > request.MaxDescriptors:
		return fmt.Errorf("descriptors has %d items: send at most %d", n, request.MaxDescriptors)
	}
	descriptors := req.Descriptors
	*req = request.Request{Domain: in.GetDomain(), Cost: max(1, limit.Amount(in.GetHitsAddend()))}
	for i, d := range in.GetDescriptors() {
		var next request.Descriptor
		if i < cap(descriptors) {
			next = descriptors[:i+1][i]
		}
		if err := translateDescriptor(d, &next, req.Cost); err != nil {
			return fmt.Errorf("descriptors[%d]%w", i, err)
		}
		descriptors = append(descriptors[:i], next)
	}
	req.Descriptors = descriptors
	return nil
}

// translateDescriptor fills out; its errors begin with the path below the
// descriptor.
func translateDescriptor(d *ratelimitv3.RateLimitDescriptor, out *request.Descriptor, cost limit.Amount) error {
	if len(d.GetEntries()) == 0 {
		return fmt.Errorf(".entries is empty: send at least one")
	}
	entries := out.Entries[:0]
	for i, e := range d.GetEntries() {
		if e.GetKey() == "" {
			return fmt.Errorf(".entries[%d].key is empty: name the entry", i)
		}
		entries = append(entries, request.Entry{Key: e.GetKey(), Value: e.GetValue()})
	}
	*out = request.Descriptor{Entries: entries}
	if hits := d.GetHitsAddend(); hits != nil {
		out.HasCost, out.Cost = true, limit.Amount(min(hits.GetValue(), math.MaxInt64))
	}
	if d.GetIsNegativeHits() {
		if !out.HasCost {
			out.HasCost, out.Cost = true, cost
		}
		out.Cost = -out.Cost
	}
	if d.GetLimit() != nil {
		own, err := ownLimit(d.GetLimit())
		if err != nil {
			return fmt.Errorf(".limit%w", err)
		}
		out.Own = own
	}
	return nil
}

// ownLimit translates the limit that a descriptor brings along.
func ownLimit(o *ratelimitv3.RateLimitDescriptor_RateLimitOverride) (*request.OwnLimit, error) {
	requests := limit.Amount(o.GetRequestsPerUnit())
	if most := limit.Amount(1_000_000_000); requests > most {
		return nil, fmt.Errorf(".requests_per_unit is %d: send at most %d", requests, most)
	}
	q := request.Quota{Limit: "override", Requests: requests, Burst: requests}
	switch o.GetUnit() {
	case typev3.RateLimitUnit_SECOND:
		q.Per = limit.Second
	case typev3.RateLimitUnit_MINUTE:
		q.Per = limit.Minute
	case typev3.RateLimitUnit_HOUR:
		q.Per = limit.Hour
	case typev3.RateLimitUnit_DAY:
		q.Per, q.Calendar = limit.Day, "Day"
	case typev3.RateLimitUnit_MONTH:
		q.Per, q.Calendar = 30*limit.Day, "Month"
	case typev3.RateLimitUnit_YEAR:
		q.Per, q.Calendar = 365*limit.Day, "Year"
	default:
		return nil, fmt.Errorf(".unit is %s: send SECOND, MINUTE, HOUR, DAY, MONTH or YEAR", o.GetUnit())
	}
	return &request.OwnLimit{Quota: q}, nil
}

// response translates an answer. Statuses correspond to the descriptors one by
// one. A denied call carries the fields that its client should see.
func (w *scratch) response() *rlsv3.RateLimitResponse {
	ans := &w.ans
	out := &rlsv3.RateLimitResponse{
		OverallCode: rlsv3.RateLimitResponse_OK,
		Statuses:    make([]*rlsv3.RateLimitResponse_DescriptorStatus, len(ans.Descriptors)),
	}
	for i := range ans.Descriptors {
		out.Statuses[i] = w.descriptorStatus(&ans.Descriptors[i])
	}
	if ans.Outcome == request.Denied {
		out.OverallCode = rlsv3.RateLimitResponse_OVER_LIMIT
		fields := w.fields.Of(ans)
		out.ResponseHeadersToAdd = make([]*corev3.HeaderValue, len(fields))
		for i, f := range fields {
			out.ResponseHeadersToAdd[i] = &corev3.HeaderValue{Key: f.Name, Value: f.Value}
		}
	}
	return out
}

func (w *scratch) descriptorStatus(v *request.Verdict) *rlsv3.RateLimitResponse_DescriptorStatus {
	out := &rlsv3.RateLimitResponse_DescriptorStatus{Code: rlsv3.RateLimitResponse_OK}
	if v.Quota == nil {
		return out
	}
	if v.Denied {
		out.Code = rlsv3.RateLimitResponse_OVER_LIMIT
	}
	out.LimitRemaining = uint32(min(v.Remaining, math.MaxUint32))
	if v.Quota.Requests != limit.MaxAmount {
		out.CurrentLimit = w.limits.Of(v.Quota, currentLimit) // nobody changes it
		out.DurationUntilReset = durationpb.New(v.ResetAfter.Duration())
	}
	return out
}

// units are those of the protocol, longest first, without calendar periods.
var units = []struct {
	unit rlsv3.RateLimitResponse_RateLimit_Unit
	span limit.Span
}{
	{rlsv3.RateLimitResponse_RateLimit_DAY, limit.Day},
	{rlsv3.RateLimitResponse_RateLimit_HOUR, limit.Hour},
	{rlsv3.RateLimitResponse_RateLimit_MINUTE, limit.Minute},
	{rlsv3.RateLimitResponse_RateLimit_SECOND, limit.Second},
}

// currentLimit describes a quota. A stretch of time that is no multiple of a
// second has no unit.
func currentLimit(q *request.Quota) *rlsv3.RateLimitResponse_RateLimit {
	out := &rlsv3.RateLimitResponse_RateLimit{Name: quotafields.Name(q), RequestsPerUnit: uint32(min(q.Requests, math.MaxUint32))}
	switch q.Calendar {
	case "Day":
		out.Unit = rlsv3.RateLimitResponse_RateLimit_DAY
	case "Week":
		out.Unit = rlsv3.RateLimitResponse_RateLimit_WEEK
	case "Month":
		out.Unit = rlsv3.RateLimitResponse_RateLimit_MONTH
	case "Year":
		out.Unit = rlsv3.RateLimitResponse_RateLimit_YEAR
	}
	if q.Calendar != "" || q.Per == 0 {
		return out
	}
	for _, u := range units {
		if q.Per%u.span == 0 {
			out.Unit = u.unit
			if n := q.Per / u.span; n > 1 {
				out.UnitMultiplier = wrapperspb.UInt32(uint32(n))
			}
			break
		}
	}
	return out
}
