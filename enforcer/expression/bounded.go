package expression

import (
	"regexp/syntax"
	"strings"

	"github.com/google/cel-go/checker"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/overloads"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/parser"
)

// maxPattern bounds a regular expression, in instructions of its program: the
// time of a match is at most proportional to them and to the text.
const maxPattern = 512

// named are the functions that an expression may call by name. The interpreter
// charges a call when it has been made, so none of them may yield much more than
// it is given: replace, join, format and quote are not among them. None reads
// anything but its arguments, as time zones would.
const named = "contains endsWith matches startsWith size " +
	"charAt indexOf lastIndexOf lowerAscii reverse split substring trim upperAscii " +
	"bool double int string uint"

// checkBounded refuses what the interpreter's cost limit would notice too late.
func checkBounded(tree *ast.AST) error {
	root := ast.NavigateAST(tree)
	for _, e := range ast.MatchDescendants(root, ast.AllMatcher()) {
		if t := tree.GetType(e.ID()); !flat(t) {
			return errorAt(tree, e, "a value of type %s is not available: use texts, numbers, booleans, and lists or maps of them", t)
		}
		if e.Kind() != ast.CallKind {
			continue
		}
		if err := checkCall(tree, e); err != nil {
			return err
		}
	}
	return nil
}

// flat says whether a type holds no values inside values: those share what they
// hold, so that a short expression can make one that takes forever to compare.
func flat(t *types.Type) bool {
	switch t.Kind() {
	case types.BoolKind, types.IntKind, types.UintKind, types.DoubleKind, types.StringKind, types.TypeKind:
		return true
	case types.ListKind, types.MapKind:
		for _, p := range t.Parameters() {
			if k := p.Kind(); k == types.ListKind || k == types.MapKind || !flat(p) {
				return false
			}
		}
		return true
	}
	return false
}

func checkCall(tree *ast.AST, e ast.Expr) error {
	call := e.AsCall()
	switch function := call.FunctionName(); {
	case function == operators.Add && tree.GetType(e.ID()).Kind() == types.ListKind && !accumulates(call):
		// A sum of lists shares them, and its size is found by walking it.
		return errorAt(tree, e, "lists cannot be added: write one list")
	case function == overloads.Matches:
		return checkPattern(tree, e)
	case isOperator(function):
		return nil
	case !strings.Contains(" "+named+" ", " "+function+" "):
		return errorAt(tree, e, "the function %s is not available: use %s", function, strings.ReplaceAll(named, " ", ", "))
	}
	return nil
}

// accumulates says whether a sum is the one that the macros map and filter make,
// by the name that no source can write.
func accumulates(sum ast.CallExpr) bool {
	left := sum.Args()[0]
	return left.Kind() == ast.IdentKind && left.AsIdent() == parser.HiddenAccumulatorName
}

func isOperator(function string) bool {
	_, found := operators.FindReverse(function)
	return found || function == operators.NotStrictlyFalse
}

// checkPattern wants the pattern of matches to be a literal, so that no client
// can send one.
func checkPattern(tree *ast.AST, e ast.Expr) error {
	args := e.AsCall().Args()
	arg := args[len(args)-1]
	pattern, ok := literalString(arg)
	if !ok {
		return errorAt(tree, arg, "the pattern of matches must be a literal: write it in quotes")
	}
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return errorAt(tree, arg, "%s", err)
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return errorAt(tree, arg, "%s", err)
	}
	if n := len(program.Inst); n > maxPattern {
		return errorAt(tree, arg, "the pattern has %d steps: simplify it to %d or fewer", n, maxPattern)
	}
	return nil
}

// sizes tells CEL's cost estimate how large variables can be: anything from
// nothing, so that the estimate's lower end holds for every request.
type sizes struct{}

// EstimateSize implements checker.CostEstimator.
func (sizes) EstimateSize(checker.AstNode) *checker.SizeEstimate { return nil }

// EstimateCallCost implements checker.CostEstimator.
func (sizes) EstimateCallCost(string, string, *checker.AstNode, []checker.AstNode) *checker.CallEstimate {
	return nil
}
