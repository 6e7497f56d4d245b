package expression

import (
	"slices"
	"strings"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/overloads"
	"github.com/google/cel-go/common/types"
)

// The functions of this file compile the common shapes to closures over direct
// look-ups. They return nil for a shape that they do not know. What they compile
// has no errors, so the order in which && and || look at their sides cannot be
// told from CEL's.

func nativeString(e ast.Expr) func(*Input) string {
	if s, ok := literalString(e); ok {
		return func(*Input) string { return s }
	}
	lookup, ok := lookupOf(e)
	if !ok {
		return nil
	}
	switch lookup.From { // the ones that keys are made of, without a switch per request
	case DescriptorEntry:
		return func(in *Input) string {
			if in.Descriptor == nil {
				return ""
			}
			value, _ := in.Descriptor.Get(lookup.Name)
			return value
		}
	case Path:
		return func(in *Input) string {
			if in.HTTP == nil {
				return ""
			}
			return in.HTTP.Path
		}
	}
	return lookup.Get
}

func nativeInt(e ast.Expr) func(*Input) int64 {
	if e.Kind() != ast.LiteralKind {
		return nil
	}
	n, ok := e.AsLiteral().(types.Int)
	if !ok {
		return nil
	}
	return func(*Input) int64 { return int64(n) }
}

func nativeBool(e ast.Expr) func(*Input) bool {
	switch e.Kind() {
	case ast.LiteralKind:
		b, ok := e.AsLiteral().(types.Bool)
		if !ok {
			return nil
		}
		return func(*Input) bool { return bool(b) }
	case ast.CallKind:
		return nativeCall(e.AsCall())
	}
	return nil
}

func nativeCall(c ast.CallExpr) func(*Input) bool {
	args := c.Args()
	switch c.FunctionName() {
	case operators.LogicalNot:
		return nativeNot(nativeBool(args[0]))
	case operators.LogicalAnd:
		return nativePair(args, func(a, b func(*Input) bool) func(*Input) bool {
			return func(in *Input) bool { return a(in) && b(in) }
		})
	case operators.LogicalOr:
		return nativePair(args, func(a, b func(*Input) bool) func(*Input) bool {
			return func(in *Input) bool { return a(in) || b(in) }
		})
	case operators.Equals:
		return nativeEquals(args[0], args[1])
	case operators.NotEquals:
		return nativeNot(nativeEquals(args[0], args[1]))
	case operators.In:
		return nativeIn(args[0], args[1])
	case overloads.StartsWith:
		return nativeText(c, strings.HasPrefix)
	case overloads.EndsWith:
		return nativeText(c, strings.HasSuffix)
	case overloads.Contains:
		return nativeText(c, strings.Contains)
	}
	return nil
}

func nativeNot(f func(*Input) bool) func(*Input) bool {
	if f == nil {
		return nil
	}
	return func(in *Input) bool { return !f(in) }
}

func nativePair(args []ast.Expr, join func(a, b func(*Input) bool) func(*Input) bool) func(*Input) bool {
	a, b := nativeBool(args[0]), nativeBool(args[1])
	if a == nil || b == nil {
		return nil
	}
	return join(a, b)
}

func nativeEquals(left, right ast.Expr) func(*Input) bool {
	if _, ok := literalString(left); ok {
		left, right = right, left
	}
	a := nativeString(left)
	if a == nil {
		return nil
	}
	if value, ok := literalString(right); ok {
		return func(in *Input) bool { return a(in) == value }
	}
	b := nativeString(right)
	if b == nil {
		return nil
	}
	return func(in *Input) bool { return a(in) == b(in) }
}

// nativeIn looks a text up in a list of literals; short lists are read through,
// which is quicker than hashing.
func nativeIn(element, list ast.Expr) func(*Input) bool {
	const short = 8
	text := nativeString(element)
	values, ok := literalStrings(list)
	if text == nil || !ok {
		return nil
	}
	if len(values) <= short {
		return func(in *Input) bool { return slices.Contains(values, text(in)) }
	}
	set := make(map[string]struct{}, len(values))
	for _, v := range values {
		set[v] = struct{}{}
	}
	return func(in *Input) bool {
		_, found := set[text(in)]
		return found
	}
}

func nativeText(c ast.CallExpr, test func(text, part string) bool) func(*Input) bool {
	if !c.IsMemberFunction() {
		return nil
	}
	text, part := nativeString(c.Target()), nativeString(c.Args()[0])
	if text == nil || part == nil {
		return nil
	}
	return func(in *Input) bool { return test(text(in), part(in)) }
}
