// Package quotafields writes what a client may know of its quota as HTTP fields:
// RateLimit and RateLimit-Policy of draft-ietf-httpapi-ratelimit-headers,
// Retry-After of RFC 9110, and the older X-RateLimit-* trio.
package quotafields

import (
	"strconv"

	"github.com/dunglas/httpsfv"

	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/request"
)

// Field is one HTTP field.
type Field struct{ Name, Value string }

// Of returns the fields for an answer: those of the limit that decided. An answer
// without such a limit, or from an unlimited override, has none.
func Of(ans *request.Answer) []Field {
	v := &ans.Verdict
	if v.Quota == nil || v.Quota.Requests == limit.MaxAmount {
		return nil
	}
	reset := v.ResetAfter
	if v.Denied {
		reset = v.RetryAfter
	}
	fields := make([]Field, 0, 6)
	if policy, ok := list(policyItem(v.Quota)); ok {
		fields = append(fields, Field{"RateLimit-Policy", policy})
	}
	if state, ok := list(stateItem(v, reset)); ok {
		fields = append(fields, Field{"RateLimit", state})
	}
	if after, ok := RetryAfter(v); ok {
		fields = append(fields, Field{"Retry-After", after})
	}
	fields = append(fields,
		Field{"X-RateLimit-Limit", strconv.FormatInt(int64(v.Quota.Requests), 10)},
		Field{"X-RateLimit-Remaining", strconv.FormatInt(int64(v.Remaining), 10)})
	if reset != limit.Forever {
		fields = append(fields, Field{"X-RateLimit-Reset", strconv.FormatInt(reset.CeilSeconds(), 10)})
	}
	return fields
}

// RetryAfter returns the value of Retry-After for a verdict: whole seconds, at
// least one. There is none for a request that was not denied, or never will be
// admitted.
func RetryAfter(v *request.Verdict) (string, bool) {
	if !v.Denied || v.RetryAfter == limit.Forever {
		return "", false
	}
	return strconv.FormatInt(max(1, v.RetryAfter.CeilSeconds()), 10), true
}

// Name is how a limit is called in fields and bodies: policy/limit.
func Name(q *request.Quota) string { return q.Policy + "/" + q.Limit }

func policyItem(q *request.Quota) httpsfv.Item {
	item := httpsfv.NewItem(Name(q))
	item.Params.Add("q", int64(q.Requests))
	if window := q.Per.CeilSeconds(); window > 0 {
		item.Params.Add("w", window)
	}
	if q.Burst != q.Requests {
		item.Params.Add("sluice-burst", int64(q.Burst))
	}
	return item
}

func stateItem(v *request.Verdict, reset limit.Span) httpsfv.Item {
	item := httpsfv.NewItem(Name(v.Quota))
	item.Params.Add("r", int64(v.Remaining))
	if reset != limit.Forever {
		item.Params.Add("t", reset.CeilSeconds())
	}
	return item
}

// list writes a list of one item. A name that a structured field cannot hold has
// no field.
func list(item httpsfv.Item) (string, bool) {
	value, err := httpsfv.Marshal(httpsfv.List{item})
	return value, err == nil
}
