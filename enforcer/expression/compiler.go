package expression

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common"
	"github.com/google/cel-go/common/ast"
)

// MaxSource is the longest source of an expression, in characters.
const MaxSource = 1024

// MaxCost bounds one evaluation in the interpreter, in CEL's cost units: about a
// millisecond.
const MaxCost = 10_000

// Compiler compiles expressions. The zero value is ready; one Compiler for many
// expressions is cheaper than one for each. Not safe for concurrent use.
type Compiler struct {
	env *cel.Env // nil before the first expression
}

// Bool compiles an expression that says yes or no. The error is an *Error.
func (c *Compiler) Bool(source string) (*Bool, error) {
	e, root, err := compile(c, source, cel.BoolType, nativeBool)
	if err != nil {
		return nil, err
	}
	return &Bool{e, requirementsOf(root)}, nil
}

// String compiles an expression that yields a text. The error is an *Error.
func (c *Compiler) String(source string) (*String, error) {
	e, _, err := compile(c, source, cel.StringType, nativeString)
	if err != nil {
		return nil, err
	}
	return &String{e}, nil
}

// Int compiles an expression that yields a number. The error is an *Error.
func (c *Compiler) Int(source string) (*Int, error) {
	e, _, err := compile(c, source, cel.IntType, nativeInt)
	if err != nil {
		return nil, err
	}
	return &Int{e}, nil
}

// compile checks the source and compiles it: natively if its shape is a common
// one, else to a program of the interpreter.
func compile[T any](c *Compiler, source string, want *cel.Type, native func(ast.Expr) func(*Input) T) (compiled[T], ast.Expr, error) {
	tree, reads, err := c.check(source, want)
	if err != nil {
		return compiled[T]{}, nil, err
	}
	e := compiled[T]{source: source, reads: reads}
	root := tree.NativeRep().Expr()
	if e.native = native(root); e.native != nil {
		return e, root, nil
	}
	e.cel, err = interpret[T](c.env, tree)
	return e, root, err
}

// check parses and type-checks the source, and refuses what cannot be bounded.
func (c *Compiler) check(source string, want *cel.Type) (*cel.Ast, Reads, error) {
	if n := utf8.RuneCountInString(source); n > MaxSource {
		return nil, Reads{}, &Error{Message: fmt.Sprintf("the expression has %d characters: use at most %d", n, MaxSource)}
	}
	if !utf8.ValidString(source) {
		return nil, Reads{}, &Error{Message: "the expression is not UTF-8: use UTF-8"}
	}
	if c.env == nil {
		env, err := newEnvironment()
		if err != nil {
			return nil, Reads{}, &Error{Message: err.Error()}
		}
		c.env = env
	}
	tree, issues := c.env.Compile(source)
	if issues.Err() != nil {
		return nil, Reads{}, firstIssue(source, issues)
	}
	checked := tree.NativeRep()
	if err := checkBounded(checked); err != nil {
		return nil, Reads{}, err
	}
	if got := tree.OutputType(); !got.IsExactType(want) {
		return nil, Reads{}, errorAll(checked, "this is of type %s: write an expression of type %s", got, want)
	}
	reads, err := readsOf(checked)
	if err != nil {
		return nil, Reads{}, err
	}
	cost, err := c.env.EstimateCost(tree, sizes{})
	if err == nil && cost.Min > MaxCost {
		err = errorAll(checked, "this costs at least %d units of work: simplify it to %d or fewer", cost.Min, MaxCost)
	}
	return tree, reads, err
}

// firstIssue returns what CEL says first is wrong with the source.
func firstIssue(source string, issues *cel.Issues) *Error {
	all := issues.Errors()
	if len(all) == 0 {
		return &Error{Message: issues.String()}
	}
	first := all[0]
	message, _, _ := strings.Cut(first.Message, " expecting {") // the list of every token there is
	if cut, found := strings.CutSuffix(message, " (in container '')"); found {
		message = cut
		if name, found := strings.CutPrefix(message, "undeclared reference to "); found {
			name = wholeName(source, first.Location, strings.Trim(name, "'"))
			message = fmt.Sprintf("undeclared reference to '%s': expressions see %s", name, variables)
		}
	}
	return &Error{Line: max(1, first.Location.Line()), Column: first.Location.Column() + 1, Message: message}
}

// wholeName returns the name that begins at a place in the source. CEL complains
// of request where request.hedaers is written: the part behind the dot is wrong.
func wholeName(source string, at common.Location, name string) string {
	lines := strings.Split(source, "\n")
	if !strings.Contains(variables, name+".") || at.Line() < 1 || at.Line() > len(lines) {
		return name
	}
	line := []rune(lines[at.Line()-1])
	rest := string(line[min(at.Column(), len(line)):])
	end := strings.IndexFunc(rest, func(r rune) bool { return r != '.' && r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	if end >= 0 {
		rest = rest[:end]
	}
	if strings.HasPrefix(rest, name+".") {
		return rest
	}
	return name
}

// errorAt returns a fault at the place in the source that CEL gives for e: the
// operator of an operation, the bracket of a call.
func errorAt(tree *ast.AST, e ast.Expr, format string, args ...any) *Error {
	line, column := place(tree, e)
	return &Error{Line: line, Column: column, Message: fmt.Sprintf(format, args...)}
}

// errorAll returns a fault of the whole expression, at its beginning.
func errorAll(tree *ast.AST, format string, args ...any) *Error {
	fault := errorAt(tree, tree.Expr(), format, args...)
	for _, e := range ast.MatchDescendants(ast.NavigateAST(tree), ast.AllMatcher()) {
		line, column := place(tree, e)
		if line < fault.Line || line == fault.Line && column < fault.Column {
			fault.Line, fault.Column = line, column
		}
	}
	return fault
}

// place returns the line and column of e, from 1.
func place(tree *ast.AST, e ast.Expr) (line, column int) {
	at := tree.SourceInfo().GetStartLocation(e.ID())
	column = at.Column()
	if e.Kind() == ast.IdentKind {
		column -= max(0, strings.IndexByte(e.AsIdent(), '.')) // CEL points to the dot
	}
	return max(1, at.Line()), max(0, column) + 1
}
