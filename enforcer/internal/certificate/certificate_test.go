package certificate_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/test/bufconn"

	"github.com/sluice-dev/sluice/enforcer/internal/certificate"
	"github.com/sluice-dev/sluice/internal/certtest"
)

const name = "sluice.sluice-system.svc"

// folder is where a test keeps its files.
type folder struct {
	*testing.T
	path string
}

func newFolder(t *testing.T) folder { return folder{t, t.TempDir()} }

func (f folder) write(file string, text []byte) string {
	f.Helper()
	path := filepath.Join(f.path, file)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		f.Fatal(err)
	}
	return path
}

// paths writes a pair, and authorities for clients.
func (f folder) paths(pair certtest.Pair, clients ...*certtest.Authority) certificate.Paths {
	f.Helper()
	p := certificate.Paths{Certificate: f.write("tls.crt", pair.Certificate), Key: f.write("tls.key", pair.Key)}
	for i, a := range clients {
		p.ClientCAs = append(p.ClientCAs, f.write(fmt.Sprintf("client-ca-%d.crt", i), a.PEM))
	}
	return p
}

// connect returns both ends of a connection in memory. It has buffers: both sides of
// a handshake may talk at once.
func connect(t *testing.T) (server, client net.Conn) {
	t.Helper()
	listener := bufconn.Listen(1 << 16)
	dialed := make(chan error, 1)
	go func() {
		var err error
		client, err = listener.Dial()
		dialed <- err
	}()
	server, err := listener.Accept()
	if err := errors.Join(err, <-dialed); err != nil {
		t.Fatal(err)
	}
	return server, client
}

// shake makes a connection. Its error is that of whichever side refuses.
func shake(t *testing.T, server, client *tls.Config) (conn *tls.Conn, err error) {
	t.Helper()
	there, here := connect(t)
	accepted := tls.Server(there, server)
	failed := make(chan error, 1)
	go func() {
		err := accepted.Handshake()
		failed <- err
		if err != nil {
			_ = there.Close()
			return
		}
		_, _ = accepted.Write([]byte("hello")) // brings a client its session ticket
		_, _ = accepted.Read(make([]byte, 1))  // until it hangs up
		_ = there.Close()
	}()
	t.Cleanup(func() { _ = here.Close() })
	conn = tls.Client(here, client)
	if err = conn.Handshake(); err == nil {
		_, err = conn.Read(make([]byte, 5))
	}
	if err != nil {
		_ = here.Close()
	}
	return conn, errors.Join(err, <-failed)
}

// shown returns the serial number that a server shows.
func shown(t *testing.T, f *certificate.Files, client *tls.Config) string {
	t.Helper()
	conn, err := shake(t, f.Config(true), client)
	if err != nil {
		t.Fatal(err)
	}
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

func serial(t *testing.T, p certtest.Pair) string {
	t.Helper()
	return p.TLS(t).Leaf.SerialNumber.String()
}

func TestNewFilesAreTakenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		authority, in := certtest.New(t), newFolder(t)
		first, second := authority.Issue(name), authority.IssueUntil(time.Now().Add(2*time.Hour), name)
		var log bytes.Buffer
		files, err := certificate.Open(in.paths(first), slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		go files.Run(t.Context())
		shows := func(want certtest.Pair, stale bool) {
			t.Helper()
			if got := shown(t, files, authority.Client(name)); got != serial(t, want) || files.Stale() != stale {
				t.Errorf("certificate %s, stale %v; want %s, %v", got, files.Stale(), serial(t, want), stale)
			}
		}
		shows(first, false)

		// Between the two files the pair is none; it is not looked at then.
		<-time.After(time.Minute)
		in.write("tls.crt", second.Certificate)
		<-time.After(time.Second)
		in.write("tls.key", second.Key)
		shows(first, false)
		<-time.After(10 * time.Second)
		shows(second, false)
		if want := second.TLS(t).Leaf.NotAfter; !files.Expires().Equal(want) {
			t.Errorf("expires %s, want %s", files.Expires(), want)
		}

		in.write("tls.key", first.Key)
		<-time.After(10 * time.Second)
		shows(second, true)
		if err := os.Remove(filepath.Join(in.path, "tls.crt")); err != nil {
			t.Fatal(err)
		}
		<-time.After(10 * time.Second)
		shows(second, true)
		in.paths(first)
		<-time.After(10 * time.Second)
		shows(first, false)

		for text, want := range map[string]int{"TLS files changed": 2, "private key does not match": 1, "no such file": 1, "the last good ones stay in force": 2} {
			if got := strings.Count(log.String(), text); got != want {
				t.Errorf("%q is logged %d times, want %d:\n%s", text, got, want, log.String())
			}
		}
	})
}

func TestWhoIsLetIn(t *testing.T) {
	authority, clients, more, others := certtest.New(t), certtest.New(t), certtest.New(t), certtest.New(t)
	in := newFolder(t)
	files, err := certificate.Open(in.paths(authority.Issue(name), clients, more), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	unasked, err := certificate.Open(newFolder(t).paths(authority.Issue(name)), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	old := authority.Client(name)
	old.MinVersion, old.MaxVersion = tls.VersionTLS11, tls.VersionTLS11
	insists := authority.Client(name)
	insists.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		c := others.Issue("envoy").TLS(t)
		return &c, nil
	}
	for what, tc := range map[string]struct {
		server *tls.Config
		client *tls.Config
		want   string // the error; "" for none
	}{
		"a client of the authority":      {files.Config(true), authority.Client(name, clients.Issue("envoy")), ""},
		"one of the other authority":     {files.Config(true), authority.Client(name, more.Issue("envoy")), ""},
		"one without a certificate":      {files.Config(true), authority.Client(name), "client didn't provide a certificate"},
		"one of somebody else":           {files.Config(true), insists, "certificate signed by unknown authority"},
		"one that is too late":           {files.Config(true), authority.Client(name, clients.IssueUntil(time.Now().Add(-time.Minute), "envoy")), "expired"},
		"where nobody is asked":          {files.Config(false), authority.Client(name), ""},
		"where there are no authorities": {unasked.Config(true), authority.Client(name), ""},
		"an old protocol":                {unasked.Config(true), old, "client offered only unsupported versions"},
		"a server by another name":       {files.Config(false), authority.Client("sluice"), "not sluice"},
	} {
		t.Run(what, func(t *testing.T) {
			_, err := shake(t, tc.server, tc.client)
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
}

// What an authority vouched for ends with it, also for a client that was there before.
func TestASessionEndsWithItsAuthority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		authority, before, after := certtest.New(t), certtest.New(t), certtest.New(t)
		in := newFolder(t)
		pair := authority.Issue(name)
		files, err := certificate.Open(in.paths(pair, before), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		go files.Run(t.Context())
		server, client := files.Config(true), authority.Client(name, before.Issue("envoy"))
		client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		for _, resumes := range []bool{false, true} {
			conn, err := shake(t, server, client)
			if err != nil || conn.ConnectionState().DidResume != resumes {
				t.Fatalf("resumed %v (%v), want %v", conn.ConnectionState().DidResume, err, resumes)
			}
		}
		in.paths(pair, after)
		<-time.After(10 * time.Second)
		if conn, err := shake(t, server, client); err == nil {
			t.Errorf("resumed %v: a client of the old authority is let in", conn.ConnectionState().DidResume)
		}
	})
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	authority, in := certtest.New(t), newFolder(t)
	pair := authority.Issue(name)
	good := in.paths(pair)
	key := in.write("other.key", authority.Issue(name).Key)
	empty := in.write("empty", nil)
	for want, p := range map[string]certificate.Paths{
		"--tls-*-file: open nowhere.crt: no such file":                {Certificate: "nowhere.crt", Key: good.Key},
		"--tls-private-key-file " + key + ": tls: private key does":   {Certificate: good.Certificate, Key: key},
		"--tls-cert-file " + empty + " and":                           {Certificate: empty, Key: good.Key},
		"--tls-client-ca-file " + empty + ": there is no certificate": {Certificate: good.Certificate, Key: good.Key, ClientCAs: []string{good.Certificate, empty}},
	} {
		if _, err := certificate.Open(p, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Open(%+v) = %v, want an error with %q", p, err, want)
		}
	}
}
