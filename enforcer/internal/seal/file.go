package seal

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/sluice-dev/sluice/enforcer/gossipkey"
)

const (
	// lookEvery is how often a key file is read again. That is often enough: a
	// mounted Secret follows its object within a minute or so.
	lookEvery = 2 * time.Second

	// maxFile bounds a key file in bytes: four keys and many comments.
	maxFile = 64 << 10
)

// File keeps a Ring as a file says. A nil File is that of no keys. Make one with
// OpenFile.
type File struct {
	path string
	log  *slog.Logger
	ring *Ring

	last    reading // what was read last
	settled reading // what was read twice in a row, and acted upon
}

// reading is what a file had in it, or why that could not be read.
type reading struct{ text, err string }

// OpenFile reads the keys in the file at path; gossipkey.Parse says how they are
// written. The error says what is wrong with the file.
func OpenFile(path string, log *slog.Logger) (*File, error) {
	text, err := readFile(path)
	if err != nil {
		return nil, err
	}
	keys, err := gossipkey.Parse(text)
	if err != nil {
		return nil, err
	}
	ring, err := NewRing(keys...)
	if err != nil {
		return nil, err
	}
	return &File{path: path, log: log, ring: ring, settled: reading{text: string(text)}}, nil
}

// Ring returns the keys, which change while Run runs; nil for none.
func (f *File) Ring() *Ring {
	if f == nil {
		return nil
	}
	return f.ring
}

// Run reads the file every few seconds until ctx ends. Keys that changed are in
// force soon after; while the file is away or bad, the last good ones are.
func (f *File) Run(ctx context.Context) {
	if f == nil {
		return
	}
	every := time.NewTicker(lookEvery)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
			f.look()
		}
	}
}

// look reads the file and takes over what changed, once it has stayed the same
// for two looks: half a file may read like one with a key less. Its content is
// compared, not its date: a mounted Secret is replaced by swapping links.
func (f *File) look() {
	text, err := readFile(f.path)
	now := reading{text: string(text)}
	if err != nil {
		now = reading{err: err.Error()}
	}
	stays := now == f.last
	f.last = now
	if !stays || now == f.settled {
		return
	}
	f.settled = now
	if err == nil {
		err = f.take(text)
	}
	if err != nil {
		f.log.Error("the gossip key file cannot be used; the last good keys stay in force", "file", f.path, "error", err)
	}
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

func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: name a file with the pool's keys", err)
	}
	defer func() { _ = file.Close() }() // it was only read
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > maxFile:
		return nil, fmt.Errorf("more than %d bytes: name a file that has the pool's keys and nothing else", maxFile)
	}
	return text, nil
}
