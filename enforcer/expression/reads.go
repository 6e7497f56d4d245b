package expression

import (
	"slices"
	"strings"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
)

// readsOf lists what a checked expression reads, and refuses what has no meaning:
// headers and the like can be looked up by a name, not listed.
func readsOf(tree *ast.AST) (Reads, error) {
	var reads Reads
	root := ast.NavigateAST(tree)
	for _, e := range ast.MatchDescendants(root, ast.KindMatcher(ast.IdentKind)) {
		place := placeOf(e.AsIdent())
		switch place {
		case 0:
			continue
		case DescriptorEntry:
			reads.Descriptor = true
		default:
			reads.HTTP = true
		}
		if place < Header {
			continue
		}
		entry, err := checkUse(tree, e)
		if err != nil {
			return Reads{}, err
		}
		if entry != "" {
			reads.Entries = append(reads.Entries, entry)
		}
	}
	reads.Entries = sortedSet(reads.Entries)
	return reads, nil
}

// checkUse checks one use of a map variable. It returns the name of the
// descriptor entry without which the expression has no meaning, or "".
func checkUse(tree *ast.AST, variable ast.NavigableExpr) (entry string, err error) {
	name := variable.AsIdent()
	key, use := useOf(variable)
	switch {
	case use == listed:
		return "", errorAt(tree, variable, "%s is not a value of its own: write %s['name']", name, name)
	case use == tested:
		return "", errorAt(tree, variable, "has() does not tell what is absent from what is empty: write '%s' in %s", key, name)
	case name == descriptorVar && use == indexed && key == "":
		return "", errorAt(tree, variable, "the entry of a descriptor is named by a literal: write descriptor['name']")
	case name == headersVar && key != strings.ToLower(key):
		return "", errorAt(tree, variable, "header names are lower case: write '%s'", strings.ToLower(key))
	case name == descriptorVar && use == indexed:
		return key, nil
	}
	return "", nil
}

// use is what an expression does with a map variable.
type use uint8

const (
	listed  use = iota // anything but the rest: it has no meaning
	indexed            // variable['name'], variable.name
	asked              // 'name' in variable
	tested             // has(variable.name)
)

// useOf returns the use of a map variable, and the name it is used with, "" if
// that is no literal.
func useOf(variable ast.NavigableExpr) (key string, how use) {
	parent, ok := variable.Parent()
	if !ok {
		return "", listed
	}
	switch parent.Kind() {
	case ast.SelectKind:
		if parent.AsSelect().IsTestOnly() {
			return parent.AsSelect().FieldName(), tested
		}
		return parent.AsSelect().FieldName(), indexed
	case ast.CallKind:
		call := parent.AsCall()
		args := call.Args()
		switch {
		case call.FunctionName() == operators.Index && args[0].ID() == variable.ID():
			key, _ = literalString(args[1])
			return key, indexed
		case call.FunctionName() == operators.In && args[1].ID() == variable.ID():
			key, _ = literalString(args[0])
			return key, asked
		}
	}
	return "", listed
}

func sortedSet(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}
