// Package expression evaluates CEL expressions over a request. CEL is the
// language, not the cost: the common shapes are compiled to direct look-ups, and
// only what is left runs in the CEL interpreter, with a bounded cost.
package expression

import (
	"fmt"
	"slices"

	"github.com/sluice-dev/sluice/enforcer/request"
)

// Input is what an expression sees. HTTP is nil for a call that describes its
// request by descriptors alone, Descriptor is nil for one that has none. An
// Input is not changed by an expression.
type Input struct {
	HTTP       *request.HTTP
	Descriptor *request.Descriptor
}

// Reads says what an expression needs of an Input to have a meaning. The zero
// value needs nothing.
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
	Line, Column int    // from 1; 0 when the fault has no position
	Message      string // what is wrong, and what to write instead
}

// Error returns "line:column: message".
func (e *Error) Error() string {
	if e.Line == 0 {
		return e.Message
	}
	return fmt.Sprintf("%d:%d: %s", e.Line, e.Column, e.Message)
}

// Bool is a compiled expression that says yes or no; immutable and safe for
// concurrent use. Compile one with a Compiler.
type Bool struct {
	compiled[bool]
	requires []Requirement
}

// Requires returns what must hold for the expression to be true, as far as it
// has a simple form: an index over many expressions looks only at those of which
// a requirement is met. Each Lookup appears at most once.
func (b *Bool) Requires() []Requirement { return b.requires }

// String is a compiled expression that yields a text; immutable and safe for
// concurrent use. Compile one with a Compiler.
type String struct{ compiled[string] }

// Int is a compiled expression that yields a number; immutable and safe for
// concurrent use. Compile one with a Compiler.
type Int struct{ compiled[int64] }

// CompileBool compiles one expression that says yes or no, as Compiler.Bool does.
func CompileBool(source string) (*Bool, error) { return new(Compiler).Bool(source) }

// CompileString compiles one expression that yields a text, as Compiler.String
// does.
func CompileString(source string) (*String, error) { return new(Compiler).String(source) }

// CompileInt compiles one expression that yields a number, as Compiler.Int does.
func CompileInt(source string) (*Int, error) { return new(Compiler).Int(source) }

// compiled is an expression in one of two forms.
type compiled[T any] struct {
	source string
	reads  Reads
	native func(*Input) T          // direct look-ups, or nil
	cel    func(*Input) (T, error) // CEL proper, where native is nil
}

// Eval returns the value for an input. An error means that the expression has no
// value there, or cost too much; the result is then the zero value. Look-ups
// never fail, and what they find absent is "".
func (c *compiled[T]) Eval(in *Input) (T, error) {
	if c.native != nil {
		return c.native(in), nil
	}
	return c.cel(in)
}

// Reads returns what the expression needs of an input.
func (c *compiled[T]) Reads() Reads { return c.reads }

// Source returns the source as it was given.
func (c *compiled[T]) Source() string { return c.source }
