// Package policy is what the manager hands to the enforcers: a Document, the
// wire form of all accepted policies of a pool, and Compile, which turns it into
// the immutable Snapshot that requests are matched against. The manager compiles
// what it publishes, so what one side accepts the other can load.
package policy

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"
)

// Version is the highest version of the wire form. A reader refuses a document of a
// higher one than it knows, and ignores fields that it does not know: so a field
// without which a limit would be counted otherwise than asked comes with a version.
//
// Version 2 has Limit.Sharing and Limit.OnUnreachable.
const Version = 2

// MaxDocument is the largest document that Decode accepts, in bytes of JSON.
const MaxDocument = 64 << 20

// Document is all that the enforcers of a pool enforce. It is plain data: nobody
// changes one that has been handed on.
type Document struct {
	Version  int      `json:"version"`
	Pool     string   `json:"pool"`
	Policies []Policy `json:"policies"` // by namespace and name
}

// Policy is one RateLimitPolicy, defaulted, with its domain resolved.
type Policy struct {
	Namespace  string  `json:"namespace"`
	Name       string  `json:"name"`
	UID        string  `json:"uid,omitempty"` // empty for a policy that was read from a file
	Generation int64   `json:"generation"`
	Domain     string  `json:"domain"`
	Limits     []Limit `json:"limits"`
}

// Limit is one limit of a policy. Its fields are those of the RateLimitPolicy.
type Limit struct {
	Name      string   `json:"name"`
	When      []string `json:"when,omitempty"`
	Key       []string `json:"key,omitempty"`
	Algorithm string   `json:"algorithm"`
	Rate      Rate     `json:"rate"`
	Burst     int64    `json:"burst,omitempty"` // 0: rate.requests
	Cost      string   `json:"cost,omitempty"`  // empty: the request's own cost
	Mode      string   `json:"mode,omitempty"`  // empty: Enforce

	// Sharing is Exact or Local; empty: Gossip.
	Sharing string `json:"sharing,omitempty"`

	// OnUnreachable is what an enforcer does that cannot reach the one which keeps a
	// count: LocalShare, Deny or Admit; empty: LocalShare. It goes with Exact only.
	OnUnreachable string `json:"onUnreachable,omitempty"`

	// FirstBurst is what an enforcer may grant to a client that it has not heard of:
	// Full, or Share; empty: Full. It goes with Gossip only.
	FirstBurst string `json:"firstBurst,omitempty"`

	Overrides []Override `json:"overrides,omitempty"`
}

// Rate is a number of tokens each stretch of time.
type Rate struct {
	Requests int64  `json:"requests"`
	Per      string `json:"per"` // as ParsePer reads it
}

// Override is an exception to a limit: of Rate, Unlimited and Deny exactly one.
type Override struct {
	Key       []string `json:"key"`
	Rate      *Rate    `json:"rate,omitempty"`
	Burst     int64    `json:"burst,omitempty"`
	Unlimited bool     `json:"unlimited,omitempty"`
	Deny      bool     `json:"deny,omitempty"`
}

// The algorithms and modes of a Limit.
const (
	TokenBucket   = "TokenBucket"
	SlidingWindow = "SlidingWindow"
	FixedWindow   = "FixedWindow"

	Enforce = "Enforce"
	Shadow  = "Shadow"

	Full  = "Full"
	Share = "Share"
)

// Compare orders policies by namespace and name.
func (p *Policy) Compare(o *Policy) int {
	return cmp.Or(cmp.Compare(p.Namespace, o.Namespace), cmp.Compare(p.Name, o.Name))
}

// String returns namespace/name.
func (p *Policy) String() string { return p.Namespace + "/" + p.Name }

// New returns the document of a pool with these policies, in canonical order, in the
// lowest version that says them. So enforcers of an earlier release go on with a pool
// until it uses what they do not know.
func New(pool string, policies []Policy) *Document {
	d := &Document{Version: 1, Pool: pool, Policies: policies}
	slices.SortFunc(d.Policies, func(a, b Policy) int { return a.Compare(&b) })
	for i := range d.Policies {
		for j := range d.Policies[i].Limits {
			d.Version = max(d.Version, d.Policies[i].Limits[j].version())
		}
	}
	return d
}

// version returns the lowest version that has all fields which the limit uses.
func (l *Limit) version() int {
	if l.Sharing != "" {
		return 2
	}
	return 1
}

// Digests identify what a document says, as far as its reader knows the fields: one
// that ignores a field which is used has other digests than who wrote it.
type Digests struct {
	Document string   // the SHA-256 of its JSON, in hexadecimal
	Policies []uint64 // the first eight bytes of that of each policy, in the document's order
}

// Digest returns that of the document as a whole. Documents in canonical order have
// equal digests when they say the same.
func (d *Document) Digest() string { return d.Digests().Document }

// Digests returns those of the document and of its policies.
func (d *Document) Digests() Digests {
	all, whole := Digests{Policies: make([]uint64, 0, len(d.Policies))}, sha256.New()
	// The types hold nothing that JSON cannot say, and a hash never fails to write.
	_ = d.write(whole, func(text []byte) {
		one := sha256.Sum256(text)
		all.Policies = append(all.Policies, binary.BigEndian.Uint64(one[:]))
	})
	all.Document = hex.EncodeToString(whole.Sum(nil))
	return all
}

// Encode returns the document as gzipped JSON. Equal documents have equal
// encodings.
func Encode(d *Document) ([]byte, error) {
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	if err := d.write(zip, func([]byte) {}); err != nil {
		return nil, fmt.Errorf("encode the document of pool %s: %w", d.Pool, err)
	}
	if err := zip.Close(); err != nil {
		return nil, fmt.Errorf("encode the document of pool %s: %w", d.Pool, err)
	}
	return out.Bytes(), nil
}

// write writes what json.Encoder would, policy by policy: as one text ten thousand of
// them would take megabytes. Each is called with the text of one policy after another,
// which is valid until it returns.
func (d *Document) write(w io.Writer, each func(text []byte)) error {
	if d.Policies == nil {
		return json.NewEncoder(w).Encode(d)
	}
	frame, err := json.Marshal(Document{d.Version, d.Pool, []Policy{}})
	if err != nil {
		return err
	}
	begin, end := frame[:len(frame)-2], frame[len(frame)-2:]
	out := bufio.NewWriter(w) // it remembers the first error
	_, _ = out.Write(begin)
	var line bytes.Buffer
	lines := json.NewEncoder(&line)
	for i := range d.Policies {
		line.Reset()
		if err := lines.Encode(&d.Policies[i]); err != nil {
			return err
		}
		if i > 0 {
			_ = out.WriteByte(',')
		}
		text := bytes.TrimSuffix(line.Bytes(), []byte("\n"))
		_, _ = out.Write(text)
		each(text)
	}
	_, _ = out.Write(append(end, '\n'))
	return out.Flush()
}

// Decode reads what Encode wrote. It never reads more than MaxDocument bytes.
func Decode(encoded []byte) (*Document, error) {
	zip, err := gzip.NewReader(bytes.NewReader(encoded))
	if err != nil {
		return nil, fmt.Errorf("the document is not gzip: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(zip, MaxDocument+1))
	if err != nil {
		return nil, fmt.Errorf("the document is cut or garbled: %w", err)
	}
	if len(text) > MaxDocument {
		return nil, fmt.Errorf("the document has more than %d bytes", MaxDocument)
	}
	d := &Document{}
	if err := json.Unmarshal(text, d); err != nil {
		return nil, fmt.Errorf("the document is not valid JSON: %w", err)
	}
	if d.Version < 1 || d.Version > Version {
		return nil, fmt.Errorf("the document has version %d, this program reads version %d: upgrade the enforcers before the manager", d.Version, Version)
	}
	return d, nil
}
