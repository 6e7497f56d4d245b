package report

import (
	"encoding/json"
	"fmt"
	"io"
	"unique"
)

// Read reads a State in JSON, one policy after another: as one text ten thousand of them
// take megabytes. Names are stored once, however often they are read. The error says
// what is no State.
func Read(r io.Reader) (*State, error) {
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
			policies, err = readPolicies(in)
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

// readPolicies reads a list of policies, or null, which is nil.
func readPolicies(in *json.Decoder) ([]Policy, error) {
	switch begin, err := in.Token(); {
	case err != nil:
		return nil, err
	case begin == nil:
		return nil, nil
	case begin != json.Delim('['):
		return nil, fmt.Errorf("policies begin with %v", begin)
	}
	list := []Policy{}
	for in.More() {
		var p Policy
		if err := in.Decode(&p); err != nil {
			return nil, err
		}
		p.share()
		list = append(list, p)
	}
	return list, expect(in, json.Delim(']'))
}

// expect reads a token that has to come.
func expect(in *json.Decoder, want json.Token) error {
	got, err := in.Token()
	if err == nil && got != want {
		err = fmt.Errorf("%v where %v should be", got, want)
	}
	return err
}

// share has equal names share their memory: every enforcer tells them, again and again.
func (p *Policy) share() {
	names := []*string{&p.Namespace, &p.Name, &p.UID, &p.Domain}
	for i := range p.Limits {
		names = append(names, &p.Limits[i].Name)
	}
	for _, name := range names {
		*name = unique.Make(*name).Value()
	}
}
