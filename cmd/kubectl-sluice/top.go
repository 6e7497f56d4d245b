package main

import (
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/sluice-dev/sluice/plugin"
)

var topCommand = command{
	name: "top",
	usage: `Shows for every limit what is admitted and denied per second by all enforcers of
its pool, how many clients it counts, and which part of what was admitted was too
much. The bar is the part of the capacity that is used, where all requests share
one, or else the part of what is asked for that is denied.

Usage:
  kubectl sluice top [POLICY] [flags]

Examples:
  kubectl sluice top -n shop
  kubectl sluice top -A --interval 5s
  kubectl sluice top storefront -n shop --once -o json
`,
	read: func(set *pflag.FlagSet) func([]string) (plugin.Command, error) {
		var t plugin.Top
		set.BoolVarP(&t.All, "all-namespaces", "A", false, "the policies of all namespaces")
		set.DurationVar(&t.Interval, "interval", 2*time.Second, "`time` that each figure is an average of")
		set.BoolVar(&t.Once, "once", false, "show it once, after one interval, and end")
		return func(args []string) (plugin.Command, error) {
			t.Policy = strings.Join(args, "")
			return t, atMost(args, 1, "POLICY")
		}
	},
}
