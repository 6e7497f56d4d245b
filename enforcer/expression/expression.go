// Package expression evaluates CEL expressions over a request. CEL is the
// language, not the cost: the common shapes are compiled to direct look-ups, and
// only what is left runs in the CEL interpreter, with a bounded cost.
package expression

import (
	"fmt"
	"slices"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"

	"github.com/sluice-dev/sluice/enforcer/request"
)

// MaxSource is the longest source of an expression, in bytes.
const MaxSource = 1024

// maxCost bounds one evaluation in the interpreter, in CEL's cost units: about a
// millisecond.
const maxCost = 10_000

// Input is what an expression sees. HTTP is nil for a call that describes its
// request by descriptors alone, Descriptor is nil for one that has none.
type Input struct {
	HTTP       *request.HTTP
	Descriptor *request.Descriptor
}

// Reads says what an expression needs of an Input to have a meaning.
type Reads struct {
	// HTTP: it reads request.* or source.*.
	HTTP bool
	// Descriptor: it reads a descriptor.
	Descriptor bool
	// Entries are the descriptor's entries that it reads by name, sorted.
	Entries []string
}

// Union returns what two expressions together read.
func (r Reads) Union(o Reads) Reads {
	return Reads{
		HTTP:       r.HTTP || o.HTTP,
		Descriptor: r.Descriptor || o.Descriptor,
		Entries:    sortedSet(slices.Concat(r.Entries, o.Entries)),
	}
}

// Error is a fault in the source of an expression.
type Error struct {
	Line, Column int // from 1; 0 when the fault has no position
	Message      string
}

// Error returns "line:column: message".
func (e *Error) Error() string {
	if e.Line == 0 {
		return e.Message
	}
	return fmt.Sprintf("%d:%d: %s", e.Line, e.Column, e.Message)
}

// Bool is a compiled expression that says yes or no; immutable and safe for
// concurrent use.
type Bool struct {
	compiled[bool]
	requires *Requirement
}

// String is a compiled expression that yields a text; immutable and safe for
// concurrent use.
type String struct{ compiled[string] }

// Int is a compiled expression that yields a number; immutable and safe for
// concurrent use.
type Int struct{ compiled[int64] }

type compiled[T any] struct {
	source string
	reads  Reads
	eval   func(*Input) (T, error)
}

// Eval returns the value for an input. An error means that the expression has no
// value there, or cost too much; the result is then the zero value. Look-ups
// never fail.
func (c *compiled[T]) Eval(in *Input) (T, error) { return c.eval(in) }

// Reads returns what the expression needs of an input.
func (c *compiled[T]) Reads() Reads { return c.reads }

// Source returns the source as it was given.
func (c *compiled[T]) Source() string { return c.source }

// CompileBool compiles an expression that says yes or no. The error is an *Error.
func CompileBool(source string) (*Bool, error) {
	c, tree, err := compile(source, cel.BoolType, nativeBool)
	if err != nil {
		return nil, err
	}
	return &Bool{c, requirementOf(tree)}, nil
}

// CompileString compiles an expression that yields a text. The error is an *Error.
func CompileString(source string) (*String, error) {
	c, _, err := compile(source, cel.StringType, nativeString)
	if err != nil {
		return nil, err
	}
	return &String{c}, nil
}

// CompileInt compiles an expression that yields a number. The error is an *Error.
func CompileInt(source string) (*Int, error) {
	c, _, err := compile(source, cel.IntType, nativeInt)
	if err != nil {
		return nil, err
	}
	return &Int{c}, nil
}

// Requires returns something that must hold for the expression to be true, or
// nil when it has no such simple form: an index over many expressions looks only
// at those whose requirement is met.
func (b *Bool) Requires() *Requirement { return b.requires }

// compile checks the source and compiles it: natively if its shape is a common
// one, else to a program of the interpreter.
func compile[T any](source string, want *cel.Type, native func(ast.Expr) func(*Input) T) (compiled[T], ast.Expr, error) {
	tree, reads, err := check(source, want)
	if err != nil {
		return compiled[T]{}, nil, err
	}
	c := compiled[T]{source: source, reads: reads}
	expr := tree.NativeRep().Expr()
	if fast := native(expr); fast != nil {
		c.eval = func(in *Input) (T, error) { return fast(in), nil }
		return c, expr, nil
	}
	c.eval, err = interpret[T](tree)
	return c, expr, err
}

// check parses and type-checks the source.
func check(source string, want *cel.Type) (*cel.Ast, Reads, error) {
	if len(source) > MaxSource {
		return nil, Reads{}, &Error{Message: fmt.Sprintf("the expression has %d bytes: use at most %d", len(source), MaxSource)}
	}
	env, err := environment()
	if err != nil {
		return nil, Reads{}, &Error{Message: err.Error()}
	}
	tree, issues := env.Compile(source)
	if issues.Err() != nil {
		return nil, Reads{}, firstIssue(issues)
	}
	if got := tree.OutputType(); !got.IsExactType(want) {
		return nil, Reads{}, &Error{Line: 1, Column: 1, Message: fmt.Sprintf("the expression is of type %s: make it a %s", got, want)}
	}
	reads, err := readsOf(tree.NativeRep())
	return tree, reads, err
}

func firstIssue(issues *cel.Issues) *Error {
	all := issues.Errors()
	if len(all) == 0 {
		return &Error{Message: issues.String()}
	}
	return &Error{Line: all[0].Location.Line(), Column: all[0].Location.Column() + 1, Message: all[0].Message}
}
