package expression_test

import (
	"fmt"
	"strconv"
	"strings"

	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/enforcer/expression"
	"github.com/sluice-dev/sluice/enforcer/request"
)

// The generators below draw sources of the shapes that are compiled natively, and
// inputs whose values are likely to be those that the sources ask for.

// words are what sources compare with and what inputs hold: short, so that they
// often meet, and with what texts may hold at worst.
var words = []string{"", "a", "ab", "/api", "/api/v1", "GET", "gold", "Ä", "日本", "ABC", "\xff", "a\xffb", "0", "it's", `\n`, "\n"}

var wordOfInput = rapid.SampledFrom(words)

// literal draws a literal text: CEL takes UTF-8 only.
func literal(t *rapid.T) string {
	w := rapid.SampledFrom(words).Filter(func(w string) bool { return !strings.Contains(w, "\xff") }).Draw(t, "literal")
	return strconv.Quote(w)
}

func lookup(t *rapid.T) string {
	name := rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "name")
	form := rapid.SampledFrom([]string{
		"request.method", "request.path", "request.host", "source.address",
		"request.headers[%q]", "request.headers.%s", "request.query[%q]", "request.query.%s", "descriptor[%q]", "descriptor.%s",
	}).Draw(t, "look-up")
	if strings.Contains(form, "%") {
		return fmt.Sprintf(form, name)
	}
	return form
}

func textSource(t *rapid.T, depth int) string {
	form := rapid.IntRange(0, 7).Draw(t, "text")
	switch {
	case form < 4 || depth == 0:
		return lookup(t)
	case form == 4:
		return literal(t)
	case form == 5:
		return fmt.Sprintf("(%s + %s)", textSource(t, depth-1), textSource(t, depth-1))
	case form == 6:
		return fmt.Sprintf("(%s).%s()", textSource(t, depth-1), rapid.SampledFrom([]string{"lowerAscii", "upperAscii"}).Draw(t, "map"))
	}
	return fmt.Sprintf("(%s ? %s : %s)", boolSource(t, depth-1), textSource(t, depth-1), textSource(t, depth-1))
}

func intSource(t *rapid.T, depth int) string {
	form := rapid.IntRange(0, 3).Draw(t, "number")
	switch {
	case form == 0 || depth == 0:
		return strconv.FormatInt(rapid.OneOf(rapid.Int64Range(0, 6), rapid.Int64()).Draw(t, "n"), 10)
	case form == 1:
		return fmt.Sprintf("size(%s)", textSource(t, depth-1))
	case form == 2:
		return fmt.Sprintf("(%s).size()", textSource(t, depth-1))
	}
	return fmt.Sprintf("(%s ? %s : %s)", boolSource(t, depth-1), intSource(t, depth-1), intSource(t, depth-1))
}

func boolSource(t *rapid.T, depth int) string {
	if depth == 0 {
		return fmt.Sprintf("%s == %s", lookup(t), literal(t))
	}
	pair := func(form string, draw func(*rapid.T, int) string) string {
		return fmt.Sprintf(form, draw(t, depth-1), draw(t, depth-1))
	}
	switch form := rapid.IntRange(0, 9).Draw(t, "condition"); form {
	case 0:
		return pair("(%s) && (%s)", boolSource)
	case 1:
		return pair("(%s) || (%s)", boolSource)
	case 2:
		return fmt.Sprintf("!(%s)", boolSource(t, depth-1))
	case 3:
		return pair("(%s) == (%s)", textSource)
	case 4:
		return pair("(%s) != (%s)", textSource)
	case 5:
		return pair("(%s) "+rapid.SampledFrom([]string{"<", "<=", ">", ">=", "==", "!="}).Draw(t, "operator")+" (%s)", intSource)
	case 6:
		return pair("(%s)."+rapid.SampledFrom([]string{"startsWith", "endsWith", "contains"}).Draw(t, "test")+"(%s)", textSource)
	case 7:
		return fmt.Sprintf("(%s).matches(%s)", textSource(t, depth-1), rapid.SampledFrom([]string{`"^a"`, `"a.*b"`, `"^/api/v[0-9]$"`, `"(?i)gold"`, `""`}).Draw(t, "pattern"))
	case 8:
		var list []string
		for range rapid.IntRange(1, 12).Draw(t, "elements") {
			list = append(list, literal(t))
		}
		return fmt.Sprintf("(%s) in [%s]", textSource(t, depth-1), strings.Join(list, ", "))
	default:
		return fmt.Sprintf("%q in %s", rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "name"), rapid.SampledFrom([]string{"request.headers", "request.query", "descriptor"}).Draw(t, "map"))
	}
}

// input draws a request, without HTTP or a descriptor now and then.
func input(t *rapid.T) *expression.Input {
	values := rapid.MapOfN(rapid.SampledFrom([]string{"x", "y", "z"}), wordOfInput, 0, 3)
	in := &expression.Input{}
	if rapid.IntRange(0, 9).Draw(t, "http") > 0 {
		in.HTTP = &request.HTTP{
			Method: wordOfInput.Draw(t, "method"), Path: wordOfInput.Draw(t, "path"), Host: wordOfInput.Draw(t, "host"), Source: wordOfInput.Draw(t, "source"),
		}
		if rapid.IntRange(0, 9).Draw(t, "lists") > 0 {
			in.HTTP.Headers, in.HTTP.Query = request.Values(values.Draw(t, "headers")), request.Values(values.Draw(t, "query"))
		}
	}
	if rapid.IntRange(0, 9).Draw(t, "descriptor") > 0 {
		in.Descriptor = &request.Descriptor{}
		for range rapid.IntRange(0, 4).Draw(t, "entries") {
			in.Descriptor.Entries = append(in.Descriptor.Entries, request.Entry{Key: rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "key"), Value: wordOfInput.Draw(t, "value")})
		}
	}
	return in
}
