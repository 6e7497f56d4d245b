// Package jsonhttp is how an enforcer answers with JSON over HTTP, and with the
// problems of RFC 9457 where it does not do what it is asked.
package jsonhttp

import (
	"encoding/json"
	"errors"
	"net/http"
)

// The media types of answers.
const (
	Type        = "application/json"
	ProblemType = "application/problem+json"
)

// Write writes a body. A client that is gone cannot be told, so errors are dropped.
func Write(w http.ResponseWriter, code int, mediaType string, body any) {
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body)
}

// Problem writes an error as a problem.
func Problem(w http.ResponseWriter, code int, detail string) {
	Write(w, code, ProblemType, struct {
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
	}{http.StatusText(code), code, detail})
}

// CodeOf returns the status of a request whose body could not be read because of
// err: 413 when it is longer than an http.MaxBytesReader lets through, else 400.
func CodeOf(err error) int {
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusBadRequest
}
