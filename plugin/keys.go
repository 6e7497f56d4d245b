package plugin

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"text/tabwriter"

	"github.com/sluice-dev/sluice/enforcer/inspect"
)

// Keys looks at the counter of one client of a limit, on every enforcer, or resets
// it: the client has its whole quota again.
type Keys struct {
	Policy, Limit string
	Key           []string // what the limit's key expressions yield for the client
	Reset         bool
}

func (k Keys) run(ctx context.Context, o *Options) error {
	where, err := o.connect()
	if err != nil {
		return err
	}
	t, err := where.find(ctx, k.Policy)
	if err != nil {
		return err
	}
	client := inspect.Client{Name: inspect.Name{Namespace: t.namespace, Policy: t.policy, Limit: k.Limit}, Key: k.Key}
	method := http.MethodPost
	if k.Reset {
		method = http.MethodPut
	}
	answers, problem := askAll[inspect.Counter](ctx, t.enforcers, method, "/v1/keys", client)
	var known []*inspect.Counter
	for _, a := range answers {
		if a != nil {
			known = append(known, a)
		}
	}
	if len(known) == 0 {
		return problem
	}
	if err := o.writeCounters(known); err != nil || problem == nil {
		return err
	}
	if k.Reset {
		return fmt.Errorf("reset on %d of %d enforcers; repeat it for the others:\n%w", len(known), len(answers), problem)
	}
	return problem
}

// writeCounters writes what each enforcer knows of a counter; of one that is shared
// exactly what the one says that keeps it.
func (o *Options) writeCounters(counters []*inspect.Counter) error {
	if o.Output == outputJSON {
		return o.writeJSON(counters)
	}
	var out strings.Builder
	first := counters[0]
	fmt.Fprintf(&out, "%s %q: %s\n", first.Name, first.Key, grant(first))
	if first.KeptBy != "" {
		var text string
		text, counters = keeper(counters)
		fmt.Fprintln(&out, "It is shared exactly, and "+text)
	}
	fmt.Fprintln(&out)
	table := tabwriter.NewWriter(&out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "ENFORCER\tLEFT\tFULL IN")
	for _, c := range counters {
		if c.Rate == nil {
			fmt.Fprintf(table, "%s\t-\t-\n", c.Node)
			continue
		}
		fmt.Fprintf(table, "%s\t%d\t%s\n", c.Node, c.Remaining, rounded(c.ResetAfter))
	}
	_ = table.Flush() // to a strings.Builder
	_, err := fmt.Fprint(o.Out, out.String())
	return err
}

// keeper says which enforcer keeps the count of what is shared exactly, and returns what
// that one knows, or if it does not answer what all know.
func keeper(counters []*inspect.Counter) (string, []*inspect.Counter) {
	for i, c := range counters {
		switch {
		case c.Node != c.KeptBy:
		case c.Lent > 0:
			return fmt.Sprintf("one enforcer keeps the count: it has lent %d more to others, who use them or give them back.", c.Lent), counters[i : i+1]
		default:
			return "one enforcer keeps the count.", counters[i : i+1]
		}
	}
	return counters[0].KeptBy + " keeps the count: what others know may be old, or nothing.", counters
}

// grant says what a client may use.
func grant(c *inspect.Counter) string {
	switch {
	case c.Deny:
		return "denied by an override"
	case c.Unlimited:
		return "not limited, by an override"
	}
	return c.Rate.String()
}
