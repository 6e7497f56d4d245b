package expression

import (
	"strings"
	"unicode/utf8"
)

// lowerASCII lowers the letters A to Z, and nothing else. Where there is nothing
// to do it allocates nothing.
func lowerASCII(s string) string {
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= 'Z' || s[i] >= utf8.RuneSelf {
			return strings.Map(func(r rune) rune { return shift(r, 'A', 'a') }, s)
		}
	}
	return s
}

// upperASCII raises the letters a to z, and nothing else.
func upperASCII(s string) string {
	for i := range len(s) {
		if 'a' <= s[i] && s[i] <= 'z' || s[i] >= utf8.RuneSelf {
			return strings.Map(func(r rune) rune { return shift(r, 'a', 'A') }, s)
		}
	}
	return s
}

// shift moves a letter of the alphabet that begins at from to the one that
// begins at to.
func shift(r, from, to rune) rune {
	if from <= r && r < from+26 {
		return r - from + to
	}
	return r
}
