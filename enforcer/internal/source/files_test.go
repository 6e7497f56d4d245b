package source_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/config/crd"
	"github.com/sluice-dev/sluice/enforcer/internal/source"
	"github.com/sluice-dev/sluice/enforcer/policy"
)

func newFiles(t testing.TB, path string, log *slog.Logger) *source.Files {
	t.Helper()
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	f, err := source.NewFiles(path, "default", crd.RateLimitPolicies, log)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// write makes the files of a folder; a name that begins with "-" is removed.
func write(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if content == "" {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			continue
		}
		// As editors do: a new file takes the place of the old one.
		if err := os.WriteFile(path+"~", []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+"~", path); err != nil {
			t.Fatal(err)
		}
	}
}

func rlp(namespace, name string, requests int) string {
	return fmt.Sprintf(`apiVersion: sluice.dev/v1alpha1
kind: RateLimitPolicy
metadata: {name: %s, namespace: %s}
spec: {limits: [{name: all, rate: {requests: %d, per: 1s}}]}
`, name, namespace, requests)
}

// summary is what matters of a document here.
func summary(d *policy.Document) []string {
	var out []string
	for _, p := range d.Policies {
		out = append(out, fmt.Sprintf("%s/%s generation %d domain %s: %d", p.Namespace, p.Name, p.Generation, p.Domain, p.Limits[0].Rate.Requests))
	}
	return out
}

func TestFilesAreReadAsOneDocument(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"a.yaml":             "# nothing but a comment\n---\n" + rlp("shop", "web", 1) + "---\n" + rlp("shop", "api", 2),
		"b.json":             `{"apiVersion": "sluice.dev/v1alpha1", "kind": "RateLimitPolicy", "metadata": {"name": "json"}, "spec": {"domain": "d", "limits": [{"name": "all", "rate": {"requests": 3, "per": "1s"}}]}}`,
		"c.yml":              "apiVersion: v1\nkind: List\nitems:\n- " + strings.ReplaceAll(strings.TrimSpace(rlp("bank", "web", 4)), "\n", "\n  "),
		"kustomization.yaml": "resources: [a.yaml]",
		"pool.yaml":          "apiVersion: sluice.dev/v1alpha1\nkind: EnforcerPool\nmetadata: {name: default}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop}",
		"README.md":          "not YAML: [",
		".hidden.yaml":       "not YAML: [",
	})
	if err := os.Mkdir(filepath.Join(dir, "folder.yaml"), 0o700); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	document, err := newFiles(t, dir, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))).Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"bank/web generation 1 domain bank.web: 4",
		"default/json generation 1 domain d: 3",
		"shop/api generation 1 domain shop.api: 2",
		"shop/web generation 1 domain shop.web: 1",
	}
	if diff := cmp.Diff(want, summary(document)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !strings.Contains(log.String(), "kind=Namespace") || !strings.Contains(log.String(), "kind=EnforcerPool") {
		t.Errorf("the log does not tell of the kinds that were ignored:\n%s", log.String())
	}
	if _, err := policy.Compile(document); err != nil {
		t.Error(err)
	}
}

func TestWhatIsWrongIsNamedByFileDocumentAndField(t *testing.T) {
	good := rlp("shop", "web", 1)
	for _, c := range []struct {
		name  string
		files map[string]string
		want  []string
	}{
		{"a value out of range", map[string]string{"a.yaml": good + "---\n" + rlp("shop", "bad", 0)}, []string{"a.yaml, document 2 (shop/bad): spec.limits[0].rate.requests: Invalid value: 0"}},
		{"mistakes in two files", map[string]string{"a.yaml": rlp("shop", "a", 0), "b.yaml": rlp("shop", "b", -1)}, []string{"a.yaml, document 1 (shop/a)", "b.yaml, document 1 (shop/b)"}},
		{"an unknown field", map[string]string{"a.yaml": strings.Replace(good, "per:", "perr: 1s, per:", 1)}, []string{`a.yaml, document 1 (shop/web): unknown field "spec.limits[0].rate.perr"`}},
		{"an expression that does not compile", map[string]string{"a.yaml": strings.Replace(good, "name: all,", `name: all, when: ["request.pth == 'x'"],`, 1)}, []string{"a.yaml, document 1 (shop/web): Invalid: spec.limits[0].when[0]: 1:"}},
		{"a domain of another namespace", map[string]string{"a.yaml": good + "---\n" + strings.Replace(rlp("bank", "web", 1), "spec: {", "spec: {domain: shop.web, ", 1)}, []string{"(shop/web): DomainConflict: the domain \"shop.web\" belongs to namespace bank"}},
		{"a policy that is there twice", map[string]string{"a.yaml": good, "b.yaml": good}, []string{"b.yaml, document 1 (shop/web): this policy is also in ", "a.yaml, document 1 (shop/web): keep one of them"}},
		{"no YAML", map[string]string{"a.yaml": "a: [b"}, []string{"a.yaml, document 1: "}},
		{"a key that is there twice", map[string]string{"a.yaml": "kind: a\nkind: b"}, []string{"a.yaml, document 1: ", "already"}},
		{"no object", map[string]string{"a.yaml": "- a\n- b"}, []string{"a.yaml, document 1: this is no Kubernetes object"}},
		{"no kind", map[string]string{"a.yaml": "limits: 5"}, []string{"a.yaml, document 1: this is no Kubernetes object: give it an apiVersion and a kind"}},
		{"an unknown kind of this group", map[string]string{"a.yaml": strings.Replace(good, "RateLimitPolicy", "RateLimitPolicies", 1)}, []string{"a.yaml, document 1 (shop/web): this is sluice.dev/v1alpha1 RateLimitPolicies: use sluice.dev/v1alpha1 RateLimitPolicy"}},
		{"an unknown version of this group", map[string]string{"a.yaml": strings.Replace(good, "v1alpha1", "v2", 1)}, []string{"use sluice.dev/v1alpha1 RateLimitPolicy"}},
		{"a list without items", map[string]string{"a.yaml": "apiVersion: v1\nkind: List"}, []string{"a.yaml, document 1: items: write a list"}},
		{"a list of no objects", map[string]string{"a.yaml": "apiVersion: v1\nkind: List\nitems: [5]"}, []string{"a.yaml, document 1, items[0]: this is no object"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, c.files)
			document, err := newFiles(t, dir, nil).Load(t.Context())
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("Load() = %v, %v, want an error with %q", document, err, want)
				}
			}
		})
	}
	t.Run("a path that does not exist", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "nowhere")
		if _, err := newFiles(t, path, nil).Load(t.Context()); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("Load() = %v, want an error that names the path", err)
		}
	})
}

// follow runs a source and returns its updates.
func follow(t *testing.T, f *source.Files) <-chan source.Update {
	t.Helper()
	if _, err := f.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	updates, done := make(chan source.Update, 100), make(chan struct{})
	go func() {
		defer close(done)
		f.Run(t.Context(), func(u source.Update) { updates <- u })
	}()
	t.Cleanup(func() { <-done })
	return updates
}

// next returns the next update in the form that the tests compare.
func next(t *testing.T, updates <-chan source.Update) string {
	t.Helper()
	select {
	case u := <-updates:
		if u.Err != nil {
			return "error: " + u.Err.Error()
		}
		return strings.Join(summary(u.Document), "; ")
	case <-time.After(20 * time.Second):
		t.Fatal("no update within 20 s")
		return ""
	}
}

func TestChangesAreFollowed(t *testing.T) {
	const web = "shop/web generation 1 domain shop.web: "
	dir := t.TempDir()
	write(t, dir, map[string]string{"a.yaml": rlp("shop", "web", 1)})
	updates := follow(t, newFiles(t, dir, nil))

	write(t, dir, map[string]string{"a.yaml": rlp("shop", "web", 2)})
	if got := next(t, updates); got != web+"2" {
		t.Errorf("after a change: %s", got)
	}
	write(t, dir, map[string]string{"a.yaml": rlp("shop", "web", 0)})
	if got := next(t, updates); !strings.HasPrefix(got, "error: ") || !strings.Contains(got, "a.yaml, document 1") {
		t.Errorf("after a mistake: %s", got)
	}
	write(t, dir, map[string]string{"a.yaml": rlp("shop", "web", 2)})
	if got := next(t, updates); got != web+"2" {
		t.Errorf("after the mistake was taken back: %s", got)
	}
	write(t, dir, map[string]string{"b.yaml": rlp("shop", "api", 3)})
	if got := next(t, updates); got != "shop/api generation 1 domain shop.api: 3; "+web+"2" {
		t.Errorf("after another file came: %s", got)
	}
	write(t, dir, map[string]string{"a.yaml": ""})
	if got := next(t, updates); got != "shop/api generation 1 domain shop.api: 3" {
		t.Errorf("after the first file went: %s", got)
	}
	write(t, dir, map[string]string{"b.yaml": "# another comment\n" + rlp("shop", "api", 3)})
	write(t, dir, map[string]string{"c.yaml": rlp("shop", "last", 4)})
	if got := next(t, updates); !strings.Contains(got, "shop/last") {
		t.Errorf("a change of a comment was told of: %s", got)
	}
}

func TestASingleFileIsFollowed(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"a.yaml": rlp("shop", "web", 1), "b.yaml": "not YAML: ["})
	updates := follow(t, newFiles(t, filepath.Join(dir, "a.yaml"), nil))
	write(t, dir, map[string]string{"a.yaml": rlp("shop", "web", 2)})
	if got := next(t, updates); got != "shop/web generation 1 domain shop.web: 2" {
		t.Errorf("after a change: %s", got)
	}
}

func TestAFolderThatIsReplacedIsFoundByPolling(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "policies")
	create := func(requests int) {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, dir, map[string]string{"a.yaml": rlp("shop", "web", requests)})
	}
	create(1)
	f := newFiles(t, dir, nil)
	f.PollEvery(20 * time.Millisecond)
	updates := follow(t, f)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if got := next(t, updates); !strings.HasPrefix(got, "error: ") {
		t.Errorf("after the folder went: %s", got)
	}
	create(2)
	// The folder may be seen before its file is there.
	got := next(t, updates)
	if got == "" {
		got = next(t, updates)
	}
	if got != "shop/web generation 1 domain shop.web: 2" {
		t.Errorf("after the folder came back: %s", got)
	}
}

func FuzzFiles(f *testing.F) {
	f.Add([]byte(rlp("shop", "web", 1)))
	f.Add([]byte("a: &a [*a]\n---\n- 1"))
	f.Add([]byte("apiVersion: v1\nkind: List\nitems: [{}, 5, {apiVersion: v1, kind: List, items: []}]"))
	f.Add([]byte("apiVersion: sluice.dev/v1alpha1\nkind: RateLimitPolicy\nmetadata: 5\nspec: {limits: {}}"))
	f.Add([]byte("apiVersion: sluice.dev/v1alpha1\nkind: RateLimitPolicy\nmetadata: {name: 5, labels: {a: 1}}\nspec: null"))
	dir := f.TempDir()
	files := newFiles(f, dir, nil)
	f.Fuzz(func(t *testing.T, content []byte) {
		write(t, dir, map[string]string{"a.yaml": string(content) + "\n"})
		document, err := files.Load(t.Context())
		if err != nil {
			return
		}
		if _, err := policy.Compile(document); err != nil {
			t.Errorf("what was accepted does not compile: %v", err)
		}
	})
}
