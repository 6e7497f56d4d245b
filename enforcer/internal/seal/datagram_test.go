package seal_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/enforcer/internal/seal"
)

// The bytes on the wire are a contract between versions that run side by side
// during a rollout: a change of them is a new version. Another implementation of
// HKDF, AES-GCM and CRC-32C gives the same.
func TestTheBytesOfADatagram(t *testing.T) {
	salt := strings.Repeat("a0", 16)
	for _, c := range []struct {
		name    string
		ring    *seal.Ring
		channel seal.Channel
		want    []string // of three datagrams with the payload "counts"
	}{
		{"plain", nil, seal.Gossip, []string{
			"0101" + "3ce97f52" + hex.EncodeToString([]byte("counts")),
			"0101" + "3ce97f52" + hex.EncodeToString([]byte("counts")),
		}},
		{"plain, membership", nil, seal.Membership, []string{
			"0102" + "84ec0a0a" + hex.EncodeToString([]byte("counts")),
		}},
		{"sealed", ring(t, 7, 8), seal.Gossip, []string{
			"0201" + salt + "0000000000000001" + "9a7865e2e6b7" + "d01dc7349e746d7adb8cd4706cac469f",
			"0201" + salt + "0000000000000002" + "197339193c69" + "b8b67187bef0a1c0d06847a4152a346d",
		}},
		{"sealed, membership", ring(t, 7), seal.Membership, []string{
			"0202" + salt + "0000000000000001" + "9a7865e2e6b7" + "2cc0f7ec4156a69986e853f681bbe384",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := seal.NewSealerWithSalts(c.ring, 0xa0)
			for i, want := range c.want {
				if got := hex.EncodeToString(s.Seal(nil, c.channel, []byte("counts"))); got != want {
					t.Errorf("datagram %d is\n%s, want\n%s", i, got, want)
				}
			}
		})
	}
}

func TestWhatWasSealedOpens(t *testing.T) {
	for _, r := range []*seal.Ring{nil, ring(t, 1), ring(t, 1, 2)} {
		s, o := seal.NewSealer(r), seal.NewOpener(r)
		rapid.Check(t, func(t *rapid.T) {
			payload := rapid.SliceOfN(rapid.Byte(), 0, 2000).Draw(t, "payload")
			channel := rapid.SampledFrom([]seal.Channel{seal.Gossip, seal.Membership}).Draw(t, "channel")
			prefix := []byte("before")
			datagram := s.Seal(bytes.Clone(prefix), channel, payload)
			if !bytes.HasPrefix(datagram, prefix) {
				t.Fatalf("Seal() = %q, want it to append", datagram)
			}
			if added := len(datagram) - len(prefix) - len(payload); added > seal.Overhead {
				t.Fatalf("the envelope adds %d bytes, want at most %d", added, seal.Overhead)
			}
			gotChannel, got, err := o.Open(datagram[len(prefix):])
			if err != nil || gotChannel != channel || !bytes.Equal(got, payload) {
				t.Fatalf("Open() = %d, %x, %v, want %d, %x", gotChannel, got, err, channel, payload)
			}
		})
	}
}

func TestAChangedBitIsNoticed(t *testing.T) {
	for _, r := range []*seal.Ring{nil, ring(t, 1), ring(t, 1, 2)} {
		s, o := seal.NewSealer(r), seal.NewOpener(r)
		if _, _, err := o.Open(s.Seal(nil, seal.Gossip, []byte("counts"))); err != nil {
			t.Fatal(err)
		}
		whole := s.Seal(nil, seal.Gossip, []byte("counts"))
		for bit := range len(whole) * 8 {
			changed := bytes.Clone(whole)
			changed[bit/8] ^= 1 << (bit % 8)
			if _, payload, err := o.Open(changed); err == nil {
				t.Errorf("%d keys, bit %d changed: opened as %q", len(r.Keys()), bit, payload)
			}
		}
		for n := range len(whole) {
			if _, payload, err := o.Open(bytes.Clone(whole[:n])); err == nil {
				t.Errorf("%d keys, %d bytes of %d: opened as %q", len(r.Keys()), n, len(whole), payload)
			}
		}
		if sessions := o.Sessions(); sessions > 1 {
			t.Errorf("%d sessions are remembered, want none of a datagram that did not open", sessions)
		}
		if _, payload, err := o.Open(whole); err != nil || string(payload) != "counts" {
			t.Errorf("the whole one after all those: %q, %v", payload, err)
		}
	}
}

func TestWhyADatagramIsNotOpened(t *testing.T) {
	sealed := func(keys ...byte) []byte {
		return seal.NewSealer(ring(t, keys...)).Seal(nil, seal.Gossip, []byte("counts"))
	}
	for _, c := range []struct {
		name     string
		ring     *seal.Ring
		datagram []byte
		want     error
	}{
		{"nothing", nil, nil, seal.ErrGarbled},
		{"one byte", ring(t, 1), []byte{2}, seal.ErrGarbled},
		{"an unknown version", ring(t, 1), []byte{3, 1, 0}, seal.ErrVersion},
		{"plain text", nil, []byte("GET / HTTP/1.1"), seal.ErrVersion},
		{"plain at a plain one", nil, sealed(), nil},
		{"plain at one with a key", ring(t, 1), sealed(), seal.ErrUnsealed},
		{"sealed at one without a key", nil, sealed(1), seal.ErrNoKey},
		{"another key", ring(t, 1), sealed(2), seal.ErrForged},
		{"the second key", ring(t, 1, 2), sealed(2), nil},
		{"the last key", ring(t, 1, 2, 3, 4), sealed(4), nil},
		{"too short to be sealed", ring(t, 1), sealed(1)[:seal.Overhead-1], seal.ErrGarbled},
		{"an unknown channel", nil, seal.NewSealer(nil).Seal(nil, 9, nil), seal.ErrGarbled},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, _, err := seal.NewOpener(c.ring).Open(c.datagram); !errors.Is(err, c.want) {
				t.Errorf("Open() = %v, want %v", err, c.want)
			}
		})
	}
}

func TestARepeatedDatagramIsRefused(t *testing.T) {
	r := ring(t, 1)
	s, o := seal.NewSealer(r), seal.NewOpener(r)
	var sent [][]byte
	for range 2 * seal.WindowSize {
		sent = append(sent, s.Seal(nil, seal.Gossip, nil))
	}
	open := func(i int) error { _, _, err := o.Open(bytes.Clone(sent[i])); return err }
	for _, c := range []struct {
		at   int
		want error
	}{
		{10, nil},
		{10, seal.ErrReplayed},
		{9, nil}, // overtaken
		{9, seal.ErrReplayed},
		{len(sent) - 1, nil},
		{10, seal.ErrReplayed},
		{8, seal.ErrReplayed}, // never seen, but too old to tell
		{len(sent) - seal.WindowSize, nil},
	} {
		if err := open(c.at); !errors.Is(err, c.want) {
			t.Errorf("datagram %d: %v, want %v", c.at, err, c.want)
		}
	}
}

// The window agrees with a set of everything that was seen.
func TestWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w seal.Window
		seen := map[uint64]bool{}
		var top uint64
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			var n uint64
			switch rapid.IntRange(0, 3).Draw(t, "kind") {
			case 0:
				n = top + rapid.Uint64Range(1, 3).Draw(t, "next")
			case 1:
				n = top + rapid.Uint64Range(0, 3*seal.WindowSize).Draw(t, "ahead")
			default:
				n = top - min(top, rapid.Uint64Range(0, seal.WindowSize+100).Draw(t, "behind"))
			}
			want := !seen[n] && (n > top || top-n < seal.WindowSize)
			if got := w.Fresh(n); got != want {
				t.Fatalf("Fresh(%d) = %t with the newest %d, want %t", n, got, top, want)
			}
			if want {
				w.Mark(n)
				seen[n], top = true, max(top, n)
			}
		}
	})
}

// Under one derived key every count is used once, whatever happens at the same time.
func TestNoNonceIsUsedTwice(t *testing.T) {
	r := ring(t, 1)
	s := seal.NewSealer(r)
	const workers, each = 8, 500
	used := make([]map[string]bool, workers)
	var group sync.WaitGroup
	for i := range workers {
		used[i] = map[string]bool{}
		group.Go(func() {
			for n := range each {
				used[i][string(s.Seal(nil, seal.Gossip, nil)[2:26])] = true
				switch {
				case i == 0 && n%50 == 0:
					set(t, r, byte(n/50%2+1), 3)
				case i == 1 && n%50 == 0:
					s.Exhaust(10)
				}
			}
		})
	}
	group.Wait()
	all := map[string]bool{}
	for _, u := range used {
		for salt := range u {
			all[salt] = true
		}
	}
	if len(all) != workers*each {
		t.Errorf("%d different pairs of salt and count, want %d", len(all), workers*each)
	}
}

func TestASessionEndsBeforeItsKeyIsWornOut(t *testing.T) {
	r := ring(t, 1)
	s, o := seal.NewSealer(r), seal.NewOpener(r)
	salts := map[string]bool{}
	for i := range 4 {
		datagram := s.Seal(nil, seal.Gossip, nil)
		salts[string(datagram[2:18])] = true
		if _, _, err := o.Open(datagram); err != nil {
			t.Fatal(err)
		}
		if i == 1 {
			s.Exhaust(0)
		}
	}
	if len(salts) != 2 {
		t.Errorf("%d salts, want 2", len(salts))
	}
}

// One key follows another without a datagram that the other side cannot open, in
// the three steps that the operator takes: add, swap, remove.
func TestAKeyRotates(t *testing.T) {
	ra, rb := ring(t, 1), ring(t, 1)
	s, o := seal.NewSealer(ra), seal.NewOpener(rb)
	exchange := func(step string, want error) []byte {
		t.Helper()
		datagram := s.Seal(nil, seal.Gossip, nil)
		if _, _, err := o.Open(bytes.Clone(datagram)); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", step, err, want)
		}
		return datagram
	}
	exchange("before", nil)
	set(t, ra, 1, 2)
	exchange("the sender has both", nil)
	set(t, rb, 1, 2)
	exchange("both have both", nil)
	set(t, ra, 2, 1)
	exchange("the sender has swapped", nil)
	set(t, rb, 2, 1)
	exchange("both have swapped", nil)
	old := seal.NewSealer(ring(t, 1))
	if _, _, err := o.Open(old.Seal(nil, seal.Gossip, nil)); err != nil {
		t.Errorf("the old key while it is in the file: %v", err)
	}
	set(t, ra, 2)
	set(t, rb, 2)
	exchange("the old key is gone", nil)
	if _, _, err := o.Open(old.Seal(nil, seal.Gossip, nil)); !errors.Is(err, seal.ErrForged) {
		t.Errorf("a session of the old key goes on: %v, want %v", err, seal.ErrForged)
	}
	set(t, ra, 3)
	exchange("a key that only the sender has", seal.ErrForged)
}

func TestSessionsAreBounded(t *testing.T) {
	r := ring(t, 1)
	o := seal.NewOpener(r)
	faithful := seal.NewSealer(r)
	var first []byte
	for i := range seal.MaxSessions + 100 {
		if _, _, err := o.Open(faithful.Seal(nil, seal.Gossip, nil)); err != nil {
			t.Fatal(err)
		}
		datagram := seal.NewSealer(r).Seal(nil, seal.Gossip, nil)
		if i == 0 {
			first = bytes.Clone(datagram)
		}
		if _, _, err := o.Open(datagram); err != nil {
			t.Fatal(err)
		}
	}
	if got := o.Sessions(); got != seal.MaxSessions {
		t.Errorf("%d sessions, want %d", got, seal.MaxSessions)
	}
	if _, _, err := o.Open(first); err != nil {
		t.Errorf("the session that was used the longest ago: %v, want it forgotten", err)
	}
}

// FuzzOpen hands arbitrary bytes to openers: they must not panic, and open only
// what a sealer made.
func FuzzOpen(f *testing.F) {
	r := ring(f, 1, 2)
	for _, keys := range []*seal.Ring{nil, r, ring(f, 3)} {
		s := seal.NewSealerWithSalts(keys, 0xa0)
		for _, payload := range []string{"", "counts", strings.Repeat("x", 40)} {
			f.Add(s.Seal(nil, seal.Gossip, []byte(payload)))
			f.Add(s.Seal(nil, seal.Membership, []byte(payload)))
		}
	}
	f.Fuzz(func(t *testing.T, datagram []byte) {
		if len(datagram) > 1500 {
			return // no socket hands on one that long
		}
		plain, whole := seal.NewOpener(nil), bytes.Clone(datagram)
		if channel, payload, err := plain.Open(datagram); err == nil {
			if again := seal.NewSealer(nil).Seal(nil, channel, payload); !bytes.Equal(again, whole) {
				t.Fatalf("%x opens as %x, which is sealed as %x", whole, payload, again)
			}
		}
		o := seal.NewOpener(r)
		_, _, err := o.Open(bytes.Clone(whole))
		if err != nil && o.Sessions() > 0 {
			t.Fatal("a session is remembered of what did not open")
		}
		if _, _, again := o.Open(bytes.Clone(whole)); again == nil || err == nil && !errors.Is(again, seal.ErrReplayed) {
			t.Fatalf("the same again: %v after %v", again, err)
		}
	})
}

func BenchmarkDatagram(b *testing.B) {
	for _, r := range []*seal.Ring{nil, ring(b, 1)} {
		for _, size := range []int{60, 300, 1200} {
			payload := make([]byte, size)
			name := fmt.Sprintf("keys=%d/size=%d", len(r.Keys()), size)
			s, o := seal.NewSealer(r), seal.NewOpener(r)
			b.Run(name+"/seal", func(b *testing.B) {
				buf := make([]byte, 0, size+seal.Overhead)
				b.ReportAllocs()
				b.SetBytes(int64(size))
				for b.Loop() {
					s.Seal(buf, seal.Gossip, payload)
				}
			})
			b.Run(name+"/seal and open", func(b *testing.B) {
				buf := make([]byte, 0, size+seal.Overhead)
				b.ReportAllocs()
				b.SetBytes(int64(size))
				for b.Loop() {
					if _, _, err := o.Open(s.Seal(buf, seal.Gossip, payload)); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
	b.Run("forged", func(b *testing.B) {
		r := ring(b, 1, 2)
		whole := seal.NewSealer(ring(b, 3)).Seal(nil, seal.Gossip, make([]byte, 300))
		o := seal.NewOpener(r)
		datagram := make([]byte, len(whole))
		b.ReportAllocs()
		for b.Loop() {
			copy(datagram, whole)
			if _, _, err := o.Open(datagram); err == nil {
				b.Fatal("opened")
			}
		}
	})
}
