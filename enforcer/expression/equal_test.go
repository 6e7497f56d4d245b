package expression_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/enforcer/expression"
	"github.com/sluice-dev/sluice/enforcer/request"
)

// TestNativeIsCEL: what is compiled to direct look-ups says of every request what
// CEL proper says of it.
func TestNativeIsCEL(t *testing.T) {
	var c expression.Compiler
	rapid.Check(t, func(t *rapid.T) {
		switch rapid.IntRange(0, 2).Draw(t, "type") {
		case 0:
			source := boolSource(t, 3)
			fast, err := c.Bool(source)
			proper, native, err2 := c.ProperBool(source)
			agree(t, source, native, fast, proper, err, err2)
		case 1:
			source := textSource(t, 3)
			fast, err := c.String(source)
			proper, native, err2 := c.ProperString(source)
			agree(t, source, native, fast, proper, err, err2)
		default:
			source := intSource(t, 3)
			fast, err := c.Int(source)
			proper, native, err2 := c.ProperInt(source)
			agree(t, source, native, fast, proper, err, err2)
		}
	})
}

// evaluator is a compiled expression of any type.
type evaluator[T any] interface {
	Eval(*expression.Input) (T, error)
}

func agree[T comparable](t *rapid.T, source string, native bool, fast, proper evaluator[T], errs ...error) {
	for _, err := range errs {
		if err != nil {
			if len(source) > expression.MaxSource || strings.Contains(err.Error(), "recursion") {
				t.Skip(err)
			}
			t.Fatalf("%s: %v", source, err)
		}
	}
	if !native {
		t.Fatalf("%s is not compiled natively", source)
	}
	for range 5 {
		in := input(t)
		got, err := fast.Eval(in)
		if err != nil {
			t.Fatalf("%s failed: %v", source, err)
		}
		want, err := proper.Eval(in)
		if err != nil {
			t.Fatalf("%s fails in CEL: %v", source, err)
		}
		if got != want {
			t.Fatalf("%s = %#v, CEL says %#v", source, got, want)
		}
	}
}

// TestRequirementsHold: an expression is true only for inputs that meet all of its
// requirements, so an index that looks at one of them misses nothing.
func TestRequirementsHold(t *testing.T) {
	var c expression.Compiler
	found := 0
	rapid.Check(t, func(t *rapid.T) {
		source := boolSource(t, 3)
		e, err := c.Bool(source)
		if err != nil {
			t.Skip(err)
		}
		for range 10 {
			in := input(t)
			if holds, _ := e.Eval(in); !holds {
				continue
			}
			for _, r := range e.Requires() {
				found++
				if !r.Holds(in) {
					t.Fatalf("%s is true, its requirement %+v is not met", source, r)
				}
			}
		}
	})
	if found == 0 {
		t.Error("no expression had a requirement: the test shows nothing")
	}
}

// shapes are conditions as policies have them.
var shapes = []struct{ name, source string }{
	{"equality", "request.method == 'GET'"},
	{"prefix", "request.path.startsWith('/api/')"},
	{"list", "request.headers['x-tier'] in ['gold', 'silver', 'bronze']"},
	{"descriptor", "descriptor['client'] == 'acme'"},
	{"pattern", "request.path.matches('^/api/v[0-9]+/')"},
	{"twenty operators", twentyOperators},
}

// twentyOperators is a condition of twenty operators and functions.
const twentyOperators = "request.method == 'GET' && request.path.startsWith('/api/') && !request.path.endsWith('.css') && " +
	"(request.host == 'shop.example' || request.host == 'www.shop.example' || request.headers['x-forwarded-host'] != '') && " +
	"request.headers['x-tier'] in ['gold', 'silver'] && size(request.query['page']) <= 4 && " +
	"(request.query['debug'] == '' || source.address.startsWith('10.')) && 'x-api-key' in request.headers"

// BenchmarkNativeAgainstCEL times both over generated requests, of which they must
// say the same.
func BenchmarkNativeAgainstCEL(b *testing.B) {
	var c expression.Compiler
	inputs := []*expression.Input{sample()}
	for i := range 255 {
		inputs = append(inputs, rapid.Custom(input).Example(i))
	}
	for _, shape := range shapes {
		fast, err := c.Bool(shape.source)
		if err != nil {
			b.Fatal(err)
		}
		proper, native, err := c.ProperBool(shape.source)
		if err != nil || !native {
			b.Fatalf("%s: native %v, %v", shape.source, native, err)
		}
		for _, in := range inputs {
			got, _ := fast.Eval(in)
			want, err := proper.Eval(in)
			if got != want || err != nil {
				b.Fatalf("%s = %v, CEL says %v, %v", shape.source, got, want, err)
			}
		}
		for _, form := range []struct {
			name string
			e    *expression.Bool
		}{{"native", fast}, {"CEL", proper}} {
			b.Run(shape.name+"/"+form.name, func(b *testing.B) {
				b.ReportAllocs()
				at := 0
				for b.Loop() {
					if _, err := form.e.Eval(inputs[at]); err != nil {
						b.Fatal(err)
					}
					at = (at + 1) % len(inputs)
				}
			})
		}
	}
}

// FuzzEval compiles any source and evaluates it for any request. What compiles
// natively says what CEL says, what is true meets its requirements, and nothing
// takes longer than its cost allows or panics.
func FuzzEval(f *testing.F) {
	for _, shape := range shapes {
		f.Add(shape.source, "GET", "/api/v1/orders", "gold", "acme")
	}
	f.Add("request.path.split('/').exists(p, p == descriptor['x'])", "", "/a/b", "", "b")
	f.Add("int(request.headers['x']) % 2 == 0", "", "", "41", "")
	f.Add("request.headers['x'].substring(1, 2) == 'b'", "", "", "Äb", "")
	f.Add("['a', 'b'].filter(x, x in request.query).size() > 0", "\xff", "\n", "", "")
	f.Add("size(request.path + request.path) < 10 ? request.host == '' : source.address > 'a'", "", "", "", "")
	var c expression.Compiler
	f.Fuzz(func(t *testing.T, source, method, path, header, entry string) {
		values := request.Values{"x": header, "y": path}
		inputs := []*expression.Input{{}, {
			HTTP:       &request.HTTP{Method: method, Path: path, Host: entry, Source: header, Headers: values, Query: values},
			Descriptor: &request.Descriptor{Entries: []request.Entry{{Key: "x", Value: entry}, {Key: "x", Value: header}}},
		}}
		if fast, err := c.Bool(source); err == nil {
			proper, native, err := c.ProperBool(source)
			same(t, source, native, inputs, fast, proper, err)
			for _, in := range inputs {
				holds, err := fast.Eval(in)
				for _, r := range fast.Requires() {
					if holds && err == nil && !r.Holds(in) {
						t.Errorf("%s is true, its requirement %+v is not met", source, r)
					}
				}
			}
		}
		if fast, err := c.String(source); err == nil {
			proper, native, err := c.ProperString(source)
			same(t, source, native, inputs, fast, proper, err)
		}
		if fast, err := c.Int(source); err == nil {
			proper, native, err := c.ProperInt(source)
			same(t, source, native, inputs, fast, proper, err)
		}
	})
}

func same[T comparable](t *testing.T, source string, native bool, inputs []*expression.Input, fast, proper evaluator[T], err error) {
	if err != nil {
		t.Fatalf("%s compiles, but not for CEL: %v", source, err)
	}
	for _, in := range inputs {
		got, err := fast.Eval(in)
		want, err2 := proper.Eval(in)
		switch {
		case native && err != nil:
			t.Errorf("%s is native and failed: %v", source, err)
		case native && err2 != nil && !strings.Contains(err2.Error(), "cost limit"):
			t.Errorf("%s fails in CEL only: %v", source, err2)
		case err == nil && err2 == nil && got != want:
			t.Errorf("%s = %#v, CEL says %#v", source, got, want)
		}
	}
}
