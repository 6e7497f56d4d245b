package policy

import "strings"

// overrides finds the first override that matches a client. Overrides whose
// patterns are all exact are found by hashing, so that a long list of named
// clients costs one look-up; the others are tried in order.
type overrides struct {
	exact    map[string]int // joined parts → position of the first override with them
	patterns []int          // positions of the overrides that have a '*'
	all      []override
}

type override struct {
	parts     []pattern
	exception Exception
}

// pattern matches one part of a key: '*' is a prefix of nothing.
type pattern struct {
	text   string
	prefix bool
}

func parsePattern(s string) pattern {
	text, prefix := strings.CutSuffix(s, "*")
	return pattern{text, prefix}
}

// String returns the pattern as it was written.
func (p pattern) String() string {
	if p.prefix {
		return p.text + "*"
	}
	return p.text
}

func (p pattern) match(s string) bool {
	if p.prefix {
		return strings.HasPrefix(s, p.text)
	}
	return s == p.text
}

// add appends an override.
func (o *overrides) add(patterns []string, e Exception) {
	at := len(o.all)
	next := override{exception: e}
	exact := true
	for _, p := range patterns {
		parsed := parsePattern(p)
		next.parts = append(next.parts, parsed)
		exact = exact && !parsed.prefix
	}
	o.all = append(o.all, next)
	if !exact {
		o.patterns = append(o.patterns, at)
		return
	}
	if o.exact == nil {
		o.exact = map[string]int{}
	}
	if joined := string(joinParts(nil, patterns)); !has(o.exact, joined) {
		o.exact[joined] = at
	}
}

// find returns the exception of the first override that matches.
func (o *overrides) find(parts []string) (Exception, bool) {
	at := o.at(parts)
	if at < 0 {
		return Exception{}, false
	}
	return o.all[at].exception, true
}

// at returns the position of the first override that matches, or -1.
func (o *overrides) at(parts []string) int {
	if len(o.all) == 0 {
		return -1
	}
	best := len(o.all)
	if len(o.exact) > 0 {
		var room [128]byte
		if at, ok := o.exact[string(joinParts(room[:0], parts))]; ok {
			best = at
		}
	}
	for _, at := range o.patterns {
		if at >= best {
			break
		}
		if o.all[at].match(parts) {
			best = at
			break
		}
	}
	if best == len(o.all) {
		return -1
	}
	return best
}

func (o *override) match(parts []string) bool {
	if len(parts) != len(o.parts) {
		return false
	}
	for i, p := range o.parts {
		if !p.match(parts[i]) {
			return false
		}
	}
	return true
}

// joinParts joins parts so that different lists never look the same: each is
// followed by its length.
func joinParts(out []byte, parts []string) []byte {
	for _, p := range parts {
		out = append(out, p...)
		out = append(out, byte(len(p)>>24), byte(len(p)>>16), byte(len(p)>>8), byte(len(p)))
	}
	return out
}

func has(m map[string]int, key string) bool {
	_, ok := m[key]
	return ok
}
