// Package certificate has the servers of an enforcer speak TLS, with the certificate
// and the client authorities that files hold at the time of each handshake.
package certificate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/sluice-dev/sluice/enforcer/internal/follow"
)

// Paths name files in PEM. Errors name the flags of cmd/enforcer that set them.
type Paths struct {
	// Certificate has the server's own one first and then those that lead to its
	// authority; Key has the private key of the first.
	Certificate, Key string

	// ClientCAs have the authorities that vouch for clients. None: no client is asked
	// for a certificate.
	ClientCAs []string
}

// Files is what files say. It is safe for concurrent use. A nil Files is that of a
// server that speaks plain text. Make one with Open.
type Files struct {
	paths   Paths
	files   *follow.Files
	log     *slog.Logger
	current atomic.Pointer[material]
	stale   atomic.Bool
}

// material is what a handshake needs. It is immutable.
type material struct {
	pair      tls.Certificate
	clientCAs *x509.CertPool // nil: clients show no certificate
}

// Open reads the files. The error says what is wrong with them.
func Open(p Paths, log *slog.Logger) (*Files, error) {
	f := &Files{paths: p, log: log}
	files, texts, err := follow.Open(append([]string{p.Certificate, p.Key}, p.ClientCAs...)...)
	if err != nil {
		return nil, fmt.Errorf("--tls-*-file: %w", err)
	}
	f.files = files
	return f, f.take(texts)
}

// take puts what the files say in force, all of it or nothing.
func (f *Files) take(texts [][]byte) error {
	pair, err := tls.X509KeyPair(texts[0], texts[1])
	if err != nil {
		return fmt.Errorf("--tls-cert-file %s and --tls-private-key-file %s: %w: name a certificate in PEM, and the key that it was made for",
			f.paths.Certificate, f.paths.Key, err)
	}
	m := &material{pair: pair}
	for i, text := range texts[2:] {
		if m.clientCAs == nil {
			m.clientCAs = x509.NewCertPool()
		}
		if !m.clientCAs.AppendCertsFromPEM(text) {
			return fmt.Errorf("--tls-client-ca-file %s: there is no certificate in it: name a file with those of authorities, in PEM", f.paths.ClientCAs[i])
		}
	}
	f.current.Store(m)
	return nil
}

// Run follows the files until ctx ends. Handshakes use what they say within seconds,
// and connections that are there go on. While the files are away or bad, what they
// said last is in force.
func (f *Files) Run(ctx context.Context) {
	if f == nil {
		return
	}
	f.files.Run(ctx, func(texts [][]byte, err error) {
		if err == nil {
			err = f.take(texts)
		}
		f.stale.Store(err != nil)
		if err != nil {
			f.log.Error("the new TLS files cannot be used; the last good ones stay in force", "expires", f.Expires(), "error", err)
			return
		}
		f.log.Info("TLS files changed", "file", f.paths.Certificate, "expires", f.Expires())
	})
}

// Config returns the configuration of a server that speaks these protocols of ALPN,
// the preferred one first; nil for a nil Files. With validate, clients have to show
// a certificate of one of the authorities, if there are any.
func (f *Files) Config(validate bool, protocols ...string) *tls.Config {
	if f == nil {
		return nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: protocols}
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		now := f.current.Load()
		c := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: protocols, Certificates: []tls.Certificate{now.pair}}
		if validate && now.clientCAs != nil {
			c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, now.clientCAs
		}
		return c, nil
	}
	return config
}

// Expires returns when the certificate in force does.
func (f *Files) Expires() time.Time { return f.current.Load().pair.Leaf.NotAfter }

// Stale says whether the files hold something else than what is in force, that
// cannot be used.
func (f *Files) Stale() bool { return f.stale.Load() }
