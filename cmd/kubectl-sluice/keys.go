package main

import (
	"errors"

	"github.com/spf13/pflag"

	"github.com/sluice-dev/sluice/plugin"
)

var keysCommand = command{
	name: "keys",
	usage: `Looks at the counter of one client of a limit, on every enforcer of its pool: what
is left, and when it is full again. An enforcer that the client does not use hears
of its counter coarsely, and of one that is far from its limit hardly at all. Of a
limit that is shared exactly one enforcer keeps the count, and only that one is shown;
what it has lent to others it tells beside.

keys reset gives the client its whole quota again, but for a part of a token, on all
of them. What it uses meanwhile may be given back as well, and what an enforcer has
not told the others yet may stay used: a small part of the quota.

Usage:
  kubectl sluice keys POLICY LIMIT [--key VALUE]... [flags]
  kubectl sluice keys reset POLICY LIMIT [--key VALUE]... [flags]

Examples:
  kubectl sluice keys storefront per-client -n shop --key alice
  kubectl sluice keys reset storefront per-client -n shop --key alice
`,
	read: func(set *pflag.FlagSet) func([]string) (plugin.Command, error) {
		var k plugin.Keys
		set.StringArrayVar(&k.Key, "key", nil, "`value` that the limit's key yields for the client; once for each of its parts, in order, and not at all for a limit without key")
		return func(args []string) (plugin.Command, error) {
			if k.Reset = len(args) > 2 && args[0] == "reset"; k.Reset {
				args = args[1:]
			}
			if len(args) < 2 {
				return k, errors.New("name a policy and one of its limits: keys POLICY LIMIT --key VALUE")
			}
			k.Policy, k.Limit = args[0], args[1]
			return k, atMost(args, 2, "POLICY and LIMIT, after reset if that is meant")
		}
	},
}
