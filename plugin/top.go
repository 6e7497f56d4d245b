package plugin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
)

// Top shows what limits do, again and again.
type Top struct {
	Policy   string // "" for all of the namespace
	All      bool   // of all namespaces
	Interval time.Duration
	Once     bool // instead of until it is stopped
}

const (
	// MinInterval is the least Interval of Top.
	MinInterval = 100 * time.Millisecond

	// lookAgain is after how many rounds Top finds out anew who enforces what.
	lookAgain = 10
)

func (t Top) run(ctx context.Context, o *Options) error {
	switch {
	case t.Interval < MinInterval:
		return fmt.Errorf("--interval %v: use %v or more", t.Interval, MinInterval)
	case t.All && t.Policy != "":
		return errors.New("-A is for the policies of all namespaces: leave it out, or the policy's name")
	}
	where, err := o.connect()
	if err != nil {
		return err
	}
	every := time.NewTicker(t.Interval)
	defer every.Stop()
	var scopes []scope
	var m meter
	for round := 0; ; round++ {
		if round%lookAgain == 0 {
			if scopes, err = where.scopes(ctx, t.Policy, t.All); err != nil {
				return err
			}
		}
		usage, problem := m.measure(ctx, scopes)
		if len(m.last) == 0 && problem != nil {
			return problem
		}
		if round > 0 { // a rate takes two looks
			if err := t.write(o, usage, problem); err != nil || t.Once {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-every.C:
		}
	}
}

// write writes one look; on a terminal in place of the one before.
func (t Top) write(o *Options, usage []Usage, problem error) error {
	if o.Output == outputJSON {
		return o.writeJSON(usage)
	}
	text := usageTable(usage, o.Terminal)
	if problem != nil {
		text += fmt.Sprintf("\nNo answer: %v\n", problem)
	}
	switch {
	case t.Once:
	case o.Terminal:
		const home, clear = "\x1b[H", "\x1b[J"
		text = home + clear + text
	default:
		text += "\n"
	}
	_, err := fmt.Fprint(o.Out, text)
	return err
}

// usageTable writes a line for each limit. The bar comes last: colours have no width.
func usageTable(usage []Usage, colours bool) string {
	if len(usage) == 0 {
		return "No policy is in force here; -A shows those of all namespaces.\n"
	}
	var out strings.Builder
	table := tabwriter.NewWriter(&out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "NAMESPACE\tPOLICY\tLIMIT\tADMITTED/S\tLIMITED/S\tKEYS\tOVER\tLOAD")
	for i := range usage {
		u := &usage[i]
		part, label, colour := u.load()
		drawn := bar(part)
		if colours && part > 0 {
			drawn = colour + drawn + plain
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%d\t%.1f%%\t%s %s\n", u.Namespace, u.Policy, u.Limit,
			figure(u.Admitted), figure(u.Limited), u.ActiveKeys, 100*u.OverAdmission, drawn, label)
	}
	_ = table.Flush() // to a strings.Builder
	return out.String()
}

const red, green, plain = "\x1b[31m", "\x1b[32m", "\x1b[0m"

// load returns what the bar of a limit shows: the part of its capacity that is used,
// where it has one, or else the part of what is asked for that is denied.
func (u *Usage) load() (part float64, label, colour string) {
	asked := u.Admitted + u.Limited
	switch {
	case u.Capacity > 0:
		part = u.Admitted / u.Capacity
		label, colour = fmt.Sprintf("%.0f%% of %s/s", 100*part, figure(u.Capacity)), green
	case asked == 0:
		label = "idle"
	default:
		part, colour = u.Limited/asked, red
		label = fmt.Sprintf("%.0f%% limited", 100*part)
	}
	if u.Limited > 0 {
		colour = red
	}
	return part, label, colour
}

// bar draws a part, 0 to 1, ten characters wide. What is not quite nothing, or all,
// does not look like it.
func bar(part float64) string {
	const width = 10
	filled := min(max(int(part*width+.5), 0), width)
	switch {
	case part > 0 && filled == 0:
		filled = 1
	case part < 1 && filled == width:
		filled = width - 1
	}
	return "[" + strings.Repeat("#", filled) + strings.Repeat("-", width-filled) + "]"
}

// figure writes a number with about three digits that count.
func figure(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v < 10:
		return fmt.Sprintf("%.2f", v)
	case v < 100:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}
