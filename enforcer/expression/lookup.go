package expression

import (
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"

	"github.com/sluice-dev/sluice/enforcer/request"
)

// Lookup is a value that can be read from an Input directly. It is comparable.
type Lookup struct {
	From Place
	Name string // of a header, query parameter or descriptor entry
}

// Place is where a Lookup finds its value.
type Place uint8

// The places, by the variables of an expression.
const (
	Method          Place = iota + 1 // request.method
	Path                             // request.path
	Host                             // request.host
	SourceAddress                    // source.address
	Header                           // request.headers['x']
	Query                            // request.query['x']
	DescriptorEntry                  // descriptor['x']
)

// The variables of an expression, by the names that CEL knows.
const (
	methodVar     = "request.method"
	pathVar       = "request.path"
	hostVar       = "request.host"
	headersVar    = "request.headers"
	queryVar      = "request.query"
	sourceVar     = "source.address"
	descriptorVar = "descriptor"
)

// variables names them all, for messages.
const variables = methodVar + ", " + pathVar + ", " + hostVar + ", " + headersVar + "['x'], " + queryVar + "['x'], " +
	sourceVar + " and " + descriptorVar + "['x']"

// Get returns the value in an input; what is absent is "".
func (l Lookup) Get(in *Input) string {
	if l.From == DescriptorEntry {
		if in.Descriptor == nil {
			return ""
		}
		value, _ := in.Descriptor.Get(l.Name)
		return value
	}
	if in.HTTP == nil {
		return ""
	}
	switch l.From {
	case Method:
		return in.HTTP.Method
	case Path:
		return in.HTTP.Path
	case Host:
		return in.HTTP.Host
	case SourceAddress:
		return in.HTTP.Source
	case Header:
		return request.Find(in.HTTP.Headers, l.Name)
	case Query:
		return request.Find(in.HTTP.Query, l.Name)
	}
	return ""
}

// Present says whether an input has the value: a descriptor entry that is there
// may be "", all else that is "" is absent.
func (l Lookup) Present(in *Input) bool {
	if l.From != DescriptorEntry {
		return l.Get(in) != ""
	}
	if in.Descriptor == nil {
		return false
	}
	_, found := in.Descriptor.Get(l.Name)
	return found
}

// reader returns Get, for the places that limits are mostly made of without its
// switch.
func (l Lookup) reader() func(*Input) string {
	switch l.From {
	case DescriptorEntry:
		return func(in *Input) string {
			if in.Descriptor == nil {
				return ""
			}
			value, _ := in.Descriptor.Get(l.Name)
			return value
		}
	case Header:
		return func(in *Input) string {
			if in.HTTP == nil {
				return ""
			}
			return request.Find(in.HTTP.Headers, l.Name)
		}
	case Path:
		return func(in *Input) string {
			if in.HTTP == nil {
				return ""
			}
			return in.HTTP.Path
		}
	}
	return l.Get
}

// lookupOf returns the Lookup that an expression is, if it is one.
func lookupOf(e ast.Expr) (Lookup, bool) {
	if e.Kind() == ast.IdentKind {
		place := placeOf(e.AsIdent())
		return Lookup{From: place}, place != 0 && place < Header
	}
	operand, name, ok := member(e)
	if !ok {
		return Lookup{}, false
	}
	place := placeOf(operand)
	return Lookup{From: place, Name: name}, place >= Header
}

func placeOf(variable string) Place {
	switch variable {
	case methodVar:
		return Method
	case pathVar:
		return Path
	case hostVar:
		return Host
	case sourceVar:
		return SourceAddress
	case headersVar:
		return Header
	case queryVar:
		return Query
	case descriptorVar:
		return DescriptorEntry
	}
	return 0
}

// member takes variable['name'] and variable.name apart.
func member(e ast.Expr) (variable, name string, ok bool) {
	switch e.Kind() {
	case ast.SelectKind:
		s := e.AsSelect()
		if s.Operand().Kind() == ast.IdentKind && !s.IsTestOnly() {
			return s.Operand().AsIdent(), s.FieldName(), true
		}
	case ast.CallKind:
		c := e.AsCall()
		if c.FunctionName() == operators.Index && c.Args()[0].Kind() == ast.IdentKind {
			name, ok := literalString(c.Args()[1])
			return c.Args()[0].AsIdent(), name, ok
		}
	}
	return "", "", false
}

func literalString(e ast.Expr) (string, bool) {
	if e.Kind() != ast.LiteralKind {
		return "", false
	}
	s, ok := e.AsLiteral().(types.String)
	return string(s), ok
}

func literalStrings(e ast.Expr) ([]string, bool) {
	if e.Kind() != ast.ListKind {
		return nil, false
	}
	var all []string
	for _, element := range e.AsList().Elements() {
		s, ok := literalString(element)
		if !ok {
			return nil, false
		}
		all = append(all, s)
	}
	return all, true
}
