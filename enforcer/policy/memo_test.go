package policy_test

import (
	"fmt"
	"testing"

	"github.com/sluice-dev/sluice/enforcer/policy"
)

// An expression is compiled once for as long as a document has it.
func TestACompilerRemembersTheLastDocument(t *testing.T) {
	keyed := func(key string) *policy.Document {
		l := plain().Limits[0]
		l.Key = []string{key}
		return document(l)
	}
	const path, host, typo = "request.path", "request.host", "request.pth"
	var c policy.Compiler
	var last *policy.CompiledLimit
	for _, step := range []struct {
		key       string
		wantAgain bool // it is the one of the step before
	}{{path, false}, {path, true}, {host, false}, {path, false}, {path, true}} {
		s, err := c.Compile(keyed(step.key))
		if err != nil {
			t.Fatal(err)
		}
		l := s.Domain("web").Limits[0]
		if got := l.Key[0].Source(); got != step.key {
			t.Errorf("compiled %q, want %q", got, step.key)
		}
		if again := last != nil && l.Key[0] == last.Key[0]; again != step.wantAgain {
			t.Errorf("%s: compiled once for both documents: %v, want %v", step.key, again, step.wantAgain)
		}
		last = l
	}
	for range 2 {
		if _, err := c.Compile(keyed(typo)); err == nil {
			t.Error("a faulty expression was compiled")
		}
	}
}

// BenchmarkCompileThousand compiles a thousand policies of which one has changed, by
// a Compiler that knows the others, and as if all were new.
func BenchmarkCompileThousand(b *testing.B) {
	d := &policy.Document{Version: policy.Version, Pool: "default"}
	for i := range 1000 {
		p := plain()
		p.Name = fmt.Sprint("policy-", i)
		p.Domain = p.Name
		p.Limits[0].When = []string{fmt.Sprintf("request.path.startsWith('/team-%d/')", i), "request.method != 'GET'"}
		d.Policies = append(d.Policies, p)
	}
	var known policy.Compiler
	for name, compile := range map[string]func(*policy.Document) (*policy.Snapshot, error){"one of them is new": known.Compile, "all are new": policy.Compile} {
		b.Run(name, func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				d.Policies[0].Limits[0].When[0] = fmt.Sprintf("request.path.startsWith('/%d/')", i)
				if _, err := compile(d); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
