package match_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/enforcer/match"
	"github.com/sluice-dev/sluice/enforcer/policy"
	"github.com/sluice-dev/sluice/enforcer/request"
)

// explained returns the charges of what Explain finds to apply.
func explained(domain *policy.Domain, req *request.Request) (all []match.Charge) {
	for _, f := range match.Explain(domain, req) {
		if f.Charge != nil {
			all = append(all, *f.Charge)
		}
	}
	return all
}

func TestExplain(t *testing.T) {
	http := &request.HTTP{Method: "GET", Path: "/api", Headers: request.Values{"x-api-key": "acme"}}
	user := request.Descriptor{Entries: []request.Entry{{Key: "user", Value: "u"}}, Cost: 5, HasCost: true}
	own := request.Descriptor{Entries: user.Entries, Own: &request.OwnLimit{}}
	byKey := []string{"request.headers['x-api-key']"}
	for _, c := range []struct {
		name  string
		limit policy.Limit
		req   request.Request
		want  []string // of each finding: where, what is missing, when, key, override, cost
	}{
		{
			"a condition that does not hold, and one that does",
			policy.Limit{When: []string{"request.method == 'POST'", "request.path == '/api'"}, Key: byKey},
			request.Request{HTTP: http, Cost: 1},
			[]string{"-1 [] [false true] [] -1[] does not apply"},
		},
		{
			"the key, and the first override that matches it",
			policy.Limit{Key: append([]string{"request.method"}, byKey...), Overrides: []policy.Override{{Key: []string{"GET", "a"}, Deny: true}, {Key: []string{"*", "ac*"}, Deny: true}}},
			request.Request{HTTP: http, Cost: 1},
			[]string{"-1 [] [] [GET acme] 1[* ac*] costs 1, denied"},
		},
		{
			"what reads the HTTP request does not apply without it",
			policy.Limit{Key: byKey},
			request.Request{Cost: 1},
			[]string{"-1 [request] [] [] -1[] does not apply"},
		},
		{
			"entries that no descriptor has, since there is none",
			policy.Limit{Key: []string{"descriptor['user']", "descriptor['plan']"}},
			request.Request{HTTP: http, Cost: 1},
			[]string{"-1 [descriptor['plan'] descriptor['user']] [] [] -1[] does not apply"},
		},
		{
			"no descriptor at all",
			policy.Limit{When: []string{"!('user' in descriptor)"}},
			request.Request{HTTP: http, Cost: 1},
			[]string{"-1 [descriptor] [] [] -1[] does not apply"},
		},
		{
			"each descriptor on its own, but for one with a limit of its own",
			policy.Limit{Key: []string{"descriptor['user']"}},
			request.Request{Cost: 1, Descriptors: []request.Descriptor{user, own, {Entries: []request.Entry{{Key: "x"}}}}},
			[]string{"0 [] [] [u] -1[] costs 5", "2 [descriptor['user']] [] [] -1[] does not apply"},
		},
		{
			"what fails counts as true, as the empty text and as 1",
			policy.Limit{When: []string{"int(request.headers['x-api-key']) > 1"}, Key: []string{"{'a': 'b'}[request.path]"}, Cost: "1 / size(request.host)"},
			request.Request{HTTP: http, Cost: 3},
			[]string{"-1 [] [true, failed] [, failed] -1[] costs 1"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, f := range match.Explain(compile(t, c.limit).Domain("web"), &c.req) {
				line := fmt.Sprintf("%d %v %v %v %d%v ", f.Descriptor, f.Missing, values(f.When), values(f.Key), f.Override, f.Patterns)
				switch {
				case f.Charge == nil:
					line += "does not apply"
				case f.Charge.Deny:
					line += fmt.Sprintf("costs %d, denied", f.Charge.Cost)
				default:
					line += fmt.Sprintf("costs %d", f.Charge.Cost)
				}
				got = append(got, line)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

// values writes values down, and which of them stand for a failure.
func values[T any](all []match.Value[T]) (texts []string) {
	for _, v := range all {
		text := fmt.Sprint(v.Value)
		if v.Err != nil {
			text += ", failed"
		}
		texts = append(texts, text)
	}
	return texts
}
