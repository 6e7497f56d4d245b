package gossipkey_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/sluice-dev/sluice/enforcer/gossipkey"
)

// key returns the key of which all bytes are b.
func key(t testing.TB, b byte) gossipkey.Key {
	t.Helper()
	k, err := gossipkey.New(bytes.NewReader(bytes.Repeat([]byte{b}, gossipkey.Size)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// line is how key(b) is written in a key file.
func line(b byte) []byte {
	text := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{b}, gossipkey.Size))
	return append([]byte(text), '\n')
}

func TestWhatIsWrittenCanBeRead(t *testing.T) {
	want := []gossipkey.Key{key(t, 2), key(t, 1)}
	got, err := gossipkey.Parse(gossipkey.Format(want))
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("keys %v (%v), want %v", got, err, want)
	}
	if _, err := gossipkey.New(bytes.NewReader(make([]byte, gossipkey.Size-1))); err == nil {
		t.Error("a key was made of too little randomness")
	}
}

func TestParse(t *testing.T) {
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
			got, err := gossipkey.Parse([]byte(c.text))
			if c.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), c.wantErr) {
					t.Fatalf("error %v, want one with %q", err, c.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var want []gossipkey.Key
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
		text := fmt.Sprintf(format, k) + fmt.Sprintf(format, []gossipkey.Key{k})
		if strings.Contains(text, "AAAA") || strings.Contains(text, "65 65") || strings.Contains(text, "0x41") {
			t.Errorf("%s prints %s", format, text)
		}
	}
	if k.String() == key(t, 'B').String() {
		t.Error("two keys have one fingerprint")
	}
}

// FuzzParse: what is accepted has the form that is promised, and an error
// does not quote the file.
func FuzzParse(f *testing.F) {
	f.Add([]byte("# comment\n"))
	f.Add(append(line(1), line(2)...))
	f.Add([]byte("not a key at all, but long enough"))
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := gossipkey.Parse(text)
		if err == nil && (len(keys) == 0 || len(keys) > gossipkey.Max) {
			t.Fatalf("%d keys", len(keys))
		}
		if err != nil && len(text) > 20 && strings.Contains(err.Error(), string(text)) {
			t.Fatalf("%v quotes the file", err)
		}
	})
}
