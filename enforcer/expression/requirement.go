package expression

import (
	"slices"
	"strings"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/overloads"
)

// Requirement holds for an input when what the Lookup yields is one of the
// Values, or, if Prefix is set, begins with one of them.
type Requirement struct {
	Lookup Lookup
	Values []string // sorted, without repetition; of prefixes none begins with another
	Prefix bool
}

// Holds says whether the requirement holds for an input.
func (r *Requirement) Holds(in *Input) bool {
	text := r.Lookup.Get(in)
	if !r.Prefix {
		return slices.Contains(r.Values, text)
	}
	return slices.ContainsFunc(r.Values, func(v string) bool { return strings.HasPrefix(text, v) })
}

// requirementsOf finds what must hold for an expression to be true: equality to
// a literal, membership of a list of literals, a prefix. There is at most one for
// each Lookup.
func requirementsOf(e ast.Expr) []Requirement {
	if e.Kind() != ast.CallKind {
		return nil
	}
	call := e.AsCall()
	switch args := call.Args(); call.FunctionName() {
	case operators.LogicalAnd:
		return allOf(requirementsOf(args[0]), requirementsOf(args[1]))
	case operators.LogicalOr:
		return oneOf(requirementsOf(args[0]), requirementsOf(args[1]))
	case operators.Equals:
		for i := range args {
			if value, ok := literalString(args[1-i]); ok {
				return require(args[i], false, value)
			}
		}
	case operators.In:
		if values, ok := literalStrings(args[1]); ok {
			return require(args[0], false, values...)
		}
	case overloads.StartsWith:
		if value, ok := literalString(args[0]); ok && value != "" {
			return require(call.Target(), true, value)
		}
	}
	return nil
}

func require(e ast.Expr, prefix bool, values ...string) []Requirement {
	lookup, ok := lookupOf(e)
	if !ok {
		return nil
	}
	return []Requirement{{lookup, sortedSet(values), prefix}}
}

// allOf joins what two sides of && require; of two requirements on one Lookup it
// keeps the narrower one.
func allOf(left, right []Requirement) []Requirement {
	for _, r := range right {
		i := slices.IndexFunc(left, func(l Requirement) bool { return l.Lookup == r.Lookup })
		switch {
		case i < 0:
			left = append(left, r)
		case left[i].Prefix && !r.Prefix, left[i].Prefix == r.Prefix && len(r.Values) < len(left[i].Values):
			left[i] = r
		}
	}
	return left
}

// oneOf joins what two sides of || require: only what both require of one Lookup.
func oneOf(left, right []Requirement) []Requirement {
	var both []Requirement
	for _, l := range left {
		for _, r := range right {
			if l.Lookup != r.Lookup {
				continue
			}
			u := Requirement{l.Lookup, sortedSet(slices.Concat(l.Values, r.Values)), l.Prefix || r.Prefix}
			if u.Prefix {
				u.Values = shortest(u.Values)
			}
			if !u.Prefix || u.Values[0] != "" {
				both = append(both, u)
			}
		}
	}
	return both
}

// shortest drops from sorted prefixes those that begin with another one.
func shortest(prefixes []string) []string {
	kept := prefixes[:0]
	for _, p := range prefixes {
		if len(kept) == 0 || !strings.HasPrefix(p, kept[len(kept)-1]) {
			kept = append(kept, p)
		}
	}
	return kept
}
