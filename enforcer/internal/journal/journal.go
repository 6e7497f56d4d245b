// Package journal keeps the last policy document of an enforcer on disk, so that
// one that restarts while everything else is away goes on with it.
package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	name = "document"
	part = "document.part" // not whole yet

	// maxSize bounds what is read back: more than any pool's document.
	maxSize = 256 << 20
)

// Journal is a folder with one file in it. It is not safe for concurrent use by
// several writers. Make one with Open.
type Journal struct{ dir string }

// Open makes the folder when it is not there, and finds out whether it can be
// written to.
func Open(dir string) (*Journal, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	probe, err := os.Create(filepath.Join(dir, part))
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	err = errors.Join(probe.Close(), os.Remove(probe.Name()))
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	return &Journal{dir}, nil
}

// Save replaces what is in the journal. After a crash at any moment it holds
// either the old or the new content, whole.
func (j *Journal) Save(content []byte) (err error) {
	f, err := os.Create(filepath.Join(j.dir, part))
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("journal: %w", err)
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(content)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err = os.Rename(f.Name(), filepath.Join(j.dir, name)); err != nil {
		return err
	}
	return syncDir(j.dir)
}

// syncDir makes a rename last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Load returns what was saved last, or nil when nothing was.
func (j *Journal) Load() ([]byte, error) {
	f, err := os.Open(filepath.Join(j.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("journal: %w", err)
	case len(content) > maxSize:
		return nil, fmt.Errorf("journal: %s is larger than %d bytes, so it is none", f.Name(), maxSize)
	}
	return content, nil
}
