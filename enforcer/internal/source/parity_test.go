package source_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-dev/sluice/enforcer/policy"
)

func glob(t *testing.T, patterns ...string) []string {
	t.Helper()
	var all []string
	for _, pattern := range patterns {
		files, err := filepath.Glob("../../../" + pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("no file matches %s (%v)", pattern, err)
		}
		all = append(all, files...)
	}
	return all
}

// Every policy that the API server refuses is refused here, in the same words.
// Pools are not looked at here.
func TestFilesAreRefusedAsByTheAPIServer(t *testing.T) {
	for _, file := range glob(t, "test/crd/invalid/*.yaml") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(text), "kind: EnforcerPool") {
				t.Skip("a pool")
			}
			first, _, _ := strings.Cut(string(text), "\n")
			want, ok := strings.CutPrefix(first, "# want: ")
			if !ok {
				t.Fatal("the first line is not '# want: MESSAGE'")
			}
			if _, err := newFiles(t, file, nil).Load(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("refused with\n  %v\nwant\n  %s", err, want)
			}
		})
	}
}

func TestFilesAreAcceptedAsByTheAPIServer(t *testing.T) {
	for _, path := range append(glob(t, "test/crd/valid/*.yaml"), glob(t, "config/samples")...) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			document, err := newFiles(t, path, nil).Load(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := policy.Compile(document); err != nil {
				t.Error(err)
			}
		})
	}
}
