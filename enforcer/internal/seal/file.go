package seal

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	"github.com/sluice-dev/sluice/enforcer/gossipkey"
	"github.com/sluice-dev/sluice/enforcer/internal/follow"
)

// File keeps a Ring as a file says. A nil File is that of no keys. Make one with
// OpenFile.
type File struct {
	path  string
	files *follow.Files // one
	log   *slog.Logger
	ring  *Ring
}

// OpenFile reads the keys in the file at path; gossipkey.Parse says how they are
// written. The error says what is wrong with the file.
func OpenFile(path string, log *slog.Logger) (*File, error) {
	files, texts, err := follow.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: name a file that has the pool's keys and nothing else", err)
	}
	keys, err := gossipkey.Parse(texts[0])
	if err != nil {
		return nil, err
	}
	ring, err := NewRing(keys...)
	if err != nil {
		return nil, err
	}
	return &File{path: path, files: files, log: log, ring: ring}, nil
}

// Ring returns the keys, which change while Run runs; nil for none.
func (f *File) Ring() *Ring {
	if f == nil {
		return nil
	}
	return f.ring
}

// Run follows the file until ctx ends. Keys that changed are in force within
// seconds; while the file is away or bad, the last good ones are.
func (f *File) Run(ctx context.Context) {
	if f == nil {
		return
	}
	f.files.Run(ctx, func(texts [][]byte, err error) {
		if err == nil {
			err = f.take(texts[0])
		}
		if err != nil {
			f.log.Error("the gossip key file cannot be used; the last good keys stay in force", "file", f.path, "error", err)
		}
	})
}

// take puts the keys in text in force.
func (f *File) take(text []byte) error {
	keys, err := gossipkey.Parse(text)
	if err != nil || slices.Equal(keys, f.ring.Keys()) {
		return err
	}
	if err := f.ring.Set(keys); err != nil {
		return err
	}
	f.log.Info("gossip keys changed", "file", f.path, "keys", len(keys), "seals", keys[0].String())
	return nil
}
