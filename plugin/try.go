package plugin

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sluice-dev/sluice/enforcer/inspect"
)

// Try asks every enforcer what the answer to a request would be; nothing is
// charged.
type Try struct{ Question }

func (t Try) run(ctx context.Context, o *Options) error {
	request, enforcers, err := t.addressed(ctx, o)
	if err != nil {
		return err
	}
	answers, err := askAll[inspect.Answer](ctx, enforcers, http.MethodPost, "/v1/try", request)
	answers = slices.DeleteFunc(answers, func(a *inspect.Answer) bool { return a == nil })
	switch {
	case len(answers) == 0:
		return err
	case o.Output == outputJSON:
		return o.writeJSON(answers)
	}
	askKeepers(answers)
	text := answersText(answers)
	if err != nil {
		text += fmt.Sprintf("\nNo answer: %v\n", err)
	}
	_, err = fmt.Fprint(o.Out, text)
	return err
}

// askKeepers replaces what enforcers suppose of limits that are shared exactly by what the
// one says that keeps the count, where that one is among them: each then answers as it
// would decide, once it has asked.
func askKeepers(answers []*inspect.Answer) {
	by := map[string]*inspect.Answer{}
	for _, a := range answers {
		by[a.Node] = a
	}
	for _, a := range answers {
		for i := range a.Limits {
			v := &a.Limits[i]
			if k := by[v.KeptBy]; k != nil && k != a && i < len(k.Limits) && k.Limits[i].Name == v.Name && k.Limits[i].KeptBy == k.Node {
				*v = k.Limits[i]
			}
		}
		decide(a)
	}
}

// decide makes the outcome of an answer what its limits say.
func decide(a *inspect.Answer) {
	for i := range a.Limits {
		if v := &a.Limits[i]; v.Denied && !v.Shadow {
			if a.Outcome != denied {
				a.Outcome, a.Decided = denied, &v.Name
			}
			return
		}
	}
	if a.Outcome == denied {
		a.Outcome = admitted
	}
}

// answersText writes the strictest answer, and who says otherwise. Enforcers that
// clients do not use hear of a counter a little later than the others.
func answersText(answers []*inspect.Answer) string {
	strictest := slices.MinFunc(answers, func(a, b *inspect.Answer) int {
		return cmp.Or(cmp.Compare(leniency(a), leniency(b)), cmp.Compare(left(a), left(b)))
	})
	var out strings.Builder
	fmt.Fprint(&out, strictest.Outcome)
	if strictest.Decided != nil {
		fmt.Fprintf(&out, " by %s", strictest.Decided)
	}
	fmt.Fprintln(&out)
	if len(strictest.Limits) > 0 {
		fmt.Fprintln(&out)
		out.WriteString(verdictTable(strictest.Limits))
	}
	var others []string
	for _, a := range answers {
		if a.Outcome != strictest.Outcome {
			others = append(others, a.Node+" says "+a.Outcome)
		}
	}
	if len(others) > 0 {
		fmt.Fprintf(&out, "\nSo says %s; %s.\n", strictest.Node, strings.Join(others, ", "))
	}
	return out.String()
}

const admitted, denied = "admitted", "denied"

// leniency orders answers: those that deny first.
func leniency(a *inspect.Answer) int {
	if a.Outcome == denied {
		return 0
	}
	return 1
}

// left is what the deciding limit has left after the request.
func left(a *inspect.Answer) int64 {
	for _, v := range a.Limits {
		if a.Decided != nil && v.Name == *a.Decided && v.Remaining != nil {
			return *v.Remaining
		}
	}
	return 0
}

// verdictTable writes a line for each limit that applies.
func verdictTable(verdicts []inspect.Verdict) string {
	var out strings.Builder
	table := tabwriter.NewWriter(&out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "LIMIT\tSAYS\tLEFT\tFULL IN\tRETRY IN")
	for _, v := range verdicts {
		says, left := admitted, "unlimited"
		if v.Denied {
			says = denied
		}
		if v.Shadow {
			says += " (Shadow)"
		}
		if v.Remaining != nil {
			left = fmt.Sprint(*v.Remaining)
		}
		retry := v.RetryAfter
		if v.Denied && retry == "" {
			retry = "never"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", v.Name, says, left, cmp.Or(rounded(v.ResetAfter), "-"), cmp.Or(rounded(retry), "-"))
	}
	_ = table.Flush() // to a strings.Builder
	return out.String()
}

// rounded shortens a duration to what a reader makes use of; other texts stay.
func rounded(text string) string {
	d, err := time.ParseDuration(text)
	switch {
	case err != nil:
		return text
	case d >= time.Minute:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Millisecond).String()
}
