package policy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/enforcer/policy"
)

// keyed returns a compiled limit with as many key parts, and overrides whose rates
// are their positions, counted from 1.
func keyed(t interface{ Fatal(...any) }, parts int, patterns ...[]string) *policy.CompiledLimit {
	l := plain().Limits[0]
	l.Key = slices.Repeat([]string{"request.path"}, parts)
	for i, p := range patterns {
		l.Overrides = append(l.Overrides, policy.Override{Key: p, Rate: &policy.Rate{Requests: int64(i + 1), Per: "1s"}})
	}
	s, err := policy.Compile(document(l))
	if err != nil {
		t.Fatal(err)
	}
	return s.Domain("web").Limits[0]
}

// found returns the position of the override that holds for a key, -1 for none.
func found(l *policy.CompiledLimit, parts ...string) int {
	e, ok := l.Override(parts)
	if !ok {
		return -1
	}
	return int(e.Quota.Requests) - 1
}

func TestTheFirstOverrideThatMatchesWins(t *testing.T) {
	one := keyed(t, 1, []string{"acme"}, []string{"ac*"}, []string{"acme"}, []string{"b"}, []string{"bb*"}, []string{"bbb"}, []string{""})
	for part, want := range map[string]int{
		"acme": 0, "acm": 1, "ac": 1, "a": -1, "b": 3, "bb": 4, "bbb": 4, "": 6, "ACME": -1, "*": -1,
	} {
		if got := found(one, part); got != want {
			t.Errorf("override %d holds for %q, want %d", got, part, want)
		}
	}
	all := keyed(t, 1, []string{"x"}, []string{"*"}, []string{"y"})
	for part, want := range map[string]int{"x": 0, "y": 1, "": 1} {
		if got := found(all, part); got != want {
			t.Errorf("override %d holds for %q, want %d: '*' is everything", got, part, want)
		}
	}
	two := keyed(t, 2, []string{"a", "b"}, []string{"a", "*"}, []string{"*", "b"}, []string{"ab", ""}, []string{"", "ab"})
	for parts, want := range map[string]int{"a b": 0, "a c": 1, "c b": 2, "c c": -1, "ab ": 3, " ab": 4} {
		left, right, _ := strings.Cut(parts, " ")
		if got := found(two, left, right); got != want {
			t.Errorf("override %d holds for %q and %q, want %d", got, left, right, want)
		}
	}
}

func TestUnlimitedAndDeny(t *testing.T) {
	l := plain().Limits[0]
	l.Overrides = []policy.Override{{Key: []string{"free"}, Unlimited: true}, {Key: []string{"banned-*"}, Deny: true}}
	s, err := policy.Compile(document(l))
	if err != nil {
		t.Fatal(err)
	}
	compiled := s.Domain("web").Limits[0]
	if e, ok := compiled.Override([]string{"free"}); !ok || !e.Unlimited || e.Deny {
		t.Errorf("unlimited: %+v, %v", e, ok)
	}
	if e, ok := compiled.Override([]string{"banned-1"}); !ok || e.Unlimited || !e.Deny || e.Quota.Requests != 0 {
		t.Errorf("deny: %+v, %v", e, ok)
	}
}

// TestOverridesAgainstAList compares the look-up with reading the list.
func TestOverridesAgainstAList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := []string{"", "a", "b", "ab", "aa", "abc"}
		parts := rapid.IntRange(1, 3).Draw(t, "parts")
		pattern := rapid.Custom(func(t *rapid.T) string {
			return rapid.SampledFrom(words).Draw(t, "word") + rapid.SampledFrom([]string{"", "", "*"}).Draw(t, "star")
		})
		patterns := rapid.SliceOfN(rapid.SliceOfN(pattern, parts, parts), 0, 20).Draw(t, "patterns")
		l := keyed(t, parts, patterns...)
		for range 10 {
			key := rapid.SliceOfN(rapid.SampledFrom(words), parts, parts).Draw(t, "key")
			want := slices.IndexFunc(patterns, func(p []string) bool {
				for i := range p {
					if prefix, star := strings.CutSuffix(p[i], "*"); p[i] != key[i] && (!star || !strings.HasPrefix(key[i], prefix)) {
						return false
					}
				}
				return true
			})
			if got := found(l, key...); got != want {
				t.Fatalf("override %d of %q holds for %q, want %d", got, patterns, key, want)
			}
		}
	})
}

func BenchmarkOverrides(b *testing.B) {
	var patterns [][]string
	for i := range policy.MaxOverrides {
		patterns = append(patterns, []string{fmt.Sprint("client-", i)})
	}
	l := keyed(b, 1, patterns...)
	key := []string{"client-200"}
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := l.Override(key); !ok {
			b.Fatal("no override holds")
		}
	}
}
