package plugin

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"text/tabwriter"

	"github.com/sluice-dev/sluice/enforcer/inspect"
)

// Explain asks which limits apply to a request, and why.
type Explain struct {
	Question

	// Files is a path of policies to answer by, without a cluster; "" asks one.
	Files string
}

func (e Explain) run(ctx context.Context, o *Options) error {
	explanation, err := e.answer(ctx, o)
	switch {
	case err != nil:
		return err
	case o.Output == outputJSON:
		return o.writeJSON(explanation)
	}
	_, err = fmt.Fprint(o.Out, explanationText(explanation))
	return err
}

func (e Explain) answer(ctx context.Context, o *Options) (*inspect.Explanation, error) {
	if e.Files != "" {
		request, snapshot, err := e.inFiles(ctx, o, e.Files)
		if err != nil {
			return nil, err
		}
		return inspect.Explain(snapshot, request)
	}
	request, enforcers, err := e.addressed(ctx, o)
	if err != nil {
		return nil, err
	}
	return askOne[inspect.Explanation](ctx, enforcers, http.MethodPost, "/v1/explain", request)
}

// explanationText writes a paragraph for each limit, and a summary.
func explanationText(e *inspect.Explanation) string {
	var out strings.Builder
	applying := 0
	for i := range e.Limits {
		f := &e.Limits[i]
		if f.Applies {
			applying++
		}
		fmt.Fprintf(&out, "%s %s\n", f.Name, verdictText(f))
		table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
		for _, row := range rows(f) {
			fmt.Fprintln(table, "  "+strings.Join(row, "\t"))
		}
		_ = table.Flush() // to a strings.Builder
		fmt.Fprintln(&out)
	}
	fmt.Fprintf(&out, "%d of %d limits of domain %s apply.\n", applying, len(e.Limits), e.Domain)
	return out.String()
}

// verdictText says whether a limit applies.
func verdictText(f *inspect.Finding) string {
	text := "applies"
	switch {
	case !f.Applies:
		text = "does not apply"
	case f.Override != nil && f.Override.Deny:
		text = "applies, and denies this client"
	case f.Override != nil && f.Override.Unlimited:
		text = "applies, and does not limit this client"
	}
	if f.Shadow && f.Applies {
		text += "; in Shadow mode: it is counted, and denies nothing"
	}
	if f.Descriptor != nil {
		text += fmt.Sprintf(" (descriptor %d)", *f.Descriptor)
	}
	return text
}

// rows are the reasons, each a word, what it is about, and its value.
func rows(f *inspect.Finding) (all [][]string) {
	for _, m := range f.Missing {
		all = append(all, []string{"reads", m, "which the request does not have"})
	}
	for _, c := range f.When {
		all = append(all, []string{"when", c.Expression, failed(fmt.Sprint(c.Holds), c.Error)})
	}
	for _, p := range f.Key {
		all = append(all, []string{"key", p.Expression, failed(fmt.Sprintf("%q", p.Value), p.Error)})
	}
	if !f.Applies {
		return all
	}
	if f.Override != nil {
		all = append(all, []string{"override", fmt.Sprintf("overrides[%d]", f.Override.Index), fmt.Sprintf("%q", f.Override.Key)})
	}
	if from := f.CostFrom; from != "" {
		all = append(all, []string{"cost", from, fmt.Sprint(f.Cost)})
	} else {
		all = append(all, []string{"cost", fmt.Sprint(f.Cost)})
	}
	if f.Rate != nil {
		all = append(all, []string{"rate", f.Rate.String()})
		for _, row := range [][]string{{"sharing", f.Sharing}, {"onUnreachable", f.OnUnreachable}, {"firstBurst", f.FirstBurst}} {
			if row[1] != "" {
				all = append(all, row)
			}
		}
	}
	return all
}

// failed adds to a value why it is not what the expression yields.
func failed(value, err string) string {
	if err == "" {
		return value
	}
	return fmt.Sprintf("%s, since it fails: %s", value, err)
}
