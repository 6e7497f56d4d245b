// Package journal keeps on disk what an enforcer was told last, so that one that
// restarts while everything else is away goes on with it.
package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// maxSize bounds what is read back: more than any pool's document.
const maxSize = 256 << 20

// Journal is a folder with a file for each record. Records of different names may
// be used concurrently. Make one with Open.
type Journal struct{ dir string }

// Record names something that is kept.
type Record string

// The records of an enforcer.
const (
	Document Record = "document" // an encoded policy document
	Peers    Record = "peers"    // addresses, one a line
)

func (j *Journal) path(r Record) string { return filepath.Join(j.dir, string(r)) }

// part is where a record is written before it is whole.
func (j *Journal) part(r Record) string { return j.path(r) + ".part" }

// Open makes the folder when it is not there, and finds out whether it can be
// written to.
func Open(dir string) (*Journal, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	j := &Journal{dir}
	probe, err := os.Create(j.part(Document))
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	if err := errors.Join(probe.Close(), os.Remove(probe.Name())); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	return j, nil
}

// Save replaces a record. After a crash at any moment it has either the old or
// the new content, whole.
func (j *Journal) Save(r Record, content []byte) (err error) {
	f, err := os.Create(j.part(r))
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
	if err = os.Rename(f.Name(), j.path(r)); err != nil {
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

// Load returns what was saved last in a record, or nil when nothing was.
func (j *Journal) Load(r Record) ([]byte, error) {
	f, err := os.Open(j.path(r))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	content, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("journal: %w", err)
	case len(content) > maxSize:
		return nil, fmt.Errorf("journal: %s is larger than %d bytes, so it is none", f.Name(), maxSize)
	}
	return content, nil
}
