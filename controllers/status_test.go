package controllers

import (
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestShorten(t *testing.T) {
	tests := map[string]struct {
		text string
		n    int
		want string
	}{
		"what fits stays":                {"abcdef", 6, "abcdef"},
		"what does not gets an ellipsis": {"abcdefg", 6, "abc…"},
		"no character is cut in two":     {"aééé", 6, "aé…"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := shorten(tc.text, tc.n); got != tc.want {
				t.Errorf("shorten(%q, %d) = %q, want %q", tc.text, tc.n, got, tc.want)
			}
		})
	}
	rapid.Check(t, func(t *rapid.T) {
		text, n := rapid.String().Draw(t, "text"), rapid.IntRange(3, 40).Draw(t, "n")
		if got := shorten(text, n); len(got) > n || !utf8.ValidString(got) {
			t.Fatalf("shorten(%q, %d) = %q", text, n, got)
		}
	})
}

func TestEnumerate(t *testing.T) {
	tests := map[string]struct {
		list []string
		want string
	}{
		"one":              {[]string{"a"}, "a"},
		"three":            {[]string{"a", "b", "c"}, "a; b; c"},
		"more are counted": {[]string{"a", "b", "c", "d", "e"}, "a; b; c; and 2 more"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := enumerate(tc.list); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}
