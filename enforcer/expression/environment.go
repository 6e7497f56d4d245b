package expression

import (
	"fmt"
	"reflect"
	"strings"
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"github.com/google/cel-go/ext"
)

// environment declares the variables and functions of expressions. It is built
// once, because that takes a millisecond, and never changes.
//
//nolint:gochecknoglobals // a constant that the language cannot write as one
var environment = sync.OnceValues(func() (*cel.Env, error) {
	texts := cel.MapType(cel.StringType, cel.StringType)
	return cel.NewEnv(
		cel.Variable(methodVar, cel.StringType),
		cel.Variable(pathVar, cel.StringType),
		cel.Variable(hostVar, cel.StringType),
		cel.Variable(sourceVar, cel.StringType),
		cel.Variable(headersVar, texts),
		cel.Variable(queryVar, texts),
		cel.Variable(descriptorVar, texts),
		ext.Strings(ext.StringsVersion(2)),
		cel.ParserRecursionLimit(64),
	)
})

// interpret makes a program for the CEL interpreter, with a bounded cost.
func interpret[T any](tree *cel.Ast) (func(*Input) (T, error), error) {
	env, err := environment()
	if err != nil {
		return nil, &Error{Message: err.Error()}
	}
	program, err := env.Program(tree, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(maxCost))
	if err != nil {
		return nil, &Error{Line: 1, Column: 1, Message: err.Error()}
	}
	return func(in *Input) (T, error) {
		var zero T
		out, _, err := program.Eval(activation{in})
		if err != nil {
			return zero, err
		}
		value, ok := out.Value().(T)
		if !ok {
			return zero, fmt.Errorf("the expression yielded a %s", out.Type().TypeName())
		}
		return value, nil
	}, nil
}

// activation resolves variables from an Input.
type activation struct{ in *Input }

// ResolveName implements cel.Activation.
func (a activation) ResolveName(name string) (any, bool) {
	place := placeOf(name)
	switch {
	case place == 0:
		return nil, false
	case place >= Header:
		return lookups{place, a.in}, true
	}
	return Lookup{From: place}.Get(a.in), true
}

// Parent implements cel.Activation.
func (activation) Parent() cel.Activation { return nil }

// lookups is a map of CEL in which what is absent is "". check allows only to
// index it and to ask with `in`.
type lookups struct {
	from Place
	in   *Input
}

func (l lookups) get(key ref.Val) string {
	name, _ := key.(types.String)
	return Lookup{l.from, string(name)}.Get(l.in)
}

func (l lookups) Find(key ref.Val) (ref.Val, bool) { return types.String(l.get(key)), true }
func (l lookups) Get(key ref.Val) ref.Val          { return types.String(l.get(key)) }
func (l lookups) Contains(key ref.Val) ref.Val     { return types.Bool(l.get(key) != "") }
func (l lookups) Size() ref.Val                    { return types.IntZero }
func (l lookups) Iterator() traits.Iterator {
	return types.NewDynamicMap(types.DefaultTypeAdapter, map[string]string{}).(traits.Iterable).Iterator()
}
func (l lookups) ConvertToNative(reflect.Type) (any, error) {
	return nil, fmt.Errorf("%s is not a value", l.Type())
}
func (l lookups) ConvertToType(ref.Type) ref.Val { return types.NewErr("%s is not a value", l.Type()) }
func (l lookups) Equal(ref.Val) ref.Val          { return types.False }
func (l lookups) Type() ref.Type                 { return types.MapType }
func (l lookups) Value() any                     { return l }

// readsOf lists what a checked expression reads, and refuses what has no meaning:
// headers and the like can be indexed, not listed.
func readsOf(tree *ast.AST) (Reads, error) {
	var reads Reads
	root := ast.NavigateAST(tree)
	for _, e := range ast.MatchDescendants(root, ast.KindMatcher(ast.IdentKind)) {
		name := e.AsIdent()
		switch place := placeOf(name); {
		case place == 0:
			continue
		case place == DescriptorEntry:
			reads.Descriptor = true
		default:
			reads.HTTP = true
		}
		if placeOf(name) < Header {
			continue
		}
		key, literal, err := keyOf(tree, e)
		if err != nil {
			return Reads{}, err
		}
		switch {
		case name == headersVar && key != strings.ToLower(key):
			return Reads{}, errorAt(tree, e, "header names are lower case here: write %s['%s']", name, strings.ToLower(key))
		case name == descriptorVar && literal:
			reads.Entries = append(reads.Entries, key)
		}
	}
	reads.Entries = sortedSet(reads.Entries)
	return reads, nil
}

// keyOf returns the key by which a map variable is read, where it is a literal
// that must be present for the expression to have a meaning.
func keyOf(tree *ast.AST, variable ast.NavigableExpr) (key string, literal bool, err error) {
	name := variable.AsIdent()
	parent, ok := variable.Parent()
	if ok {
		if _, key, ok := member(parent); ok {
			return key, true, nil
		}
		if parent.Kind() == ast.CallKind {
			call := parent.AsCall()
			switch function := call.FunctionName(); {
			case function == operators.In && call.Args()[1].ID() == variable.ID():
				return "", false, nil
			case function == operators.Index && name == descriptorVar:
				return "", false, errorAt(tree, variable, "the entry of a descriptor is named by a literal: write descriptor['name']")
			case function == operators.Index:
				return "", false, nil
			}
		}
	}
	return "", false, errorAt(tree, variable, "%s is not a value of its own: write %s['name']", name, name)
}

func errorAt(tree *ast.AST, e ast.Expr, format string, args ...any) *Error {
	at := tree.SourceInfo().GetStartLocation(e.ID())
	return &Error{Line: at.Line(), Column: at.Column() + 1, Message: fmt.Sprintf(format, args...)}
}
