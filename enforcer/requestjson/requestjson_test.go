package requestjson_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/enforcer/request"
	"github.com/sluice-dev/sluice/enforcer/requestjson"
)

// read returns the request that a text describes.
func read(text string) (*request.Request, error) {
	var r requestjson.Request
	if err := requestjson.Decode(strings.NewReader(text), &r); err != nil {
		return nil, err
	}
	req := &request.Request{Cost: 1}
	return req, r.Fill(req, &request.HTTP{})
}

func TestWhatATextDescribes(t *testing.T) {
	user := []request.Entry{{Key: "user", Value: "u"}}
	nothing := request.Values(nil)
	for text, want := range map[string]request.Request{
		``:   {Cost: 1, HTTP: &request.HTTP{Headers: request.Values{}, Query: nothing}},
		`{}`: {Cost: 1, HTTP: &request.HTTP{Headers: request.Values{}, Query: nothing}},
		`{"method": "GET", "path": "/", "host": "Shop.Example", "query": {"p": "1"}, "headers": {"X-Api-Key": "alice"}, "source": {"address": "10.0.0.1"}, "cost": 0}`: {
			HTTP: &request.HTTP{Method: "GET", Path: "/", Host: "shop.example", Source: "10.0.0.1", Headers: request.Values{"x-api-key": "alice"}, Query: request.Values{"p": "1"}},
		},
		`{"descriptors": [{"entries": [{"key": "user", "value": "u"}], "cost": -2}, {"entries": [{"key": "user", "value": "u"}]}]}`: {
			Cost: 1, Descriptors: []request.Descriptor{{Entries: user, Cost: -2, HasCost: true}, {Entries: user}},
		},
		`{"path": "/", "descriptors": [{"entries": [{"key": "user", "value": "u"}]}]}`: {
			Cost: 1, HTTP: &request.HTTP{Path: "/", Headers: request.Values{}, Query: nothing}, Descriptors: []request.Descriptor{{Entries: user}},
		},
	} {
		got, err := read(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if diff := cmp.Diff(&want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

// Whatever is accepted is within bounds, and its JSON describes the same.
func FuzzRequest(f *testing.F) {
	f.Add(`{"path": "/", "headers": {"A": "b"}, "cost": -1, "descriptors": [{"entries": [{"key": "k", "value": ""}], "cost": 9}]}`)
	f.Add(`{"descriptors": [{"entries": []}]}`)
	f.Add(`{"query": null, "source": {}} {}`)
	f.Fuzz(func(t *testing.T, text string) {
		var r requestjson.Request
		if requestjson.Decode(strings.NewReader(text), &r) != nil {
			return
		}
		req := &request.Request{}
		if r.Fill(req, &request.HTTP{}) != nil {
			return
		}
		if len(req.Descriptors) > request.MaxDescriptors {
			t.Fatalf("%d descriptors", len(req.Descriptors))
		}
		for _, d := range req.Descriptors {
			if len(d.Entries) == 0 {
				t.Fatal("a descriptor without entries")
			}
		}
		again, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := read(string(again)); err != nil {
			t.Fatalf("%s is not read any more: %v", again, err)
		}
	})
}
