package expression

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/overloads"
	"github.com/google/cel-go/common/types"
)

// The native functions compile the common shapes to closures over direct
// look-ups. They return nil for a shape that they do not know. What they compile
// has no errors, so the order in which && and || look at their sides cannot be
// told from CEL's.

func nativeString(e ast.Expr) func(*Input) string {
	if s, ok := literalString(e); ok {
		return func(*Input) string { return s }
	}
	if lookup, ok := lookupOf(e); ok {
		return lookup.reader()
	}
	if e.Kind() != ast.CallKind {
		return nil
	}
	call := e.AsCall()
	switch args := call.Args(); call.FunctionName() {
	case operators.Conditional:
		return nativeChoice(args, nativeString)
	case operators.Add:
		return nativeInfix(args, nativeString, func(a, b string) string { return a + b })
	case "lowerAscii":
		return nativeMap(call.Target(), lowerASCII)
	case "upperAscii":
		return nativeMap(call.Target(), upperASCII)
	}
	return nil
}

func nativeInt(e ast.Expr) func(*Input) int64 {
	switch e.Kind() {
	case ast.LiteralKind:
		if n, ok := e.AsLiteral().(types.Int); ok {
			return func(*Input) int64 { return int64(n) }
		}
	case ast.CallKind:
		call := e.AsCall()
		switch args := call.Args(); call.FunctionName() {
		case operators.Conditional:
			return nativeChoice(args, nativeInt)
		case overloads.Size:
			if call.IsMemberFunction() {
				return nativeMap(call.Target(), countRunes)
			}
			return nativeMap(args[0], countRunes)
		}
	}
	return nil
}

func nativeBool(e ast.Expr) func(*Input) bool {
	switch e.Kind() {
	case ast.LiteralKind:
		if b, ok := e.AsLiteral().(types.Bool); ok {
			return func(*Input) bool { return bool(b) }
		}
	case ast.CallKind:
		if c := e.AsCall(); c.IsMemberFunction() {
			return nativeTest(c)
		}
		return nativeOperator(e.AsCall())
	}
	return nil
}

func nativeOperator(c ast.CallExpr) func(*Input) bool {
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
	case operators.Conditional:
		return nativeChoice(args, nativeBool)
	case operators.Equals:
		return nativeEquals(args)
	case operators.NotEquals:
		return nativeNot(nativeEquals(args))
	case operators.In:
		return nativeIn(args[0], args[1])
	case operators.Less:
		return nativeInfix(args, nativeInt, func(a, b int64) bool { return a < b })
	case operators.LessEquals:
		return nativeInfix(args, nativeInt, func(a, b int64) bool { return a <= b })
	case operators.Greater:
		return nativeInfix(args, nativeInt, func(a, b int64) bool { return a > b })
	case operators.GreaterEquals:
		return nativeInfix(args, nativeInt, func(a, b int64) bool { return a >= b })
	}
	return nil
}

// nativeTest compiles text.function(part).
func nativeTest(c ast.CallExpr) func(*Input) bool {
	var test func(text, part string) bool
	switch c.FunctionName() {
	case overloads.StartsWith:
		test = strings.HasPrefix
	case overloads.EndsWith:
		test = strings.HasSuffix
	case overloads.Contains:
		test = strings.Contains
	case overloads.Matches:
		pattern, _ := literalString(c.Args()[0])
		if compiled, err := regexp.Compile(pattern); err == nil {
			return nativeMap(c.Target(), compiled.MatchString)
		}
		return nil
	default:
		return nil
	}
	text := nativeString(c.Target())
	if text == nil {
		return nil
	}
	if part, ok := literalString(c.Args()[0]); ok {
		return func(in *Input) bool { return test(text(in), part) }
	}
	part := nativeString(c.Args()[0])
	if part == nil {
		return nil
	}
	return func(in *Input) bool { return test(text(in), part(in)) }
}

func nativeEquals(args []ast.Expr) func(*Input) bool {
	left, right := args[0], args[1]
	if _, ok := literalString(left); ok {
		left, right = right, left
	}
	if a := nativeString(left); a != nil {
		if value, ok := literalString(right); ok {
			return func(in *Input) bool { return a(in) == value }
		}
		return nativeInfix(args, nativeString, func(a, b string) bool { return a == b })
	}
	return nativeInfix(args, nativeInt, func(a, b int64) bool { return a == b })
}

// nativeIn looks a text up in a list of literals, or asks whether a look-up has
// a value. Short lists are read through, which is quicker than hashing.
func nativeIn(element, list ast.Expr) func(*Input) bool {
	const short = 8
	if list.Kind() == ast.IdentKind {
		name, ok := literalString(element)
		if place := placeOf(list.AsIdent()); ok && place >= Header {
			return Lookup{place, name}.Present
		}
		return nil
	}
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

// nativeChoice compiles condition ? yes : no.
func nativeChoice[T any](args []ast.Expr, native func(ast.Expr) func(*Input) T) func(*Input) T {
	condition, yes, no := nativeBool(args[0]), native(args[1]), native(args[2])
	if condition == nil || yes == nil || no == nil {
		return nil
	}
	return func(in *Input) T {
		if condition(in) {
			return yes(in)
		}
		return no(in)
	}
}

// nativeInfix compiles an operator over two values.
func nativeInfix[A, T any](args []ast.Expr, native func(ast.Expr) func(*Input) A, operator func(a, b A) T) func(*Input) T {
	a, b := native(args[0]), native(args[1])
	if a == nil || b == nil {
		return nil
	}
	return func(in *Input) T { return operator(a(in), b(in)) }
}

// nativeMap compiles a function of a text.
func nativeMap[T any](text ast.Expr, function func(string) T) func(*Input) T {
	f := nativeString(text)
	if f == nil {
		return nil
	}
	return func(in *Input) T { return function(f(in)) }
}

func countRunes(s string) int64 { return int64(utf8.RuneCountInString(s)) }
