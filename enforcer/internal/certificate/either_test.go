package certificate_test

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/sluice-dev/sluice/enforcer/internal/certificate"
	"github.com/sluice-dev/sluice/internal/certtest"
)

func TestEitherIsSpoken(t *testing.T) {
	authority, clients := certtest.New(t), certtest.New(t)
	files, err := certificate.Open(newFolder(t).paths(authority.Issue(name), clients), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	here := loopback(t)
	listener := certificate.Either(here, files.Config(true))
	go func() { // echoes one line to each, but for the end
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(conn, io.LimitReader(conn, int64(len("hello"))))
				_ = conn.Close()
			}()
		}
	}()
	for what, tc := range map[string]struct {
		client *tls.Config // nil: plain text
		want   string      // the error; "" for none
	}{
		"plain text":                {nil, ""},
		"TLS with a certificate":    {authority.Client(name, clients.Issue("envoy")), ""},
		"TLS without a certificate": {authority.Client(name), "certificate required"},
	} {
		t.Run(what, func(t *testing.T) {
			conn, err := net.Dial("tcp", here.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			if tc.client != nil {
				conn = tls.Client(conn, tc.client)
			}
			defer func() { _ = conn.Close() }()
			_, err = conn.Write([]byte("hello"))
			var got []byte
			if err == nil {
				got, err = io.ReadAll(conn)
			}
			if tc.want == "" && (err != nil || string(got) != "hello") || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("answer %q, error %v; want error %q", got, err, tc.want)
			}
		})
	}
}

// A client that says nothing holds nobody up, and a server can hang up on it.
func TestWhoSaysNothingIsHungUpOn(t *testing.T) {
	here := loopback(t)
	listener := certificate.Either(here, nil)
	var last net.Conn
	for range 2 {
		client, err := net.Dial("tcp", here.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = client.Close() }()
		if last, err = listener.Accept(); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = last.Close() }()
	}
	read := make(chan error, 1)
	go func() {
		_, err := last.Read(make([]byte, 1))
		read <- err
	}()
	if err := last.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-read; err == nil {
		t.Error("a read after the end has no error")
	}
	if _, err := last.Write([]byte("late")); err == nil {
		t.Error("a write after the end has no error")
	}
}

func loopback(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}
