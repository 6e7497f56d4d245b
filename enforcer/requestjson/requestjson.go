// Package requestjson reads the JSON in which a request is described to an
// enforcer: by callers that ask whether it is within its limits, and by people who
// want to know why.
package requestjson

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/request"
)

// Request is that JSON. Everything is optional: what is absent is "", and Cost 1.
type Request struct {
	Method      string            `json:"method,omitempty"`
	Path        string            `json:"path,omitempty"`
	Host        string            `json:"host,omitempty"`
	Query       map[string]string `json:"query,omitempty"`
	Headers     map[string]string `json:"headers,omitempty"`
	Source      Source            `json:"source,omitzero"`
	Descriptors []Descriptor      `json:"descriptors,omitempty"`
	Cost        *int64            `json:"cost,omitempty"`
}

// Source is where a request comes from.
type Source struct {
	Address string `json:"address"`
}

// Descriptor is a list of entries; Cost replaces that of the request for the
// limits that it matches.
type Descriptor struct {
	Entries []Entry `json:"entries"`
	Cost    *int64  `json:"cost,omitempty"`
}

// Entry is one key and value of a descriptor.
type Entry struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Decode reads one JSON value that has no fields but those of into. An empty body
// leaves into as it is.
func Decode(body io.Reader, into any) error {
	d := json.NewDecoder(body)
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if d.More() {
		return errors.New("it has more than one JSON value: send one")
	}
	return nil
}

// Fill describes the request in req, whose HTTP points to http, or is nil when
// there is nothing but descriptors. The error says what to send instead.
func (r *Request) Fill(req *request.Request, http *request.HTTP) error {
	if len(r.Descriptors) > request.MaxDescriptors {
		return fmt.Errorf("descriptors has %d items: send at most %d", len(r.Descriptors), request.MaxDescriptors)
	}
	*http = request.HTTP{
		Method: r.Method, Path: r.Path, Host: strings.ToLower(r.Host), Source: r.Source.Address,
		Headers: lowered(r.Headers), Query: request.Values(r.Query),
	}
	if req.HTTP = nil; r.describesHTTP() {
		req.HTTP = http
	}
	if r.Cost != nil {
		req.Cost = limit.Amount(*r.Cost)
	}
	for i, d := range r.Descriptors {
		if len(d.Entries) == 0 {
			return fmt.Errorf("descriptors[%d].entries is empty: send at least one", i)
		}
		out := request.Descriptor{}
		for _, e := range d.Entries {
			out.Entries = append(out.Entries, request.Entry(e))
		}
		if d.Cost != nil {
			out.HasCost, out.Cost = true, limit.Amount(*d.Cost)
		}
		req.Descriptors = append(req.Descriptors, out)
	}
	return nil
}

// describesHTTP says whether there is more than descriptors.
func (r *Request) describesHTTP() bool {
	return len(r.Descriptors) == 0 || r.Method+r.Path+r.Host+r.Source.Address != "" || r.Query != nil || r.Headers != nil
}

// lowered returns a map with lower-case names.
func lowered(in map[string]string) request.Values {
	out := make(request.Values, len(in))
	for name, value := range in {
		out[strings.ToLower(name)] = value
	}
	return out
}
