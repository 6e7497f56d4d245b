package journal_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/sluice-dev/sluice/enforcer/internal/journal"
)

func open(t *testing.T, dir string) *journal.Journal {
	t.Helper()
	j, err := journal.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func TestTheLastContentIsReadBack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "folder")
	j := open(t, dir)
	if got, err := j.Load(journal.Document); got != nil || err != nil {
		t.Errorf("an empty journal loads as %q, %v, want nothing", got, err)
	}
	for _, content := range []string{"first, and rather long", "second"} {
		if err := j.Save(journal.Document, []byte(content)); err != nil {
			t.Fatal(err)
		}
		if got, err := open(t, dir).Load(journal.Document); string(got) != content || err != nil {
			t.Errorf("Load() = %q, %v, want %q", got, err, content)
		}
	}
	if got, err := j.Load(journal.Peers); got != nil || err != nil {
		t.Errorf("another record loads as %q, %v, want nothing", got, err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Errorf("%d files are left in the folder (%v), want one", len(files), err)
	}
}

func TestAFileThatACrashLeftBehindIsNotRead(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	if err := j.Save(journal.Document, []byte("whole")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "document.part"), []byte("ha"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := open(t, dir).Load(journal.Document); string(got) != "whole" || err != nil {
		t.Errorf("Load() = %q, %v, want the whole content", got, err)
	}
}

func TestWhatCannotBeWrittenIsAnError(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := journal.Open(file); err == nil {
		t.Error("a file was opened as the folder of a journal")
	}
	dir := filepath.Join(t.TempDir(), "gone")
	j := open(t, dir)
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if err := j.Save(journal.Document, []byte("x")); err == nil {
		t.Error("saved into a folder that is gone")
	}
	if err := os.MkdirAll(filepath.Join(dir, "document"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Load(journal.Document); err == nil {
		t.Error("loaded a folder")
	}
}
