package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/sluice-dev/sluice/enforcer/assemble"
	"github.com/sluice-dev/sluice/enforcer/internal/schema"
	"github.com/sluice-dev/sluice/enforcer/policy"
)

const (
	// maxFile bounds one file of policies, in bytes.
	maxFile = 64 << 20

	// settle is how long files must be left alone before they are read: an editor
	// makes several changes to save one file.
	settle = 50 * time.Millisecond

	// pollEvery is how often files are looked at without having been told of a
	// change: not every file system tells.
	pollEvery = 5 * time.Second
)

// Files reads the policies of a file, or of all .yaml, .yml and .json files of a
// folder (not of those below it), and watches them. Make one with NewFiles.
//
// All of them together are one pool: spec.poolRef is not looked at. Either
// everything is in order or nothing changes.
type Files struct {
	path   string
	pool   string
	parser parser
	log    *slog.Logger
	poll   time.Duration

	// What the last Load found: the files as they looked before it read them, and
	// the digest of its document or the text of its error.
	last           []file
	digest, failed string
}

// NewFiles returns a source of the policies at path, checked against the
// CustomResourceDefinition of RateLimitPolicy in YAML.
func NewFiles(path, pool string, crd []byte, log *slog.Logger) (*Files, error) {
	s, err := schema.New(crd)
	if err != nil {
		return nil, err
	}
	return &Files{path: filepath.Clean(path), pool: pool, parser: parser{s, log}, log: log, poll: pollEvery}, nil
}

// Load reads the files now. The error names every file, document and field that
// is wrong.
func (f *Files) Load(ctx context.Context) (*policy.Document, error) {
	f.last = f.signature()
	document, err := f.load(ctx)
	if err != nil {
		f.digest, f.failed = "", err.Error()
		return nil, err
	}
	f.digest, f.failed = document.Digest(), ""
	return document, nil
}

func (f *Files) load(ctx context.Context) (*policy.Document, error) {
	files, err := f.list()
	if err != nil {
		return nil, err
	}
	var policies []located
	var errs []error
	for _, file := range files {
		content, err := read(file.path)
		if err == nil {
			var found []located
			found, err = f.parser.parse(ctx, file.path, content)
			policies = append(policies, found...)
		}
		errs = append(errs, err)
	}
	if err := errors.Join(append(errs, duplicates(policies)...)...); err != nil {
		return nil, err
	}
	return f.assemble(policies)
}

// assemble makes one document of all policies, or says which of them it refuses.
func (f *Files) assemble(policies []located) (*policy.Document, error) {
	in := assemble.Input{Pool: f.pool}
	for i := range policies {
		in.Policies = append(in.Policies, policies[i].RateLimitPolicy)
	}
	result := assemble.Document(in)
	var errs []error
	for i := range policies {
		outcome := result.Outcomes[nameOf(&policies[i])]
		if !outcome.Accepted() {
			errs = append(errs, fmt.Errorf("%s: %s: %s", policies[i].at, outcome.Reason, outcome.Message))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return result.Document, nil
}

// Run calls update, never concurrently, for every change of the files since the
// last Load, until ctx ends.
func (f *Files) Run(ctx context.Context, update func(Update)) {
	changed, stop := f.watch()
	defer stop()
	settled := time.NewTimer(settle)
	poll := time.NewTicker(f.poll)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
			settled.Reset(settle)
		case <-settled.C:
			f.look(ctx, update)
		case <-poll.C:
			f.look(ctx, update)
		}
	}
}

// look reads the files if they look different, and hands on what that says if it
// is news.
func (f *Files) look(ctx context.Context, update func(Update)) {
	if slices.Equal(f.signature(), f.last) {
		return
	}
	digest, failed := f.digest, f.failed
	document, err := f.Load(ctx)
	switch {
	case ctx.Err() != nil:
	case err != nil && f.failed != failed:
		update(Update{Err: err})
	case err == nil && f.digest != digest:
		update(Update{Document: document})
	}
}

// watch returns a channel that has something in it after a change, and what ends
// that. The folder is watched even for a single file: editors, and mounted
// ConfigMaps, replace files rather than write them.
func (f *Files) watch() (changed <-chan struct{}, stop func()) {
	folder := f.path
	if info, err := os.Stat(f.path); err == nil && !info.IsDir() {
		folder = filepath.Dir(f.path)
	}
	watcher, err := fsnotify.NewWatcher()
	if err == nil {
		if err = watcher.Add(folder); err != nil {
			_ = watcher.Close()
		}
	}
	if err != nil {
		f.log.Warn("cannot watch the files; looking at them from time to time", "folder", folder, "every", f.poll, "error", err)
		return nil, func() {}
	}
	signal, done := make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(done)
		for ok := true; ok; {
			// An error means that events were lost: something may have changed.
			select {
			case _, ok = <-watcher.Events:
			case _, ok = <-watcher.Errors:
			}
			select {
			case signal <- struct{}{}:
			default:
			}
		}
	}()
	return signal, func() { _ = watcher.Close(); <-done }
}

// file is what can be seen of a file from outside.
type file struct {
	path     string
	size     int64
	modified time.Time
	err      string // why it could not be looked at
}

// list returns the files to read, in order of their names.
func (f *Files) list() ([]file, error) {
	info, err := os.Stat(f.path)
	if err != nil {
		return nil, fmt.Errorf("policies: %w", err)
	}
	if !info.IsDir() {
		return []file{{path: f.path, size: info.Size(), modified: info.ModTime()}}, nil
	}
	entries, err := os.ReadDir(f.path)
	if err != nil {
		return nil, fmt.Errorf("policies: %w", err)
	}
	var files []file
	for _, e := range entries {
		if !isPolicyFile(e.Name()) {
			continue
		}
		path := filepath.Join(f.path, e.Name())
		info, err := os.Stat(path) // follows links, which a mounted ConfigMap consists of
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, fmt.Errorf("policies: %w", err)
		case info.Mode().IsRegular():
			files = append(files, file{path: path, size: info.Size(), modified: info.ModTime()})
		}
	}
	return files, nil
}

// isPolicyFile tells policies from what else lies in a folder of them: hidden
// files, which editors leave behind, and the kustomization that lists them.
func isPolicyFile(name string) bool {
	switch {
	case strings.HasPrefix(name, "."), strings.EqualFold(name, "kustomization.yaml"), strings.EqualFold(name, "kustomization.yml"):
		return false
	}
	return slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(name))
}

// signature changes when a file does.
func (f *Files) signature() []file {
	files, err := f.list()
	if err != nil {
		return []file{{err: err.Error()}}
	}
	return files
}

func read(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("policies: %w", err)
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("policies: %s has %d bytes, more than %d: split it", path, info.Size(), maxFile)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("policies: %w", err)
	}
	return content, nil
}

// duplicates tells of policies that are written twice: which one counts would be
// a matter of chance.
func duplicates(policies []located) []error {
	sorted := slices.SortedStableFunc(slices.Values(policies), func(a, b located) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	var errs []error
	for i := 1; i < len(sorted); i++ {
		if nameOf(&sorted[i]) == nameOf(&sorted[i-1]) {
			errs = append(errs, fmt.Errorf("%s: this policy is also in %s: keep one of them", sorted[i].at, sorted[i-1].at))
		}
	}
	return errs
}
