package plugin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
)

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 64 << 20

// refusal is an answer that says no.
type refusal struct {
	code    int
	message string

	// apiServer says that it is the API server's and not an enforcer's.
	apiServer bool
}

// Error returns the message.
func (r *refusal) Error() string { return r.message }

// forbidden says whether an error is that a right is missing.
func forbidden(err error) bool {
	var r *refusal
	return errors.As(err, &r) && r.apiServer && r.code == http.StatusForbidden
}

// call sends a body, unless it is nil, and reads the JSON of the answer into into.
func call(ctx context.Context, client *http.Client, method, url string, body, into any) error {
	var sent bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&sent).Encode(body); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, url, &sent)
	if err != nil {
		return err
	}
	if req.Header.Set("Accept", "application/json"); body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("the answer is cut: %w", err)
	}
	if resp.StatusCode/100 != 2 {
		return refusalOf(resp, text)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("the answer is not what an enforcer says: %w", err)
	}
	return nil
}

// refusalOf reads the Status of an API server, the problem of an enforcer, or what
// somebody on the way says.
func refusalOf(resp *http.Response, text []byte) *refusal {
	var said struct{ Kind, Message, Detail string }
	_ = json.Unmarshal(text, &said)
	r := &refusal{code: resp.StatusCode, apiServer: said.Kind == "Status"}
	switch {
	case r.apiServer:
		r.message = said.Message
	case said.Detail != "":
		r.message = said.Detail
	case r.code == http.StatusNotFound:
		r.message = fmt.Sprintf("404 Not Found: it knows no %s: is it older than this plugin, or Sluice not installed?", resp.Request.URL.Path)
	default:
		line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
		r.message = strings.TrimSuffix(resp.Status+": "+line, ": ")
	}
	return r
}

// enforcer is one to be asked.
type enforcer struct {
	name   string
	url    string // of its admin port, or of the API server's proxy to it
	client *http.Client
}

// call asks the enforcer.
func (e enforcer) call(ctx context.Context, method, path string, body, into any) error {
	if err := call(ctx, e.client, method, e.url+path, body, into); err != nil {
		return fmt.Errorf("enforcer %s: %w", e.name, err)
	}
	return nil
}

// askAll asks all enforcers at once, and returns their answers in order: nil, and
// among the errors why, for one that does not answer. Where the question is at fault
// one says so for all.
func askAll[A any](ctx context.Context, enforcers []enforcer, method, path string, body any) ([]*A, error) {
	answers, errs := make([]*A, len(enforcers)), make([]error, len(enforcers))
	var asking sync.WaitGroup
	for i, e := range enforcers {
		asking.Go(func() {
			answer := new(A)
			if errs[i] = e.call(ctx, method, path, body, answer); errs[i] == nil {
				answers[i] = answer
			}
		})
	}
	asking.Wait()
	seen := map[int]bool{}
	for i, err := range errs {
		if code, yes := atFault(err); yes {
			if seen[code] {
				errs[i] = nil
			}
			seen[code] = true
		}
	}
	return answers, errors.Join(errs...)
}

// atFault says whether an error is about the question, and its code. A pod that the
// API server does not find is gone, and another one can answer.
func atFault(err error) (code int, yes bool) {
	var r *refusal
	if !errors.As(err, &r) || r.apiServer && r.code == http.StatusNotFound {
		return 0, false
	}
	return r.code, r.code/100 == 4
}

// askOne returns what the first enforcer says that answers.
func askOne[A any](ctx context.Context, enforcers []enforcer, method, path string, body any) (*A, error) {
	var errs []error
	for _, e := range enforcers {
		answer := new(A)
		err := e.call(ctx, method, path, body, answer)
		if err == nil {
			return answer, nil
		}
		errs = append(errs, err)
		if _, yes := atFault(err); yes {
			break // the others would say the same
		}
	}
	return nil, errors.Join(errs...)
}
