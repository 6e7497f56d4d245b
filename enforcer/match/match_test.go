package match_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/enforcer/expression"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/match"
	"github.com/sluice-dev/sluice/enforcer/policy"
	"github.com/sluice-dev/sluice/enforcer/request"
)

func compile(t interface{ Fatal(...any) }, limits ...policy.Limit) *policy.Snapshot {
	for i := range limits {
		l := &limits[i]
		if l.Name == "" {
			l.Name = fmt.Sprint("l", i)
		}
		l.Algorithm, l.Rate = policy.FixedWindow, policy.Rate{Requests: 10, Per: "1s"}
	}
	var policies []policy.Policy
	for i := 0; i*policy.MaxLimits < len(limits); i++ {
		policies = append(policies, policy.Policy{
			Namespace: "shop", Name: fmt.Sprintf("p%03d", i), Domain: "web",
			Limits: limits[i*policy.MaxLimits : min(len(limits), (i+1)*policy.MaxLimits)],
		})
	}
	snapshot, err := policy.Compile(&policy.Document{Version: policy.Version, Policies: policies})
	if err != nil {
		t.Fatal(err)
	}
	return snapshot
}

func TestWhatARequestIsCharged(t *testing.T) {
	type charge struct {
		Limit           string
		Descriptor      int
		Cost            limit.Amount
		Deny, Unlimited bool
	}
	whole := match.AllDescriptors
	http := &request.HTTP{Method: "GET", Path: "/api", Headers: request.Values{"x-api-key": "acme", "x-size": "12"}}
	entries := func(pairs ...string) request.Descriptor {
		var d request.Descriptor
		for i := 0; i < len(pairs); i += 2 {
			d.Entries = append(d.Entries, request.Entry{Key: pairs[i], Value: pairs[i+1]})
		}
		return d
	}
	costly := entries("user", "u")
	costly.Cost, costly.HasCost = 5, true
	own := entries("user", "u")
	own.Own = &request.OwnLimit{Quota: request.Quota{Limit: "own", Requests: 1}}
	overridden := policy.Limit{Name: "client", Key: []string{"request.headers['x-api-key']"}, Overrides: []policy.Override{{Key: []string{"ac*"}, Unlimited: true}, {Key: []string{"*"}, Deny: true}}}
	for _, c := range []struct {
		name   string
		limits []policy.Limit
		req    request.Request
		failed int
		want   []charge
	}{
		{
			name:   "every condition must hold",
			limits: []policy.Limit{{When: []string{"request.method == 'GET'", "request.path == '/'"}}, {When: []string{"request.method == 'GET'", "request.path == '/api'"}}},
			req:    request.Request{HTTP: http, Cost: 2},
			want:   []charge{{"l1", whole, 2, false, false}},
		},
		{
			name:   "a limit that reads HTTP does not apply without it",
			limits: []policy.Limit{{Key: []string{"request.path"}}, {}},
			req:    request.Request{Cost: 1},
			want:   []charge{{"l1", whole, 1, false, false}},
		},
		{
			name:   "each descriptor has its limits, and the request as a whole those that read none",
			limits: []policy.Limit{{Key: []string{"descriptor['user']"}}, {Key: []string{"descriptor['path']", "descriptor['user']"}}, {}},
			req:    request.Request{Cost: 1, Descriptors: []request.Descriptor{entries("path", "/"), entries("user", "u"), entries("user", "u", "path", "/")}},
			want:   []charge{{"l2", whole, 1, false, false}, {"l0", 1, 1, false, false}, {"l0", 2, 1, false, false}, {"l1", 2, 1, false, false}},
		},
		{
			name:   "a descriptor's own cost, and a limit's before both",
			limits: []policy.Limit{{Key: []string{"descriptor['user']"}}, {Key: []string{"descriptor['user']"}, Cost: "size(descriptor['user']) + 7"}},
			req:    request.Request{Cost: 1, Descriptors: []request.Descriptor{costly}},
			want:   []charge{{"l0", 0, 5, false, false}, {"l1", 0, 8, false, false}},
		},
		{
			name:   "a limit's cost below 0 only looks",
			limits: []policy.Limit{{Cost: "-3"}},
			req:    request.Request{Cost: 1},
			want:   []charge{{"l0", whole, 0, false, false}},
		},
		{
			name:   "a request may give tokens back",
			limits: []policy.Limit{{}},
			req:    request.Request{Cost: -3},
			want:   []charge{{"l0", whole, -3, false, false}},
		},
		{
			name:   "what fails counts as true, as 1, and as the empty text",
			limits: []policy.Limit{{When: []string{"int(request.headers['x-api-key']) > 1"}, Key: []string{"{'a': 'b'}[request.path]"}, Cost: "1 / size(request.host)"}},
			req:    request.Request{HTTP: http, Cost: 3},
			failed: 3,
			want:   []charge{{"l0", whole, 1, false, false}},
		},
		{
			name:   "the first override that matches",
			limits: []policy.Limit{overridden},
			req:    request.Request{HTTP: http, Cost: 1},
			want:   []charge{{"client", whole, 1, false, true}},
		},
		{
			name:   "a limit of the request's own replaces those that its descriptor matches",
			limits: []policy.Limit{{Key: []string{"descriptor['user']"}}, {}},
			req:    request.Request{Cost: 1, Descriptors: []request.Descriptor{own, entries("user", "u")}},
			want:   []charge{{"l1", whole, 1, false, false}, {"own", 0, 1, false, false}, {"l0", 1, 1, false, false}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var m match.Matcher
			domain := compile(t, c.limits...).Domain("web")
			for range 2 { // a Matcher that is used again says the same
				charges, failed := m.Match(domain, match.Seed{1}, &c.req, nil)
				var got []charge
				for _, ch := range charges {
					got = append(got, charge{ch.Quota.Limit, ch.Descriptor, ch.Cost, ch.Deny, ch.Unlimited})
					if free := ch.Deny || ch.Unlimited; ch.Key.IsZero() != free {
						t.Errorf("limit %s has the key %v", ch.Quota.Limit, ch.Key)
					}
				}
				if diff := cmp.Diff(c.want, got); diff != "" || failed != c.failed {
					t.Errorf("%d expressions failed, want %d; charges (-want +got):\n%s", failed, c.failed, diff)
				}
			}
		})
	}
}

// TestTheIndexMissesNothing compares Match with trying every limit in order, over
// generated limits and requests.
func TestTheIndexMissesNothing(t *testing.T) {
	words := rapid.SampledFrom([]string{"", "a", "b", "ab", "abc"})
	reads := rapid.SampledFrom([]string{"request.path", "request.method", "request.headers['h']", "descriptor['d']", "descriptor['e']"})
	condition := rapid.Custom(func(t *rapid.T) string {
		r := reads.Draw(t, "look-up")
		one := func() string {
			form := rapid.SampledFrom([]string{"%s == '%s'", "%s.startsWith('%s')", "%s in ['%s', 'x']", "%s != '%s'", "%s in ['x', '%s', 'abc']"}).Draw(t, "form")
			return fmt.Sprintf(form, r, words.Draw(t, "word"))
		}
		switch rapid.IntRange(0, 4).Draw(t, "joined") {
		case 0:
			return one() + " && " + one()
		case 1:
			return one() + " || " + one()
		case 2:
			return "'d' in descriptor"
		}
		return one()
	})
	rapid.Check(t, func(t *rapid.T) {
		limits := make([]policy.Limit, rapid.IntRange(1, 100).Draw(t, "limits"))
		for i := range limits {
			limits[i].When = rapid.SliceOfN(condition, 0, 3).Draw(t, "when")
			limits[i].Key = rapid.SliceOfN(reads, 0, 2).Draw(t, "key")
			if len(limits[i].Key) == 1 {
				limits[i].Overrides = []policy.Override{{Key: []string{"ab"}, Deny: true}, {Key: []string{"a*"}, Unlimited: true}, {Key: []string{"b"}, Rate: &policy.Rate{Requests: 1, Per: "1s"}}}
			}
		}
		domain := compile(t, limits...).Domain("web")
		var m match.Matcher
		for range 5 {
			req := request.Request{Cost: 1}
			if rapid.Bool().Draw(t, "http") {
				req.HTTP = &request.HTTP{Method: words.Draw(t, "method"), Path: words.Draw(t, "path"), Headers: request.Values{"h": words.Draw(t, "header")}}
			}
			for range rapid.IntRange(0, 3).Draw(t, "descriptors") {
				var d request.Descriptor
				for range rapid.IntRange(0, 3).Draw(t, "entries") {
					d.Entries = append(d.Entries, request.Entry{Key: rapid.SampledFrom([]string{"d", "e", "f"}).Draw(t, "key"), Value: words.Draw(t, "value")})
				}
				req.Descriptors = append(req.Descriptors, d)
			}
			charges, _ := m.Match(domain, match.Seed{1}, &req, nil)
			var got []string
			for _, c := range charges {
				got = append(got, fmt.Sprint(c.Quota.Policy, "/", c.Quota.Limit, " of ", c.Descriptor))
			}
			if diff := cmp.Diff(naive(domain, &req), got); diff != "" {
				t.Fatalf("%+v (-naive +got):\n%s", req, diff)
			}
			if diff := cmp.Diff(charges, explained(domain, &req), cmpopts.IgnoreFields(match.Charge{}, "Key"), cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("%+v (-match +explain):\n%s", req, diff)
			}
		}
	})
}

// naive tries every limit of a domain.
func naive(domain *policy.Domain, req *request.Request) (all []string) {
	try := func(l *policy.CompiledLimit, in *expression.Input, descriptor int) {
		if l.Reads.HTTP && in.HTTP == nil {
			return
		}
		for _, name := range l.Reads.Entries {
			if _, ok := in.Descriptor.Get(name); !ok {
				return
			}
		}
		for _, when := range l.When {
			if holds, err := when.Eval(in); err == nil && !holds {
				return
			}
		}
		all = append(all, fmt.Sprint(l.Quota.Policy, "/", l.Quota.Limit, " of ", descriptor))
	}
	for _, l := range domain.Limits {
		if !l.Reads.Descriptor {
			try(l, &expression.Input{HTTP: req.HTTP}, match.AllDescriptors)
		}
	}
	for i := range req.Descriptors {
		for _, l := range domain.Limits {
			if l.Reads.Descriptor {
				try(l, &expression.Input{HTTP: req.HTTP, Descriptor: &req.Descriptors[i]}, i)
			}
		}
	}
	return all
}

// BenchmarkMatch finds the one limit of many that applies.
func BenchmarkMatch(b *testing.B) {
	for _, shape := range []struct {
		name, when string
		req        request.Request
	}{
		{"equality", "request.path == '/%d'", request.Request{HTTP: &request.HTTP{Path: "/7"}}},
		{"prefix", "request.path.startsWith('/%d/')", request.Request{HTTP: &request.HTTP{Path: "/7/x"}}},
		{"descriptor", "descriptor['route'] == '%d'", request.Request{Descriptors: []request.Descriptor{{Entries: []request.Entry{{Key: "route", Value: "7"}}}}}},
		{"many entries", "descriptor['r%d'] == 'x'", request.Request{Descriptors: []request.Descriptor{{Entries: []request.Entry{{Key: "r7", Value: "x"}}}}}},
	} {
		for _, n := range []int{10, 1000} {
			limits := make([]policy.Limit, n)
			for i := range limits {
				limits[i].When = []string{fmt.Sprintf(shape.when, i)}
			}
			domain := compile(b, limits...).Domain("web")
			b.Run(fmt.Sprintf("%s/%d", shape.name, n), func(b *testing.B) {
				var m match.Matcher
				var out []match.Charge
				b.ReportAllocs()
				for b.Loop() {
					if out, _ = m.Match(domain, match.Seed{1}, &shape.req, out[:0]); len(out) != 1 {
						b.Fatalf("%d limits apply, want 1", len(out))
					}
				}
			})
		}
	}
}
