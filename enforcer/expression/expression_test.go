package expression_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/enforcer/expression"
	"github.com/sluice-dev/sluice/enforcer/request"
)

// sample is a request that has everything.
func sample() *expression.Input {
	return &expression.Input{
		HTTP: &request.HTTP{
			Method: "GET", Path: "/api/v1/Orders", Host: "shop.example", Source: "192.0.2.7",
			Headers: request.Values{"x-api-key": "acme", "x-tier": "gold"},
			Query:   request.Values{"page": "3"},
		},
		Descriptor: &request.Descriptor{Entries: []request.Entry{
			{Key: "client", Value: "acme"}, {Key: "empty", Value: ""}, {Key: "client", Value: "second"},
		}},
	}
}

func TestConditions(t *testing.T) {
	for _, tc := range []struct {
		source    string
		want      bool
		wantNoCEL bool // of an input that has nothing at all
	}{
		{source: "true", want: true, wantNoCEL: true},
		{source: "request.method == 'GET'", want: true},
		{source: "'GET' != request.method", want: false, wantNoCEL: true},
		{source: "request.path.startsWith('/api/') && request.host.endsWith('.example')", want: true},
		{source: "request.path.contains('v1') || false", want: true},
		{source: "!(request.headers['x-api-key'] in ['a', 'b', 'acme'])", want: false, wantNoCEL: true},
		{source: "request.headers['x-tier'] in ['1','2','3','4','5','6','7','8','9','gold']", want: true},
		{source: "request.headers.absent == ''", want: true, wantNoCEL: true},
		{source: "'x-api-key' in request.headers", want: true},
		{source: "'page' in request.query && !('size' in request.query)", want: true},
		{source: "'empty' in descriptor", want: true},
		{source: "'absent' in descriptor", want: false},
		{source: "descriptor['client'] == 'acme'", want: true},
		{source: "source.address.startsWith('192.0.2.')", want: true},
		{source: "request.path.matches('^/api/v[0-9]+/')", want: true},
		{source: "size(request.path) > 5 && request.path.size() <= 14", want: true},
		{source: "request.headers['x-tier'] == 'gold' ? request.method == 'GET' : false", want: true},
		{source: "request.path.split('/')[1] == 'api'", want: true},
		{source: "request.path.split('/').exists(part, part == 'v1')", want: true},
		{source: "['/api', '/admin'].exists(p, request.path.startsWith(p))", want: true},
		{source: "['a', 'acme'].filter(c, c == request.headers['x-api-key']).size() == 1", want: true},
		{source: "request.headers[request.path == '' ? 'x-none' : 'x-tier'] == 'gold'", want: true},
		{source: "int('0' + request.query['page']) == 3", want: true},
	} {
		e, err := expression.CompileBool(tc.source)
		if err != nil {
			t.Errorf("%s: %v", tc.source, err)
			continue
		}
		if got, err := e.Eval(sample()); got != tc.want || err != nil {
			t.Errorf("%s = %v, %v, want %v", tc.source, got, err, tc.want)
		}
		if got, _ := e.Eval(&expression.Input{}); got != tc.wantNoCEL && !strings.Contains(tc.source, "split") {
			t.Errorf("%s of an empty input = %v, want %v", tc.source, got, tc.wantNoCEL)
		}
		if e.Source() != tc.source {
			t.Errorf("Source() = %q, want %q", e.Source(), tc.source)
		}
	}
}

func TestTexts(t *testing.T) {
	for source, want := range map[string]string{
		"'one bucket'":                                                       "one bucket",
		"request.headers['x-api-key']":                                       "acme",
		"request.query.page":                                                 "3",
		"descriptor.client":                                                  "acme",
		"source.address":                                                     "192.0.2.7",
		"request.method + ' ' + request.path":                                "GET /api/v1/Orders",
		"request.path.lowerAscii()":                                          "/api/v1/orders",
		"request.path.upperAscii()":                                          "/API/V1/ORDERS",
		"request.path.split('/')[2]":                                         "v1",
		"request.path.substring(1, 4)":                                       "api",
		"request.headers['x-tier'] == 'gold' ? 'paying' : 'free'":            "paying",
		"{'gold': 'paying', 'free': 'guest'}[request.headers['x-tier']]":     "paying",
		"request.path.startsWith('/api/') ? request.headers['absent'] : 'x'": "",
	} {
		e, err := expression.CompileString(source)
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		if got, err := e.Eval(sample()); got != want || err != nil {
			t.Errorf("%s = %q, %v, want %q", source, got, err, want)
		}
	}
}

func TestNumbers(t *testing.T) {
	for source, want := range map[string]int64{
		"1":                                 1,
		"-5":                                -5,
		"size(request.path)":                14,
		"request.method == 'POST' ? 10 : 1": 1,
		"int(request.query['page']) * 2":    6,
		"{'gold': 1, 'free': 10}[request.headers['x-tier']]":   1,
		"9223372036854775807":                                  9223372036854775807,
		"request.headers['x-tier'] in ['gold'] ? 1 : size('')": 1,
	} {
		e, err := expression.CompileInt(source)
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		if got, err := e.Eval(sample()); got != want || err != nil {
			t.Errorf("%s = %d, %v, want %d", source, got, err, want)
		}
	}
}

func TestAnExpressionThatHasNoValueFails(t *testing.T) {
	for _, source := range []string{
		"int(request.headers['x-api-key'])", // not a number
		"1 / size(request.headers['absent'])",
		"9223372036854775807 + size(request.path)",
		"{'free': 1}[request.headers['x-tier']]",
	} {
		e, err := expression.CompileInt(source)
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		if got, err := e.Eval(sample()); got != 0 || err == nil {
			t.Errorf("%s = %d, %v, want an error", source, got, err)
		}
	}
}

func TestWorkIsBounded(t *testing.T) {
	e, err := expression.CompileBool("request.path.split('').exists(a, request.path.split('').exists(b, a + b == '\\n'))")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Eval(sample()); err != nil {
		t.Errorf("with a short path: %v", err)
	}
	if _, err := e.Eval(&expression.Input{HTTP: &request.HTTP{Path: strings.Repeat("/a", 1000)}}); err == nil {
		t.Error("no error with a path of 2000 characters: want that the cost limit ends it")
	}
}

func TestReads(t *testing.T) {
	for _, tc := range []struct {
		source string
		want   expression.Reads
	}{
		{"true", expression.Reads{}},
		{"request.method == 'GET'", expression.Reads{HTTP: true}},
		{"source.address == ''", expression.Reads{HTTP: true}},
		{"'x' in request.headers", expression.Reads{HTTP: true}},
		{"descriptor['b'] == descriptor.a && descriptor.b == ''", expression.Reads{Descriptor: true, Entries: []string{"a", "b"}}},
		{"'a' in descriptor", expression.Reads{Descriptor: true}},
		{"'a' in descriptor || request.query.q == descriptor['x']", expression.Reads{HTTP: true, Descriptor: true, Entries: []string{"x"}}},
	} {
		e, err := expression.CompileBool(tc.source)
		if err != nil {
			t.Errorf("%s: %v", tc.source, err)
			continue
		}
		if diff := cmp.Diff(tc.want, e.Reads()); diff != "" {
			t.Errorf("%s reads (-want +got):\n%s", tc.source, diff)
		}
	}
	a := expression.Reads{HTTP: true, Entries: []string{"b", "c"}}
	want := expression.Reads{HTTP: true, Descriptor: true, Entries: []string{"a", "b", "c"}}
	if diff := cmp.Diff(want, a.Union(expression.Reads{Descriptor: true, Entries: []string{"a", "b"}})); diff != "" {
		t.Errorf("Union (-want +got):\n%s", diff)
	}
}

func TestRefusals(t *testing.T) {
	for _, tc := range []struct {
		name   string
		source string
		want   string
	}{
		{"a name that nobody declared", "requst.path == '/'", "1:1: undeclared reference to 'requst': expressions see request.method, request.path"},
		{"a part that nobody declared", "request.path + request.hedaers['x-api-key']", "1:16: undeclared reference to 'request.hedaers': expressions see request.method"},
		{"a part behind other characters", "'äöü€' + source.adress", "1:10: undeclared reference to 'source.adress'"},
		{"a name that is short of a part", "request", "1:1: undeclared reference to 'request'"},
		{"the position is that of the fault", "request.path == '/' &&\n  requst.path == ''", "2:3: undeclared reference to 'requst'"},
		{"a syntax error", "request.path ==", "1:16: Syntax error: mismatched input '<EOF>'"},
		{"nothing", "", "Syntax error"},
		{"the wrong type", "request.path", "1:1: this is of type string: write an expression of type bool"},
		{"a comparison of different types", "request.path == 1", "1:14: found no matching overload for '_==_' applied to '(string, int)'"},
		{"too long", "'" + strings.Repeat("x", 1024) + "' == ''", "the expression has 1032 characters: use at most 1024"},
		{"not UTF-8", "'\xff' == ''", "the expression is not UTF-8"},
		{"an upper-case header", "request.headers['X-Api-Key'] == ''", "1:1: header names are lower case: write 'x-api-key'"},
		{"an upper-case header as a member", "request.headers.Accept == ''", "header names are lower case: write 'accept'"},
		{"an upper-case header that is asked for", "'X-Api-Key' in request.headers", "1:16: header names are lower case: write 'x-api-key'"},
		{"presence by has()", "has(request.headers.accept)", "write 'accept' in request.headers"},
		{"all headers", "size(request.headers) > 1", "request.headers is not a value of its own: write request.headers['name']"},
		{"a loop over headers", "request.query.exists(k, k == 'x')", "request.query is not a value of its own"},
		{"a descriptor entry by a computed name", "descriptor[request.path] == ''", "the entry of a descriptor is named by a literal: write descriptor['name']"},
		{"a function that could make too much", "request.path.replace('', request.path) == ''", "the function replace is not available: use contains, endsWith,"},
		{"a function that joins", "['a', 'b'].join(request.path) == ''", "the function join is not available"},
		{"a function that formats", "'%s'.format([request.path]) == ''", "not available"},
		{"a function that quotes", "strings.quote(request.path) == ''", "the function strings.quote is not available"},
		{"a time", "timestamp('2026-01-01T00:00:00Z').getHours('Europe/Berlin') == 1", "not available"},
		{"lists of lists", "[['a']].exists(x, [[x, x]].exists(y, y == y))", "a value of type list(list(string)) is not available"},
		{"a sum of lists", "'a' in ['a'] + ['b']", "1:14: lists cannot be added: write one list"},
		{"any type", "dyn(request.path) == 1", "not available"},
		{"a pattern that a client sends", "request.path.matches(request.query['p'])", "1:35: the pattern of matches must be a literal: write it in quotes"},
		{"a pattern that is wrong", "request.path.matches('a(b')", "missing closing )"},
		{"a pattern that is too large", "request.path.matches('(abcdefgh){100}')", "simplify it to 512 or fewer"},
		{"a cost that is always too high", loops(5), "units of work: simplify it"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := expression.CompileBool(tc.source)
			var fault *expression.Error
			if !errors.As(err, &fault) {
				t.Fatalf("error is %v, want an *expression.Error", err)
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error is %q, want %q in it", err, tc.want)
			}
		})
	}
}

// loops nests loops over ten values.
func loops(depth int) string {
	if depth == 0 {
		return "request.path != '\\n'"
	}
	return "[0,1,2,3,4,5,6,7,8,9].map(x, " + loops(depth-1) + ").size() == 10"
}

func TestRefusedTypes(t *testing.T) {
	if _, err := expression.CompileString("request.path == ''"); err == nil || !strings.Contains(err.Error(), "this is of type bool: write an expression of type string") {
		t.Errorf("a condition as a text: %v", err)
	}
	if _, err := expression.CompileString("request.headers"); err == nil || !strings.Contains(err.Error(), "of type map(string, string)") {
		t.Errorf("a map as a text: %v", err)
	}
	if _, err := expression.CompileInt("1.0"); err == nil || !strings.Contains(err.Error(), "this is of type double: write an expression of type int") {
		t.Errorf("a fraction as a number: %v", err)
	}
}
