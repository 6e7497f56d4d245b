package seal_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/enforcer/internal/seal"
)

// link returns both ends of a TCP connection.
func link(t testing.TB) (client, server net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if client, err = net.Dial("tcp", listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = listener.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	for _, conn := range []net.Conn{client, server} {
		if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	return client, server
}

// greet returns what both ends of a stream make of each other.
func greet(t testing.TB, rc, rs *seal.Ring) (client, server *seal.Conn, clientErr, serverErr error) {
	t.Helper()
	nc, ns := link(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if server, serverErr = seal.Server(ns, rs, 2222); serverErr != nil {
			ns.Close()
		}
	}()
	if client, clientErr = seal.Client(nc, rc, seal.Membership, 1111); clientErr != nil {
		nc.Close()
	}
	<-done
	return client, server, clientErr, serverErr
}

// connect returns both ends of a stream that was greeted.
func connect(t testing.TB, rc, rs *seal.Ring) (client, server *seal.Conn) {
	t.Helper()
	client, server, clientErr, serverErr := greet(t, rc, rs)
	if clientErr != nil || serverErr != nil {
		t.Fatalf("greeting: %v at the client, %v at the server", clientErr, serverErr)
	}
	return client, server
}

func TestGreeting(t *testing.T) {
	for _, c := range []struct {
		name                   string
		client, server         []byte
		wantClient, wantServer error
	}{
		{"plain", nil, nil, nil, nil},
		{"one key", []byte{1}, []byte{1}, nil, nil},
		{"swapped keys", []byte{1, 2}, []byte{2, 1}, nil, nil},
		{"the client has the new one too", []byte{1, 2}, []byte{1}, nil, nil},
		{"the server does not know the client's", []byte{1, 2}, []byte{2}, nil, seal.ErrForged},
		{"the client does not know the server's", []byte{1}, []byte{2, 1}, seal.ErrForged, io.ErrUnexpectedEOF},
		{"only the client has a key", []byte{1}, nil, seal.ErrUnsealed, seal.ErrNoKey},
		{"only the server has a key", nil, []byte{1}, seal.ErrNoKey, seal.ErrUnsealed},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, server, clientErr, serverErr := greet(t, ring(t, c.client...), ring(t, c.server...))
			if !errors.Is(clientErr, c.wantClient) || !errors.Is(serverErr, c.wantServer) {
				t.Fatalf("client: %v, want %v; server: %v, want %v", clientErr, c.wantClient, serverErr, c.wantServer)
			}
			if clientErr != nil || serverErr != nil {
				return
			}
			if server.Channel() != seal.Membership || server.PeerPort() != 1111 || client.PeerPort() != 2222 {
				t.Errorf("channel %d, ports %d and %d", server.Channel(), server.PeerPort(), client.PeerPort())
			}
		})
	}
}

func TestAGreetingThatIsNone(t *testing.T) {
	for name, c := range map[string]struct {
		sent string
		want error
	}{
		"nothing":            {"", io.EOF},
		"too little":         {"\x01\x01", io.ErrUnexpectedEOF},
		"HTTP":               {"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", seal.ErrVersion},
		"an unknown channel": {"\x01\x09" + strings.Repeat("\x00", 18), seal.ErrGarbled},
		"no proof":           {"\x01\x01" + strings.Repeat("\x00", 18), io.ErrUnexpectedEOF},
		"a broken proof":     {"\x01\x01" + strings.Repeat("\x00", 18) + "\x00\x00\x00\x04abcd", seal.ErrGarbled},
		"a huge proof":       {"\x01\x01" + strings.Repeat("\x00", 18) + "\xff\xff\xff\xff", seal.ErrGarbled},
	} {
		t.Run(name, func(t *testing.T) {
			client, server := link(t)
			if _, err := client.Write([]byte(c.sent)); err != nil {
				t.Fatal(err)
			}
			if err := client.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if _, err := seal.Server(server, nil, 1); !errors.Is(err, c.want) {
				t.Errorf("Server() = %v, want %v", err, c.want)
			}
		})
	}
}

// Another implementation of HKDF, AES-GCM and CRC-32C gives the same.
func TestTheBytesOfAStream(t *testing.T) {
	for _, c := range []struct {
		name string
		ring *seal.Ring
		want []string // an empty record, and one with "counts" each way
	}{
		{"plain", nil, []string{
			"00000004" + "8ffddcd8",
			"0000000a" + "ec08c89f" + "636f756e7473",
			"00000004" + "8ffddcd8",
			"0000000a" + "ec08c89f" + "636f756e7473",
		}},
		{"sealed", ring(t, 7), []string{
			"00000010" + "6e6d58e56aeeb82c52741afb454b8786",
			"00000016" + "0f996c9fb97f" + "f4fa7a97caa67a2c5b595eb52d09fcfb",
			"00000010" + "cab38e7933b4db4fe6b326dc3687f859",
			"00000016" + "d38ecf5eb7a8" + "2ba58623b8f7d0fb517b51fe75a47e53",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			nc, ns := link(t)
			client, server := seal.Pair(nc, ns, c.ring, bytes.Repeat([]byte{0xc0}, 20), bytes.Repeat([]byte{0x50}, 20))
			var got []string
			for _, end := range []struct {
				from *seal.Conn
				to   net.Conn
			}{{client, ns}, {server, nc}} {
				for _, payload := range []string{"", "counts"} {
					if err := end.from.WriteRecord([]byte(payload)); err != nil {
						t.Fatal(err)
					}
					record := make([]byte, 100)
					n, err := end.to.Read(record)
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, hex.EncodeToString(record[:n]))
				}
			}
			if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
				t.Errorf("records\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

func TestAStreamCarriesBytes(t *testing.T) {
	for _, keys := range [][]byte{nil, {1}} {
		client, server := connect(t, ring(t, keys...), ring(t, keys...))
		text := bytes.Repeat([]byte("0123456789abcdef"), 3*seal.MaxRecord/16)
		text = append(text, "the rest"...)
		go func() {
			_, _ = io.Copy(server, server) // back where it came from
			server.Close()
		}()
		go func() {
			_, _ = client.Write(text)
			_ = client.WriteRecord(nil)
		}()
		got, err := io.ReadAll(client)
		if err != nil || !bytes.Equal(got, text) {
			t.Errorf("%d keys: %d bytes came back, %v, want the same %d", len(keys), len(got), err, len(text))
		}
	}
}

func TestRecordsKeepTheirBounds(t *testing.T) {
	client, server := connect(t, ring(t, 1), ring(t, 1))
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.SampledFrom([]int{1, 2, 1200, 1 << 14, seal.MaxRecord - 1, seal.MaxRecord}).Draw(t, "size")
		record := bytes.Repeat([]byte{rapid.Byte().Draw(t, "byte")}, size)
		sent := make(chan error, 1)
		go func() { sent <- client.WriteRecord(record) }()
		got, err := server.ReadRecord()
		if err := errors.Join(err, <-sent); err != nil || !bytes.Equal(got, record) {
			t.Fatalf("a record of %d bytes arrives with %d: %v", size, len(got), err)
		}
	})
	if err := client.WriteRecord(make([]byte, seal.MaxRecord+1)); err == nil {
		t.Error("a record that is too long was sent")
	}
}

func TestTheEndOfAStreamIsTold(t *testing.T) {
	client, server := connect(t, ring(t, 1), ring(t, 1))
	if _, err := client.Write([]byte("last words")); err != nil {
		t.Fatal(err)
	}
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(server); err != nil || string(got) != "last words" {
		t.Errorf("closed: %q, %v", got, err)
	}
	client, server = connect(t, ring(t, 1), ring(t, 1))
	if _, err := client.Write([]byte("last wor")); err != nil {
		t.Fatal(err)
	}
	client.Conn.Close() // as if somebody else had cut it off
	if got, err := io.ReadAll(server); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut off: %q, %v, want %v", got, err, io.ErrUnexpectedEOF)
	}
}

// A Read that timed out in the middle of a record can be repeated.
func TestReadAfterATimeout(t *testing.T) {
	nc, ns := link(t)
	a, b := link(t)
	client, server := seal.Pair(nc, b, ring(t, 1), make([]byte, 20), make([]byte, 20))
	if _, err := client.Write([]byte("counts")); err != nil {
		t.Fatal(err)
	}
	record := make([]byte, 100)
	n, err := ns.Read(record)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 100)
	for i := range n {
		if err := server.SetReadDeadline(time.Now().Add(-time.Second)); err != nil {
			t.Fatal(err)
		}
		var timeout net.Error
		if _, err := server.Read(got); !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Fatalf("after %d bytes: %v, want a timeout", i, err)
		}
		if _, err := a.Write(record[i : i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := server.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if n, err := server.Read(got); err != nil || string(got[:n]) != "counts" {
		t.Errorf("Read() = %q, %v", got[:n], err)
	}
}

// tap keeps what is read from a connection.
type tap struct {
	net.Conn
	read bytes.Buffer
}

func (t *tap) Read(b []byte) (int, error) {
	n, err := t.Conn.Read(b)
	t.read.Write(b[:n])
	return n, err
}

func TestARecordedStreamIsRefused(t *testing.T) {
	r := ring(t, 1)
	nc, ns := link(t)
	wire := &tap{Conn: ns}
	done := make(chan error, 1)
	go func() {
		server, err := seal.Server(wire, r, 1)
		if err == nil {
			_, err = server.ReadRecord()
		}
		done <- err
	}()
	client, err := seal.Client(nc, r, seal.Gossip, 1)
	if err == nil {
		err = client.WriteRecord([]byte("counts"))
	}
	if err := errors.Join(err, <-done); err != nil {
		t.Fatal(err)
	}

	attacker, victim := link(t)
	if _, err := attacker.Write(wire.read.Bytes()); err != nil {
		t.Fatal(err)
	}
	if _, err := seal.Server(victim, r, 1); !errors.Is(err, seal.ErrForged) {
		t.Errorf("the recorded stream to a server: %v, want %v", err, seal.ErrForged)
	}

	attacker, victim = link(t)
	go func() {
		_, err := seal.Server(victim, r, 1)
		done <- err
	}()
	if _, err := attacker.Write(wire.read.Bytes()[:20]); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 40) // a greeting, and a record without payload
	if _, err := io.ReadFull(attacker, answer); err != nil {
		t.Fatal(err)
	}
	if _, err := attacker.Write(answer[20:]); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, seal.ErrForged) {
		t.Errorf("a server's own proof sent back to it: %v, want %v", err, seal.ErrForged)
	}
}

func TestRecordsCannotBeChangedOrMoved(t *testing.T) {
	for name, change := range map[string]func(first, second []byte) []byte{
		"a changed length":     func(first, _ []byte) []byte { first[3]--; return first },
		"a changed ciphertext": func(first, _ []byte) []byte { first[5]++; return first },
		"one twice":            func(first, _ []byte) []byte { return append(bytes.Clone(first), first...) },
		"one left out":         func(_, second []byte) []byte { return second },
		"two swapped":          func(first, second []byte) []byte { return append(bytes.Clone(second), first...) },
		"a length of zero":     func(_, _ []byte) []byte { return make([]byte, 4) },
		"a length too large":   func(_, _ []byte) []byte { return []byte{0, 1, 0, 17} },
	} {
		t.Run(name, func(t *testing.T) {
			nc, ns := link(t)
			client, _ := seal.Pair(nc, ns, ring(t, 1), make([]byte, 20), make([]byte, 20))
			var records [][]byte
			for _, payload := range []string{"first", "other"} {
				if err := client.WriteRecord([]byte(payload)); err != nil {
					t.Fatal(err)
				}
				record := make([]byte, 100)
				n, err := ns.Read(record)
				if err != nil {
					t.Fatal(err)
				}
				records = append(records, record[:n])
			}
			attacker, victim := link(t)
			_, server := seal.Pair(attacker, victim, ring(t, 1), make([]byte, 20), make([]byte, 20))
			if _, err := attacker.Write(change(records[0], records[1])); err != nil {
				t.Fatal(err)
			}
			attacker.Close()
			_, err := io.ReadAll(server)
			if !errors.Is(err, seal.ErrForged) && !errors.Is(err, seal.ErrGarbled) {
				t.Errorf("read: %v, want a refusal", err)
			}
			if _, again := server.ReadRecord(); again == nil {
				t.Error("the stream goes on after that")
			}
		})
	}
}

func TestAStreamEndsWithItsKey(t *testing.T) {
	rc, rs := ring(t, 1, 2), ring(t, 1, 2)
	client, server := connect(t, rc, rs)
	exchange := func() error {
		if err := client.WriteRecord([]byte("counts")); err != nil {
			return err
		}
		_, err := server.ReadRecord()
		return err
	}
	if err := exchange(); err != nil || client.Outdated() {
		t.Fatalf("at first: %v, outdated %t", err, client.Outdated())
	}
	set(t, rc, 2, 1)
	if err := exchange(); err != nil || !client.Outdated() {
		t.Errorf("another key seals: %v, outdated %t", err, client.Outdated())
	}
	set(t, rs, 2)
	if err := exchange(); !errors.Is(err, seal.ErrRevoked) {
		t.Errorf("the receiver has removed the key: %v, want %v", err, seal.ErrRevoked)
	}
	set(t, rc, 2)
	if err := exchange(); !errors.Is(err, seal.ErrRevoked) {
		t.Errorf("the sender has removed the key: %v, want %v", err, seal.ErrRevoked)
	}
}
