// Package follow reads files again as they change: those of a mounted Secret or
// ConfigMap, which the kubelet replaces, and those that somebody edits.
package follow

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

const (
	// lookEvery is how often the files are read again. That is often enough: a mounted
	// Secret follows its object within a minute or so.
	lookEvery = 2 * time.Second

	// maxFile bounds a file in bytes, as the API server bounds a Secret.
	maxFile = 1 << 20
)

// Files are read as one: what is in one of them may go with what is in another.
// Make them with Open.
type Files struct {
	paths   []string
	last    reading // what was read last
	settled reading // what was read twice in a row, and handed on
}

// reading is what some files had in them, in order, or why that could not be read.
type reading struct {
	texts []string
	err   string
}

func (r reading) equal(o reading) bool { return r.err == o.err && slices.Equal(r.texts, o.texts) }

// Open reads files and returns what is in each. The error names the file.
func Open(paths ...string) (*Files, [][]byte, error) {
	f := &Files{paths: paths}
	texts, err := f.read()
	f.settled = readingOf(texts, err)
	return f, texts, err
}

// Run reads the files every few seconds until ctx ends. It calls changed with what
// is in each of them, or with why one cannot be read, when that is something else
// than it was and has stayed the same for two looks: half a file may read like a
// whole one, and a certificate may be there before its key.
func (f *Files) Run(ctx context.Context, changed func(texts [][]byte, err error)) {
	every := time.NewTicker(lookEvery)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
			f.look(changed)
		}
	}
}

// look reads the files once. Their contents are compared, not their dates: a mounted
// Secret is replaced by swapping links.
func (f *Files) look(changed func([][]byte, error)) {
	texts, err := f.read()
	now := readingOf(texts, err)
	stays := now.equal(f.last)
	f.last = now
	if stays && !now.equal(f.settled) {
		f.settled = now
		changed(texts, err)
	}
}

func (f *Files) read() (texts [][]byte, err error) {
	for _, path := range f.paths {
		text, err := read(path)
		if err != nil {
			return nil, err
		}
		texts = append(texts, text)
	}
	return texts, nil
}

func readingOf(texts [][]byte, err error) (r reading) {
	if err != nil {
		return reading{err: err.Error()}
	}
	for _, text := range texts {
		r.texts = append(r.texts, string(text))
	}
	return r
}

func read(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // it was only read
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%s has more than %d bytes", path, maxFile)
	}
	return text, err
}
