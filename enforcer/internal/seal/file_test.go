package seal_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-dev/sluice/enforcer/gossipkey"
	"github.com/sluice-dev/sluice/enforcer/internal/seal"
)

func TestAKeyFileIsFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// A mounted Secret: the file is a link into a folder that is itself a link,
		// which is swapped.
		folder := t.TempDir()
		publish := func(version string, text []byte) {
			t.Helper()
			for _, err := range []error{
				os.Mkdir(filepath.Join(folder, version), 0o700),
				os.WriteFile(filepath.Join(folder, version, "keys"), text, 0o600),
				os.Symlink(version, filepath.Join(folder, "..tmp")),
				os.Rename(filepath.Join(folder, "..tmp"), filepath.Join(folder, "..data")),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		publish("v1", line(1))
		path := filepath.Join(folder, "keys")
		if err := os.Symlink(filepath.Join("..data", "keys"), path); err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		file, err := seal.OpenFile(path, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		go file.Run(t.Context())
		want := func(keys ...gossipkey.Key) {
			t.Helper()
			<-time.After(time.Minute)
			if got := file.Ring().Keys(); fmt.Sprint(got) != fmt.Sprint(keys) {
				t.Errorf("keys %v, want %v", got, keys)
			}
		}
		want(key(t, 1))
		publish("v2", append(line(2), line(1)...))
		want(key(t, 2), key(t, 1))
		publish("v3", []byte("oops\n"))
		want(key(t, 2), key(t, 1))
		publish("v4", append([]byte("# the same\n"), append(line(2), line(1)...)...))
		want(key(t, 2), key(t, 1))
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		want(key(t, 2), key(t, 1))
		if err := os.WriteFile(path, line(3), 0o600); err != nil {
			t.Fatal(err)
		}
		want(key(t, 3))

		for text, want := range map[string]int{"gossip keys changed": 2, "line 1 has a key of 3 bytes": 1, "no such file": 1, "the last good keys stay": 2} {
			if got := strings.Count(log.String(), text); got != want {
				t.Errorf("%q is logged %d times, want %d:\n%s", text, got, want, log.String())
			}
		}
	})
}

func TestOpenFileSaysWhatIsWrong(t *testing.T) {
	folder := t.TempDir()
	large := filepath.Join(folder, "large")
	if err := os.WriteFile(large, bytes.Repeat([]byte("#"), 2<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(folder, "bad")
	if err := os.WriteFile(bad, []byte("password"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(folder, "none"): "name a file that has the pool's keys and nothing else",
		large:                         "more than 1048576 bytes: name a file that has the pool's keys",
		bad:                           "line 1 has a key of 6 bytes: write 32",
		folder:                        "is a directory",
	} {
		if _, err := seal.OpenFile(path, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("OpenFile(%s) = %v, want an error with %q", filepath.Base(path), err, want)
		}
	}
}
