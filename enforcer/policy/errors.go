package policy

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sluice-dev/sluice/enforcer/expression"
)

// Error is a fault in one field of a policy.
type Error struct {
	Policy       string // namespace/name
	Field        string // as in the RateLimitPolicy: spec.limits[0].key[1]
	Line, Column int    // in an expression, from 1; 0 elsewhere
	Message      string // what is wrong, and what to write instead
}

// Error returns all of it in one line.
func (e *Error) Error() string { return e.Policy + ": " + e.Detail() }

// Detail returns the fault without the policy's name.
func (e *Error) Detail() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", e.Field, e.Message)
	}
	return fmt.Sprintf("%s: %d:%d: %s", e.Field, e.Line, e.Column, e.Message)
}

// Errors returns the faults that Compile or CompilePolicy found.
func Errors(err error) []*Error {
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		var all []*Error
		for _, e := range joined.Unwrap() {
			all = append(all, Errors(e)...)
		}
		return all
	}
	var one *Error
	if errors.As(err, &one) {
		return []*Error{one}
	}
	return nil
}

// faults collects the faults of one policy, each with the path of its field.
type faults struct {
	policy string
	all    []error
}

func (f *faults) add(field, format string, args ...any) {
	f.all = append(f.all, &Error{Policy: f.policy, Field: field, Message: fmt.Sprintf(format, args...)})
}

// addErr adds an error of a constructor or of an expression.
func (f *faults) addErr(field string, err error) {
	fault := &Error{Policy: f.policy, Field: field, Message: err.Error()}
	var in *expression.Error
	if errors.As(err, &in) {
		fault.Line, fault.Column, fault.Message = in.Line, in.Column, strings.TrimSpace(in.Message)
	}
	f.all = append(f.all, fault)
}

func (f *faults) err() error { return errors.Join(f.all...) }
