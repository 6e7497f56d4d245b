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

// Writer writes fields. It remembers what is the same in all answers about a quota.
// Its zero value is ready for use; it is not safe for concurrent use.
type Writer struct {
	quotas request.PerQuota[quota]
	fields []Field
}

// quota is what is written of a quota: the values of RateLimit-Policy and
// X-RateLimit-Limit, and its name as RateLimit begins. Empty strings are of a quota
// that a structured field cannot hold.
type quota struct{ policy, name, limit string }

// maxInteger is the largest integer of a structured field (RFC 9651, section 3.3.1).
const maxInteger = 999_999_999_999_999

// Of returns the fields for an answer: those of the limit that decided. An answer
// without such a limit, or from an unlimited override, has none. They are valid
// until the next call.
func (w *Writer) Of(ans *request.Answer) []Field {
	v := &ans.Verdict
	if v.Quota == nil || v.Quota.Requests == limit.MaxAmount {
		return nil
	}
	reset := v.ResetAfter
	if v.Denied {
		reset = v.RetryAfter
	}
	q := w.quotas.Of(v.Quota, describe)
	fields := w.fields[:0]
	if q.policy != "" {
		fields = append(fields, Field{"RateLimit-Policy", q.policy})
	}
	if q.name != "" && v.Remaining <= maxInteger {
		fields = append(fields, Field{"RateLimit", q.state(int64(v.Remaining), reset)})
	}
	if after, ok := RetryAfter(v); ok {
		fields = append(fields, Field{"Retry-After", after})
	}
	fields = append(fields, Field{"X-RateLimit-Limit", q.limit}, Field{"X-RateLimit-Remaining", strconv.FormatInt(int64(v.Remaining), 10)})
	if reset != limit.Forever {
		fields = append(fields, Field{"X-RateLimit-Reset", strconv.FormatInt(reset.CeilSeconds(), 10)})
	}
	w.fields = fields
	return fields
}

// state is the value of RateLimit.
func (q *quota) state(remaining int64, reset limit.Span) string {
	b := make([]byte, 0, 128)
	b = append(append(b, q.name...), ";r="...)
	b = strconv.AppendInt(b, remaining, 10)
	if reset != limit.Forever {
		b = strconv.AppendInt(append(b, ";t="...), reset.CeilSeconds(), 10)
	}
	return string(b)
}

func describe(q *request.Quota) quota {
	name := httpsfv.NewItem(Name(q))
	return quota{list(policyItem(q)), list(name), strconv.FormatInt(int64(q.Requests), 10)}
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

// list writes a list of one item; "" of one that a structured field cannot hold.
func list(item httpsfv.Item) string {
	value, err := httpsfv.Marshal(httpsfv.List{item})
	if err != nil {
		return ""
	}
	return value
}
