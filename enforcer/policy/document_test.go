package policy_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/enforcer/policy"
)

func zip(text []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(text)
	_ = w.Close()
	return out.Bytes()
}

func TestWhatIsNoDocument(t *testing.T) {
	for _, c := range []struct {
		name    string
		encoded []byte
		want    string
	}{
		{"plain JSON", []byte(`{"version":1}`), "the document is not gzip"},
		{"not JSON", zip([]byte(`version: 1`)), "the document is not valid JSON"},
		{"two values", zip([]byte(`{"version":1} {}`)), "the document is not valid JSON"},
		{"too large", zip(make([]byte, policy.MaxDocument+1)), "the document has more than 67108864 bytes"},
	} {
		if _, err := policy.Decode(c.encoded); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q in it", c.name, err, c.want)
		}
	}
	if _, err := policy.Decode(zip([]byte(`{"version":1,"pool":"p","new":{"x":[1]}}`))); err != nil {
		t.Errorf("a field that is not known: %v, want that it is ignored", err)
	}
}

// The files of testdata say everything that there is in a version, as released managers
// do: enforcers of the next release, and of the one before, must find it where it was.
// A new field is added to the file of its version; one that is there stays.
func TestTheReleasedFormStays(t *testing.T) {
	for version, file := range map[int]string{1: "testdata/document.json", 2: "testdata/document-2.json"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		read, err := policy.Decode(zip(text))
		if err != nil {
			t.Fatal(err)
		}
		again, err := json.MarshalIndent(policy.New(read.Pool, read.Policies), "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(text), string(again)+"\n"); diff != "" || read.Version != version {
			t.Errorf("version %d, read and written again (-released +now):\n%s", read.Version, diff)
		}
		if _, err := policy.Compile(read); err != nil {
			t.Errorf("%s does not compile any more: %v", file, err)
		}
	}
}

// Others make the digest of what they read: it is that of plain JSON.
func TestTheDigestIsThatOfJSON(t *testing.T) {
	angled := plain()
	angled.Limits[0].When = []string{"request.path < '\u2028&'"}
	for _, policies := range [][]policy.Policy{nil, {}, {plain()}, {plain(), angled}} {
		d := &policy.Document{Version: policy.Version, Pool: "<pool>", Policies: policies}
		var text bytes.Buffer
		if err := json.NewEncoder(&text).Encode(d); err != nil {
			t.Fatal(err)
		}
		want := policy.Digests{Document: fmt.Sprintf("%x", sha256.Sum256(text.Bytes())), Policies: []uint64{}}
		for _, p := range policies {
			text, err := json.Marshal(p)
			if err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256(text)
			want.Policies = append(want.Policies, binary.BigEndian.Uint64(sum[:]))
		}
		if diff := cmp.Diff(want, d.Digests()); diff != "" {
			t.Errorf("digests of %s (-want +got):\n%s", text.Bytes(), diff)
		}
	}
}

// FuzzDecode reads any bytes as a document, as they are and gzipped. What can be
// read can be written and read again, and compiles or is refused by field.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"version":1,"pool":"default","policies":[{"namespace":"shop","name":"web","generation":3,"domain":"web","limits":[{"name":"l","when":["request.method == 'GET'"],"key":["request.headers['x-api-key']"],"algorithm":"TokenBucket","rate":{"requests":10,"per":"1s"},"burst":20,"cost":"2","overrides":[{"key":["a*"],"rate":{"requests":1,"per":"1h"}},{"key":["b"],"unlimited":true},{"key":["*"],"deny":true}]}]}]}`))
	f.Add([]byte(`{"version":1,"policies":[{"domain":"d","limits":[{"name":"l","key":["descriptor['x']"],"algorithm":"FixedWindow","rate":{"requests":1,"per":"Month"},"mode":"Shadow"}]}]}`))
	f.Add([]byte(`{"version":1,"policies":[{"limits":[{"algorithm":"SlidingWindow","rate":{"requests":1000000001,"per":"8785h"}}]}]}`))
	f.Add([]byte(`{"version":2,"policies":[{"domain":"d","limits":[{"name":"l","algorithm":"TokenBucket","rate":{"requests":1,"per":"1s"},"sharing":"Local"},{"name":"m","sharing":"Local","firstBurst":"Full"},{"name":"n","sharing":"Exact","onUnreachable":"Deny"}]}]}`))
	f.Add([]byte(`{"version":3}`))
	f.Add(zip([]byte(`{"version":1}`)))
	f.Fuzz(func(t *testing.T, text []byte) {
		_, _ = policy.Decode(text)
		d, err := policy.Decode(zip(text))
		if err != nil {
			return
		}
		encoded, err := policy.Encode(d)
		if err != nil {
			t.Fatal(err)
		}
		again, err := policy.Decode(encoded)
		if err != nil || again.Digest() != d.Digest() {
			t.Fatalf("what was read and written reads as %+v, %v, want %+v", again, err, d)
		}
		s, err := policy.Compile(d)
		if err != nil {
			if len(policy.Errors(err)) == 0 {
				t.Errorf("refused without naming a field: %v", err)
			}
			return
		}
		for i := range d.Policies {
			if s.Domain(d.Policies[i].Domain) == nil {
				t.Errorf("the domain %q of a policy is not there", d.Policies[i].Domain)
			}
		}
	})
}
