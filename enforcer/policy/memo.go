package policy

import "github.com/sluice-dev/sluice/enforcer/expression"

// expressions compiles the expressions of one document after another. One that the
// document before had too is not compiled again: most of a change is what did not
// change. The zero value is ready.
type expressions struct {
	compiler expression.Compiler
	bools    memo[*expression.Bool]
	strings  memo[*expression.String]
	ints     memo[*expression.Int]
}

// begin says that another document follows: what the one before the last had, and
// the last did not, is forgotten.
func (e *expressions) begin() {
	e.bools.turn()
	e.strings.turn()
	e.ints.turn()
}

func (e *expressions) bool(source string) (*expression.Bool, error) {
	return e.bools.get(source, e.compiler.Bool)
}

func (e *expressions) string(source string) (*expression.String, error) {
	return e.strings.get(source, e.compiler.String)
}

func (e *expressions) int(source string) (*expression.Int, error) {
	return e.ints.get(source, e.compiler.Int)
}

// memo remembers by their sources what was compiled of this document and of the one
// before.
type memo[E any] struct{ before, now map[string]E }

func (m *memo[E]) turn() { m.before, m.now = m.now, nil }

func (m *memo[E]) get(source string, compile func(string) (E, error)) (compiled E, err error) {
	if compiled, ok := m.now[source]; ok {
		return compiled, nil
	}
	compiled, ok := m.before[source]
	if !ok {
		compiled, err = compile(source)
	}
	if err != nil {
		return compiled, err
	}
	if m.now == nil {
		m.now = map[string]E{}
	}
	m.now[source] = compiled
	return compiled, nil
}
