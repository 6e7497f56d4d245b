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

	"github.com/sluice-dev/sluice/enforcer/internal/seal"
)

func TestParseKeys(t *testing.T) {
	join := func(lines ...[]byte) string { return string(bytes.Join(lines, nil)) }
	for _, c := range []struct {
		name    string
		text    string
		want    string // the keys, by their number
		wantErr string
	}{
		{"one", join(line(1)), "1", ""},
		{"two, in their order", join(line(2), line(1)), "2 1", ""},
		{"comments and empty lines", "# new\n\n" + join(line(2)) + "  # old\n\t" + join(line(1)), "2 1", ""},
		{"no newline at the end", strings.TrimSpace(join(line(1))), "1", ""},
		{"lines that end as on Windows", strings.ReplaceAll(join(line(1), line(2)), "\n", "\r\n"), "1 2", ""},
		{"four", join(line(1), line(2), line(3), line(4)), "1 2 3 4", ""},

		{"empty", "", "", "there is no key in it: write 32 random bytes in base64"},
		{"only comments", "# key\n", "", "there is no key in it"},
		{"no base64", "# key\nsecret!\n", "", "line 2 is not base64: write 32 random bytes in base64 on a line of its own, as `openssl rand -base64 32` prints them"},
		{"hexadecimal", strings.Repeat("0a", 32), "", "line 1 has a key of 48 bytes"},
		{"16 bytes", "AAECAwQFBgcICQoLDA0ODw==", "", "line 1 has a key of 16 bytes: write 32"},
		{"a comment behind a key", strings.TrimSpace(join(line(1))) + " # mine", "", "line 1 is not base64"},
		{"five", join(line(1), line(2), line(3), line(4), line(5)), "", "line 5 has a key too many: leave at most 4"},
		{"one twice", join(line(1), line(2), line(1)), "", "line 3 repeats a key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := seal.ParseKeys([]byte(c.text))
			if c.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), c.wantErr) {
					t.Fatalf("error %v, want one with %q", err, c.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var want []seal.Key
			for _, number := range strings.Fields(c.want) {
				want = append(want, key(t, number[0]-'0'))
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("keys %v, want %v", got, want)
			}
		})
	}
}

func TestAKeyIsNotPrinted(t *testing.T) {
	k := key(t, 'A')
	for _, format := range []string{"%v", "%+v", "%s", "%#v", "%q"} {
		text := fmt.Sprintf(format, k) + fmt.Sprintf(format, []seal.Key{k})
		if strings.Contains(text, "AAAA") || strings.Contains(text, "65 65") || strings.Contains(text, "0x41") {
			t.Errorf("%s prints %s", format, text)
		}
	}
	if k.String() == key(t, 'B').String() {
		t.Error("two keys have one fingerprint")
	}
}

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
		want := func(keys ...seal.Key) {
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
	if err := os.WriteFile(large, bytes.Repeat([]byte("#"), 100_000), 0o600); err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(folder, "bad")
	if err := os.WriteFile(bad, []byte("password"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(folder, "none"): "name a file with the pool's keys",
		large:                         "more than 65536 bytes: name a file that has the pool's keys",
		bad:                           "line 1 has a key of 6 bytes: write 32",
		folder:                        "is a directory",
	} {
		if _, err := seal.OpenFile(path, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("OpenFile(%s) = %v, want an error with %q", filepath.Base(path), err, want)
		}
	}
}

// FuzzParseKeys: what is accepted has the form that is promised, and an error
// does not quote the file.
func FuzzParseKeys(f *testing.F) {
	f.Add([]byte("# comment\n"))
	f.Add(append(line(1), line(2)...))
	f.Add([]byte("not a key at all, but long enough"))
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := seal.ParseKeys(text)
		if err == nil && (len(keys) == 0 || len(keys) > seal.MaxKeys) {
			t.Fatalf("%d keys", len(keys))
		}
		if err != nil && len(text) > 20 && strings.Contains(err.Error(), string(text)) {
			t.Fatalf("%v quotes the file", err)
		}
	})
}
