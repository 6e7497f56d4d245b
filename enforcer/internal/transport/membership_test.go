package transport_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/sluice-dev/sluice/enforcer/internal/transport"
)

// listen waits for a packet.
func listen(t *testing.T, s *transport.Side) transport.Packet {
	t.Helper()
	var got transport.Packet
	eventually(t, "a packet", func() bool {
		select {
		case got = <-s.Packets():
			return true
		default:
			return false
		}
	})
	return got
}

func TestMembershipPackets(t *testing.T) {
	for _, bs := range [][]byte{nil, {1}} {
		// Gossip goes on beside it.
		a, b := says(8, transport.MaxFrame), says(8, transport.MaxFrame)
		ta, tb := run(t, a, keys(ring(t, bs...))), run(t, b, keys(ring(t, bs...)))
		introduce(ta, tb)
		ma, mb := ta.Membership(), tb.Membership()
		for _, text := range []string{"", "ping", strings.Repeat("x", transport.MaxDatagram)} {
			sent, err := ma.WriteTo([]byte(text), tb.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			got := listen(t, mb)
			if string(got.Data) != text || got.From != ta.Addr() || got.At.Before(sent.Add(-1e9)) || got.At.IsZero() {
				t.Errorf("packet %q from %s at %s, want %q from %s", got.Data, got.From, got.At, text, ta.Addr())
			}
			if _, err := mb.WriteTo([]byte("ack"), got.From.String()); err != nil {
				t.Fatal(err)
			}
			if got := listen(t, ma); string(got.Data) != "ack" || got.From != tb.Addr() {
				t.Errorf("answer %q from %s", got.Data, got.From)
			}
		}
		if s := ta.Stats(); s.MembershipSent.Frames != 3 || s.MembershipReceived.Frames != 3 {
			t.Errorf("counted %+v, want 3 each way", s)
		}
	}
}

func TestMembershipSendsBeforeRun(t *testing.T) {
	ta, tb := open(t, says()), run(t, says())
	defer ta.Close()
	if _, err := ta.Membership().WriteTo([]byte("early"), tb.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if got := listen(t, tb.Membership()); string(got.Data) != "early" {
		t.Errorf("packet %q", got.Data)
	}
}

func TestMembershipErrors(t *testing.T) {
	ta := run(t, says())
	m := ta.Membership()
	for _, c := range []struct {
		size    int
		address string
		want    string
	}{
		{transport.MaxDatagram + 1, ta.Addr().String(), "a datagram of 1201 bytes: send at most 1200, or use a stream"},
		{1, "pod-1.sluice:7946", "write ip:port"},
		{1, "127.0.0.1", "write ip:port"},
	} {
		if _, err := m.WriteTo(make([]byte, c.size), c.address); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("WriteTo(%d bytes, %s) = %v, want an error with %q", c.size, c.address, err, c.want)
		}
	}
	nobody := open(t, says())
	nobody.Close()
	if conn, err := m.Dial(t.Context(), nobody.Addr().String()); err == nil || conn != nil {
		t.Errorf("Dial of nobody: %v, %v", conn, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if conn, err := m.Dial(ctx, ta.Addr().String()); !errors.Is(err, context.Canceled) || conn != nil {
		t.Errorf("Dial with a context that has ended: %v, %v", conn, err)
	}
}

// accept waits for a stream.
func accept(t *testing.T, s *transport.Side) net.Conn {
	t.Helper()
	var got net.Conn
	eventually(t, "a stream", func() bool {
		select {
		case got = <-s.Streams():
			return true
		default:
			return false
		}
	})
	return got
}

func TestMembershipStreams(t *testing.T) {
	for _, bs := range [][]byte{nil, {1}} {
		ta, tb := run(t, says(), keys(ring(t, bs...))), run(t, says(), keys(ring(t, bs...)))
		client, err := ta.Membership().Dial(t.Context(), tb.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		server := accept(t, tb.Membership())
		text := bytes.Repeat([]byte("state "), 200_000)
		go func() {
			_, _ = client.Write(text)
			got := make([]byte, 2)
			_, _ = io.ReadFull(client, got)
			client.Close()
		}()
		got := make([]byte, len(text))
		if _, err := io.ReadFull(server, got); err != nil || !bytes.Equal(got, text) {
			t.Fatalf("%d keys: the state differs: %v", len(bs), err)
		}
		if _, err := server.Write([]byte("ok")); err != nil {
			t.Fatal(err)
		}
		if rest, err := io.ReadAll(server); err != nil || len(rest) > 0 {
			t.Errorf("%d keys: %q at the end, %v", len(bs), rest, err)
		}
		server.Close()
		eventually(t, "no connection is left", func() bool { return ta.Connections() == 0 && tb.Connections() == 0 })
	}
}

func TestMembershipStreamsNeedTheKey(t *testing.T) {
	ta, tb := run(t, says(), keys(ring(t, 1))), run(t, says(), keys(ring(t, 2)))
	if conn, err := ta.Membership().Dial(t.Context(), tb.Addr().String()); err == nil {
		conn.Close()
		t.Error("a stream was opened without a key in common")
	}
}

func TestWhatNobodyTakesIsDroppedAndCounted(t *testing.T) {
	ta, tb := run(t, says()), run(t, says())
	ma := ta.Membership()
	eventually(t, "packets are dropped", func() bool {
		for range 50 {
			if _, err := ma.WriteTo([]byte("ping"), tb.Addr().String()); err != nil {
				t.Fatal(err)
			}
		}
		return tb.Stats().Dropped["membership_full"] > 0
	})
	before := tb.Stats().Dropped["membership_full"]
	eventually(t, "streams are dropped", func() bool {
		conn, err := ma.Dial(t.Context(), tb.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return tb.Stats().Dropped["membership_full"] > before
	})
}

func TestAClosedSide(t *testing.T) {
	ta, tb := run(t, says(8)), run(t, says(8))
	introduce(ta, tb)
	ma, mb := ta.Membership(), tb.Membership()
	waiting, err := ma.Dial(t.Context(), tb.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the stream waits", func() bool { return len(mb.Streams()) == 1 })
	for range 2 {
		if err := mb.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := waiting.Read(make([]byte, 1)); err == nil {
		t.Error("a stream that nobody took stays open")
	}
	if _, err := mb.WriteTo([]byte("x"), ta.Addr().String()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("WriteTo() = %v, want %v", err, net.ErrClosed)
	}
	if _, err := mb.Dial(t.Context(), ta.Addr().String()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Dial() = %v, want %v", err, net.ErrClosed)
	}
	if _, err := ma.WriteTo([]byte("x"), tb.Addr().String()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what comes is dropped", func() bool { return tb.Stats().Dropped["membership_full"] > 0 })
	received := tb.Stats().ReceivedUDP.Frames
	eventually(t, "gossip goes on", func() bool { return tb.Stats().ReceivedUDP.Frames > received+3 })
}
