package expression

import (
	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
)

// ProperBool compiles a condition, a text or a number for the CEL interpreter,
// however common its shape is, and says whether it would be native otherwise.
func (c *Compiler) ProperBool(source string) (*Bool, bool, error) {
	e, native, err := proper(c, source, cel.BoolType, nativeBool)
	return &Bool{compiled: e}, native, err
}

// ProperString is ProperBool for texts.
func (c *Compiler) ProperString(source string) (*String, bool, error) {
	e, native, err := proper(c, source, cel.StringType, nativeString)
	return &String{e}, native, err
}

// ProperInt is ProperBool for numbers.
func (c *Compiler) ProperInt(source string) (*Int, bool, error) {
	e, native, err := proper(c, source, cel.IntType, nativeInt)
	return &Int{e}, native, err
}

func proper[T any](c *Compiler, source string, want *cel.Type, native func(ast.Expr) func(*Input) T) (compiled[T], bool, error) {
	tree, reads, err := c.check(source, want)
	if err != nil {
		return compiled[T]{}, false, err
	}
	eval, err := interpret[T](c.env, tree)
	return compiled[T]{source: source, reads: reads, cel: eval}, native(tree.NativeRep().Expr()) != nil, err
}
