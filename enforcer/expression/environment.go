package expression

import (
	"fmt"
	"reflect"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"github.com/google/cel-go/ext"
)

// newEnvironment declares the variables and functions of expressions.
func newEnvironment() (*cel.Env, error) {
	texts := cel.MapType(cel.StringType, cel.StringType)
	return cel.NewEnv(
		cel.Variable(methodVar, cel.StringType),
		cel.Variable(pathVar, cel.StringType),
		cel.Variable(hostVar, cel.StringType),
		cel.Variable(sourceVar, cel.StringType),
		cel.Variable(headersVar, texts),
		cel.Variable(queryVar, texts),
		cel.Variable(descriptorVar, texts),
		ext.Strings(ext.StringsVersion(5)), // the first that charges for its work
		cel.ParserRecursionLimit(64),
	)
}

// interpret makes a program for the CEL interpreter, with a bounded cost.
func interpret[T any](env *cel.Env, tree *cel.Ast) (func(*Input) (T, error), error) {
	program, err := env.Program(tree, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(MaxCost))
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

// lookups is a map of CEL in which what is absent is "". readsOf sees to it that
// it is only indexed and asked with `in`.
type lookups struct {
	from Place
	in   *Input
}

func (l lookups) get(key ref.Val) Lookup {
	name, _ := key.(types.String)
	return Lookup{l.from, string(name)}
}

func (l lookups) Find(key ref.Val) (ref.Val, bool) { return l.Get(key), true }
func (l lookups) Get(key ref.Val) ref.Val          { return types.String(l.get(key).Get(l.in)) }
func (l lookups) Contains(key ref.Val) ref.Val     { return types.Bool(l.get(key).Present(l.in)) }
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
