package report

import (
	"encoding/json"
	"fmt"
	"io"
)

// Read reads a State in JSON. It hands over one policy after another, as ten thousand of
// them are megabytes; in the State is then an empty list, or nil where it has none. The
// error says what is no State.
func Read(r io.Reader, policy func(*Policy)) (*State, error) {
	in := json.NewDecoder(r)
	if err := expect(in, json.Delim('{')); err != nil {
		return nil, err
	}
	var policies []Policy
	rest := map[string]json.RawMessage{}
	for in.More() {
		name, err := in.Token()
		if err != nil {
			return nil, err
		}
		if name == "policies" {
			policies, err = readPolicies(in, policy)
		} else {
			var value json.RawMessage
			err = in.Decode(&value)
			rest[name.(string)] = value
		}
		if err != nil {
			return nil, err
		}
	}
	if err := expect(in, json.Delim('}')); err != nil {
		return nil, err
	}
	text, err := json.Marshal(rest)
	if err != nil {
		return nil, err
	}
	state := &State{}
	if err := json.Unmarshal(text, state); err != nil {
		return nil, err
	}
	state.Policies = policies
	return state, nil
}

// readPolicies hands over what is in a list of policies, and returns an empty one, or
// nil for null.
func readPolicies(in *json.Decoder, policy func(*Policy)) ([]Policy, error) {
	switch begin, err := in.Token(); {
	case err != nil:
		return nil, err
	case begin == nil:
		return nil, nil
	case begin != json.Delim('['):
		return nil, fmt.Errorf("policies begin with %v", begin)
	}
	for in.More() {
		var p Policy
		if err := in.Decode(&p); err != nil {
			return nil, err
		}
		policy(&p)
	}
	return []Policy{}, expect(in, json.Delim(']'))
}

// expect reads a token that has to come.
func expect(in *json.Decoder, want json.Token) error {
	got, err := in.Token()
	if err == nil && got != want {
		err = fmt.Errorf("%v where %v should be", got, want)
	}
	return err
}
