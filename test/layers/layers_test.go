// Package layers checks the architecture: which package may import which, and
// what the pure core may not touch. The rules carry their reasons, and a rule
// that matches nothing any more fails too.
package layers

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/sluice-dev/sluice/"

// row is one layer. A package may import packages of lower rows only; a path
// that ends in "/..." stands for every package below it.
type row struct {
	packages []string
	reason   string
}

// rows are the layers, lowest first.
var rows = []row{
	{[]string{"internal/certtest", "internal/loopback"}, "what tests show each other, and where they listen, knows nothing of Sluice"},
	{[]string{"api/v1alpha1", "config/crd"}, "clients of the API must not inherit the operator"},
	{[]string{"enforcer/limit", "enforcer/gossipkey"}, "the words that everything else is written in"},
	{[]string{"enforcer/request", "enforcer/decide"}, "arithmetic knows no requests, and a request knows no arithmetic"},
	{[]string{"enforcer/share", "enforcer/ring"}, "what nodes tell of a counter, and which node is asked, are arithmetic too"},
	{[]string{"enforcer/expression"}, "expressions read requests and nothing else"},
	{[]string{"enforcer/policy"}, "a document compiles without knowing where it is enforced"},
	{[]string{"enforcer/match", "enforcer/account"}, "what to charge and what has been charged are separate questions"},
	{[]string{"enforcer/gossip", "enforcer/lease"}, "sharing sees counters, not requests"},
	{[]string{"enforcer/engine"}, "one node, still without I/O"},
	{[]string{"enforcer/requestjson"}, "how a request is written down"},
	{[]string{"enforcer/internal/follow"}, "how files are read that change"},
	{[]string{"enforcer/report", "enforcer/discovery", "enforcer/assemble", "enforcer/configmap", "enforcer/quotafields", "enforcer/inspect", "enforcer/jsonhttp", "enforcer/internal/schema", "enforcer/internal/seal", "internal/heap", "internal/version"}, "tools that several edges use"},
	{[]string{"enforcer/rls", "enforcer/httpcheck", "enforcer/admin", "enforcer/internal/...", "controllers/..."}, "edges: no edge imports another"},
	{[]string{"enforcer", "enforcer/files"}, "wires the edges around one engine, or reads policies as it does"},
	{[]string{"plugin"}, "asks enforcers from outside"},
	{[]string{"internal/load"}, "what programs and tests measure with"},
	{[]string{"cmd/...", "hack/...", "test/..."}, "programs and tests"},
}

// only narrows what a package may import of this module, beyond its row.
var only = []struct {
	importer string
	allowed  []string
	reason   string
}{
	{"api/v1alpha1", nil, "the API types depend on Kubernetes' own only"},
	{"controllers/workload", []string{"api/v1alpha1"}, "what is built is a function of the API types"},
	{
		"controllers",
		[]string{"api/v1alpha1", "controllers/workload", "enforcer/limit", "enforcer/policy", "enforcer/assemble", "enforcer/configmap", "enforcer/discovery", "enforcer/gossipkey", "enforcer/report", "internal/version"},
		"the manager shares documents and reports with the enforcer, never its insides",
	},
	{"cmd/enforcer", []string{"enforcer", "enforcer/account", "internal/heap", "internal/version"}, "main only: flags, Options, Run"},
	{"cmd/kubectl-sluice", []string{"enforcer/requestjson", "internal/version", "plugin"}, "main only: flags, Options, Run"},
	{
		"plugin",
		[]string{"api/v1alpha1", "enforcer/assemble", "enforcer/files", "enforcer/inspect", "enforcer/policy", "enforcer/report"},
		"the plugin knows what enforcers say, never how they decide",
	},
	{"cmd/manager", []string{"api/v1alpha1", "controllers", "enforcer/discovery", "internal/heap", "internal/version"}, "main only: flags, wiring, start"},
	{"enforcer/rls", []string{"enforcer/limit", "enforcer/request", "enforcer/quotafields"}, "a front end holds a Decider, never the engine"},
	{"enforcer/httpcheck", []string{"enforcer/limit", "enforcer/request", "enforcer/requestjson", "enforcer/jsonhttp", "enforcer/quotafields"}, "a front end holds a Decider, never the engine"},
}

// pure packages are functions of their arguments: a thousand of them run in one
// process in virtual time, and a run is a function of (script, seed).
var pure = []string{
	"enforcer/limit", "enforcer/request", "enforcer/expression", "enforcer/policy", "enforcer/decide",
	"enforcer/match", "enforcer/account", "enforcer/gossip", "enforcer/lease", "enforcer/engine",
}

var impureImports = []string{"net", "net/http", "os", "log", "log/slog", "math/rand", "math/rand/v2", "crypto/rand", "runtime/debug", "github.com/prometheus/client_golang/..."}

var clockFuncs = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}

// pkg is the part of `go list -json` that the rules read.
type pkg struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	Imports    []string
}

func (p pkg) name() string { return strings.TrimPrefix(p.ImportPath, module) }

func TestPackagesImportOnlyFromLowerRows(t *testing.T) {
	for _, p := range list(t) {
		from := rowOf(p.name())
		if from < 0 {
			t.Errorf("%s is in no row: add it to rows in this test, with a reason", p.name())
			continue
		}
		for _, imported := range ours(p) {
			to := rowOf(imported)
			switch {
			case to < 0 || to < from || sameTree(p.name(), imported):
			case to == from:
				t.Errorf("%s imports %s of its own row: %s", p.name(), imported, rows[from].reason)
			default:
				t.Errorf("%s imports %s of a higher row: %s", p.name(), imported, rows[to].reason)
			}
		}
	}
}

func TestNarrowImports(t *testing.T) {
	packages := list(t)
	for _, rule := range only {
		i := slices.IndexFunc(packages, func(p pkg) bool { return p.name() == rule.importer })
		if i < 0 {
			t.Errorf("the rule for %s matches no package: delete it", rule.importer)
			continue
		}
		for _, imported := range ours(packages[i]) {
			if !slices.Contains(rule.allowed, imported) {
				t.Errorf("%s imports %s: %s", rule.importer, imported, rule.reason)
			}
		}
	}
}

func TestTheCoreIsPure(t *testing.T) {
	packages := list(t)
	for _, name := range pure {
		i := slices.IndexFunc(packages, func(p pkg) bool { return p.name() == name })
		if i < 0 {
			t.Errorf("%s is listed as pure but does not exist: delete it", name)
			continue
		}
		for _, imported := range packages[i].Imports {
			if slices.ContainsFunc(impureImports, func(pattern string) bool { return matches(pattern, imported) }) {
				t.Errorf("%s imports %s: the core does no I/O and takes time and randomness as arguments", name, imported)
			}
		}
		for _, file := range packages[i].GoFiles {
			checkPureFile(t, filepath.Join(packages[i].Dir, file))
		}
	}
}

// checkPureFile reports goroutines and clock readings.
func checkPureFile(t *testing.T, path string) {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			t.Errorf("%s starts a goroutine: the core has none", files.Position(n.Pos()))
		case *ast.SelectorExpr:
			if id, ok := n.X.(*ast.Ident); ok && id.Name == "time" && slices.Contains(clockFuncs, n.Sel.Name) {
				t.Errorf("%s uses time.%s: time is an argument of the core", files.Position(n.Pos()), n.Sel.Name)
			}
		}
		return true
	})
}

// list returns the packages of this module that have non-test Go files.
func list(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Dir,GoFiles,Imports", module+"...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(fmt.Errorf("output of go list: %w", err))
		}
		if len(p.GoFiles) > 0 {
			all = append(all, p)
		}
	}
}

// ours returns the imports of p that belong to this module, without its prefix.
func ours(p pkg) []string {
	var names []string
	for _, i := range p.Imports {
		if name, ok := strings.CutPrefix(i, module); ok {
			names = append(names, name)
		}
	}
	return names
}

func rowOf(name string) int {
	return slices.IndexFunc(rows, func(r row) bool {
		return slices.ContainsFunc(r.packages, func(pattern string) bool { return matches(pattern, name) })
	})
}

func matches(pattern, name string) bool {
	prefix, below := strings.CutSuffix(pattern, "/...")
	return name == prefix || below && strings.HasPrefix(name, prefix+"/")
}

// sameTree says whether one package lies below the other: such pairs are one
// thing in several folders.
func sameTree(a, b string) bool {
	return strings.HasPrefix(a, b+"/") || strings.HasPrefix(b, a+"/")
}
