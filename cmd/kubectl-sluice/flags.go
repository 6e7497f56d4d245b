package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/sluice-dev/sluice/plugin"
)

const usage = `Asks the enforcers of Sluice what they do and why, through the API server and
with your own rights.

Usage:
  kubectl sluice COMMAND [flags]

Commands:
  explain    which limits apply to a request, and why
  try        what the answer to a request would be; nothing is charged
  top        what limits admit and deny now, refreshing
  keys       what one client has left of a limit; resets it
  version    print the version

Which limits apply to a POST by the client alice, and whether it would pass:
  kubectl sluice explain storefront -n shop -X POST --path /api/orders -H 'X-Api-Key: alice'
  kubectl sluice try storefront -n shop -X POST --path /api/orders -H 'X-Api-Key: alice'

kubectl sluice COMMAND --help tells more.
`

// command is one of the commands: what its --help says before the flags, and how
// to read its command line. Read declares flags, and returns what makes a
// plugin.Command of the arguments that are left.
type command struct {
	name, usage string
	read        func(set *pflag.FlagSet) func(args []string) (plugin.Command, error)
}

// commands are all there are.
func commands() []command { return []command{explainCommand, tryCommand, topCommand, keysCommand} }

// parse reads the command line into o and a command; the command is nil when the
// version is asked for. For --help it writes to o.Out and returns pflag.ErrHelp.
func parse(args []string, o *plugin.Options) (plugin.Command, error) {
	if len(args) == 0 || args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		fmt.Fprint(o.Out, usage)
		return nil, pflag.ErrHelp
	}
	if args[0] == "version" || args[0] == "--version" {
		return nil, nil
	}
	i := slices.IndexFunc(commands(), func(c command) bool { return c.name == args[0] })
	if i < 0 {
		return nil, fmt.Errorf("there is no command %q: kubectl sluice --help lists them", args[0])
	}
	c := commands()[i]
	set := pflag.NewFlagSet(c.name, pflag.ContinueOnError)
	set.SortFlags = false
	set.Usage = func() { fmt.Fprint(o.Out, c.usage+"\nFlags:\n"+set.FlagUsagesWrapped(110)) }
	command := c.read(set)
	common(set, o)
	err := set.Parse(args[1:])
	if errors.Is(err, pflag.ErrHelp) {
		return nil, err
	}
	var made plugin.Command
	if err == nil {
		made, err = command(set.Args())
	}
	if err != nil {
		return nil, fmt.Errorf("%w\nkubectl sluice %s --help has an example", err, c.name)
	}
	return made, nil
}

// common declares the flags of all commands.
func common(set *pflag.FlagSet, o *plugin.Options) {
	set.StringVarP(&o.Namespace, "namespace", "n", "", "`namespace` of the policies; by default that of the kubeconfig's context")
	set.StringVarP(&o.Output, "output", "o", "", "`format`: json for programs; by default text for people")
	set.StringVar(&o.Pool, "pool", "default", "`name` of the EnforcerPool to ask when no policy says which")
	set.StringVar(&o.PoolNamespace, "pool-namespace", plugin.DefaultPoolNamespace, "`namespace` of the operator and its EnforcerPools")
	set.StringSliceVar(&o.Enforcers, "enforcer", nil, "`URL` of an enforcer's admin port, such as http://127.0.0.1:9090, to be asked in place of those of a cluster; several times for several")
	set.StringVar(&o.CertificateAuthority, "certificate-authority", "", "`path` of the authority, in PEM, that --enforcer with https is verified by")
	set.StringVar(&o.TLSServerName, "tls-server-name", "", "`name` that the certificate of --enforcer is for, such as sluice.sluice-system.svc; by default the host of the URL")
	set.StringVar(&o.Kubeconfig, "kubeconfig", "", "`path` of a kubeconfig; by default $KUBECONFIG or ~/.kube/config")
	set.StringVar(&o.Context, "context", "", "`name` of a context of the kubeconfig")
	set.StringVar(&o.As, "as", "", "`user` to impersonate")
	set.StringSliceVar(&o.AsGroups, "as-group", nil, "`groups` to impersonate")
}

// atMost says that there are too many arguments.
func atMost(args []string, n int, names string) error {
	if len(args) <= n {
		return nil
	}
	return fmt.Errorf("unexpected argument %q: the arguments are %s", strings.Join(args[n:], " "), names)
}
