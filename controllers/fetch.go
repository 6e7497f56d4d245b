package controllers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
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

// fetchState asks the enforcer at an admin address for its state.
func fetchState(ctx context.Context, client *http.Client, address string) answer {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/v1/state", nil)
	if err != nil {
		return answer{problem: "has no usable address: " + address}
	}
	resp, err := client.Do(req)
	if err != nil {
		return problemOf(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return answer{problem: fmt.Sprintf("answers /v1/state with status %d", resp.StatusCode)}
	}
	state := &report.State{}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxState)).Decode(state); err != nil {
		if ctx.Err() != nil {
			return problemOf(ctx.Err())
		}
		return answer{problem: "answers /v1/state with something else"}
	}
	return answer{state: state}
}

// problemOf says why an enforcer does not answer, in words that are the same each
// time: they end up in the status of every policy.
func problemOf(err error) answer {
	var errno syscall.Errno
	switch {
	case errors.As(err, &errno):
		return answer{problem: "does not answer: " + errno.Error()}
	case errors.Is(err, context.DeadlineExceeded):
		return answer{problem: "does not answer: timeout", late: true}
	default:
		return answer{problem: "does not answer"}
	}
}
