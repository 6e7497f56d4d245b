package controllers

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"syscall"
	"time"

	"github.com/sluice-dev/sluice/enforcer/report"
)

const (
	// askTimeout bounds one question to an enforcer.
	askTimeout = time.Second

	// maxState bounds what an enforcer may answer, in bytes.
	maxState = 64 << 20
)

// newHTTPClient returns a client for questions to enforcers: it goes nowhere
// else, neither by a proxy nor by a redirect.
func newHTTPClient() *http.Client {
	transport := &http.Transport{
		MaxIdleConnsPerHost: 1,
		IdleConnTimeout:     time.Minute,
	}
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// fetchState asks the enforcer at the URL of its admin port for its state, without the
// policies of documents that are known, by their digests.
func fetchState(ctx context.Context, client *http.Client, base string, known []string) answer {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	question := base + "/v1/state?" + url.Values{report.Known: known}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, question, nil)
	if err != nil {
		return answer{problem: "has no usable address: " + base}
	}
	resp, err := client.Do(req)
	if err != nil {
		return problemOf(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return answer{problem: fmt.Sprintf("answers /v1/state with status %d", resp.StatusCode)}
	}
	told := &telling{}
	state, err := report.Read(io.LimitReader(resp.Body, maxState), told.add)
	if err != nil {
		if ctx.Err() != nil {
			return problemOf(ctx.Err())
		}
		return answer{problem: "answers /v1/state with something else"}
	}
	if state.Policies == nil {
		told = nil
	}
	return answer{state: state, told: told}
}

// problemOf says why an enforcer does not answer, in words that are the same each
// time: they end up in the status of every policy.
func problemOf(err error) answer {
	var errno syscall.Errno
	var unverified *tls.CertificateVerificationError
	switch {
	case errors.As(err, &unverified):
		return answer{problem: unverifiedProblem(unverified.Err)}
	case errors.As(err, &errno):
		return answer{problem: "does not answer: " + errno.Error()}
	case errors.Is(err, context.DeadlineExceeded):
		return answer{problem: "does not answer: timeout", late: true}
	default:
		return answer{problem: "does not answer"}
	}
}

// unverifiedProblem says what is wrong with the certificate of an enforcer.
func unverifiedProblem(err error) string {
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &name):
		return "shows a certificate that is not for " + name.Host
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "shows a certificate that has expired, or is not valid yet"
	default:
		return "shows a certificate that does not lead to ca.crt of the pool's Secret"
	}
}
