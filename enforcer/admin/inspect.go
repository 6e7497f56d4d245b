package admin

import (
	"errors"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/sluice-dev/sluice/enforcer/inspect"
	"github.com/sluice-dev/sluice/enforcer/jsonhttp"
	"github.com/sluice-dev/sluice/enforcer/requestjson"
)

// maxBody bounds the JSON of a question.
const maxBody = 64 << 10

// Inspector answers questions about the policies and counters in force. An error
// is the caller's fault: an inspect.NotFound, or what to ask instead.
type Inspector interface {
	// Explain says which limits apply to a request, and why.
	Explain(*inspect.Request) (*inspect.Explanation, error)

	// Try says what the answer to a request would be, and charges nothing.
	Try(*inspect.Request) (*inspect.Answer, error)

	// Look reads the counter of a client.
	Look(*inspect.Client) (*inspect.Counter, error)

	// Reset gives a client a full counter here, and tells the pool.
	Reset(*inspect.Client) (*inspect.Counter, error)
}

// handle adds what an Inspector answers. Questions are POST with a JSON body: they
// hold what identifies clients, which has no place in a URL that others log. What
// changes something is PUT: it may be repeated, it is another right than POST where
// an API server is in between, and nothing that scrapes or follows links sends it.
func handle(mux *http.ServeMux, ready func() error, i Inspector) {
	for path, methods := range map[string]map[string]http.HandlerFunc{
		"/v1/explain": {http.MethodPost: ask(ready, i.Explain)},
		"/v1/try":     {http.MethodPost: ask(ready, i.Try)},
		"/v1/keys":    {http.MethodPost: ask(ready, i.Look), http.MethodPut: ask(ready, i.Reset)},
	} {
		allowed := slices.Sorted(maps.Keys(methods))
		for method, question := range methods {
			mux.HandleFunc(method+" "+path, question)
		}
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Allow", strings.Join(allowed, ", "))
			jsonhttp.Problem(w, http.StatusMethodNotAllowed, "send "+strings.Join(allowed, " or ")+" with a JSON body")
		})
	}
}

// ask reads a question and writes its answer.
func ask[Q, A any](ready func() error, answer func(*Q) (*A, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != jsonhttp.Type {
			jsonhttp.Problem(w, http.StatusUnsupportedMediaType, "send JSON, with Content-Type: "+jsonhttp.Type)
			return
		}
		question := new(Q)
		if err := requestjson.Decode(http.MaxBytesReader(w, r.Body, maxBody), question); err != nil {
			jsonhttp.Problem(w, jsonhttp.CodeOf(err), fmt.Sprintf("the body is not what %s takes: %v", r.URL.Path, err))
			return
		}
		if err := ready(); err != nil { // what has no policies, or not the pool's counts, would answer wrongly
			jsonhttp.Problem(w, http.StatusServiceUnavailable, err.Error())
			return
		}
		out, err := answer(question)
		switch {
		case errors.As(err, new(inspect.NotFound)):
			jsonhttp.Problem(w, http.StatusNotFound, err.Error())
		case err != nil:
			jsonhttp.Problem(w, http.StatusBadRequest, err.Error())
		default:
			jsonhttp.Write(w, http.StatusOK, jsonhttp.Type, out)
		}
	}
}
