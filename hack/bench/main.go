// Command bench measures, with real processes on loopback, how exact a pool of
// enforcers is and what it costs.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"
)

const usage = `Measure a pool of enforcers with real processes on this machine, on loopback only.

Usage:
  bench accuracy  what 3 and 10 enforcers admit under overload, beside the limit
  bench cost      CPU of a decision beside a server that decides nothing, of an idle pool,
                  what a pool says, and what sharing: Exact costs

Examples:
  make build && go run ./hack/bench accuracy --sizes 3 --only '10x'
  go run ./hack/bench accuracy --list
  go run ./hack/bench accuracy --sharing Exact --sizes 10 --only killed
  go run ./hack/bench cost --check

The table goes to stdout, progress to stderr, what the enforcers print to BIN/local/bench-PID.
Ctrl-C stops everything that was started. README.md beside this program says how each
figure is taken.

Flags:
`

// options are the flags of both commands.
type options struct {
	bin      string
	basePort int
	check    bool

	sizes           []int
	sharing         string
	only            *regexp.Regexp
	list            bool
	rate            int
	warmUp, measure time.Duration
	tries           int

	rounds         int
	parts          []string
	gubernator     []string
	gubernatorPIDs []int
}

// parts are what cost measures.
var parts = []string{"decision", "idle", "gossip", "cold", "hot", "exact"}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run runs one command and returns the exit code: 2 for a command line that is
// wrong, 1 for a goal that was missed under --check and for what broke.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == nothingCommand {
		if err := serveNothing(ctx, args[1:]); err != nil {
			fmt.Fprintln(stderr, "bench:", err)
			return 1
		}
		return 0
	}
	command, opts, err := parse(args, stdout)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "bench: %v\nbench --help lists commands and flags.\n", err)
		return 2
	}
	s, err := newStage(ctx, opts, stdout, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return 1
	}
	met, err := command(s)
	s.close()
	switch {
	case err != nil:
		fmt.Fprintln(stderr, "bench:", err)
		return 1
	case !met && opts.check:
		fmt.Fprintln(stderr, "bench: a goal was missed")
		return 1
	}
	return 0
}

// parse reads the command line. For --help it writes to out and returns
// pflag.ErrHelp. A command returns whether every goal was met.
func parse(args []string, out io.Writer) (command func(*stage) (bool, error), opts options, err error) {
	set := pflag.NewFlagSet("bench", pflag.ContinueOnError)
	set.SortFlags = false
	set.Usage = func() { fmt.Fprint(out, usage+set.FlagUsagesWrapped(100)) }
	var only string
	set.StringVar(&opts.bin, "bin", "bin", "`folder` of the enforcer binary (make build)")
	set.IntVar(&opts.basePort, "base-port", 21000, "take free ports from here on; stay below those that the system gives to clients")
	set.BoolVar(&opts.check, "check", false, "exit with 1 when a goal is missed")
	set.IntSliceVar(&opts.sizes, "sizes", []int{3, 10}, "accuracy: how many enforcers")
	set.StringVar(&opts.sharing, "sharing", "Gossip", "accuracy: what the policies say: Gossip or Exact")
	set.StringVar(&only, "only", "", "accuracy: only the scenarios whose names match this regular `expression`")
	set.BoolVar(&opts.list, "list", false, "accuracy: print the scenarios and do nothing")
	set.IntVar(&opts.rate, "rate", 1000, "accuracy: requests per second of the main limit; 500 for a machine that cannot offer ten times 1000")
	set.DurationVar(&opts.warmUp, "warm-up", 3*time.Second, "accuracy: load before the steady figure is taken")
	set.DurationVar(&opts.measure, "measure", 15*time.Second, "accuracy: how long the steady figure is taken; at least 10s")
	set.IntVar(&opts.tries, "tries", 2, "accuracy: how often a scenario that misses its goal is tried in all")
	set.IntVar(&opts.rounds, "rounds", 4, "cost: how often the servers take turns")
	set.StringSliceVar(&opts.parts, "parts", parts, "cost: what to measure")
	set.StringSliceVar(&opts.gubernator, "gubernator", nil, "cost, part exact: gRPC `addresses` of a running cluster of gubernator to compare with")
	set.IntSliceVar(&opts.gubernatorPIDs, "gubernator-pids", nil, "its processes, for their CPU")
	if err := set.Parse(args); err != nil {
		return nil, opts, err
	}
	if opts.only, err = regexp.Compile(only); err != nil {
		return nil, opts, fmt.Errorf("--only %q is no regular expression: %w", only, err)
	}
	if err := opts.validate(); err != nil {
		return nil, opts, err
	}
	commands := map[string]func(*stage) (bool, error){"accuracy": accuracy, "cost": cost}
	if command = commands[set.Arg(0)]; command == nil || set.NArg() != 1 {
		return nil, opts, fmt.Errorf("%q is no command: use accuracy or cost", set.Args())
	}
	return command, opts, nil
}

func (o *options) validate() error {
	for _, n := range o.sizes {
		if n < 1 || n > 50 {
			return fmt.Errorf("--sizes %d: use 1 to 50 enforcers", n)
		}
	}
	for _, part := range o.parts {
		if !slices.Contains(parts, part) {
			return fmt.Errorf("--parts %s: use %s", part, strings.Join(parts, ", "))
		}
	}
	switch {
	case o.sharing != "Gossip" && o.sharing != exactSharing:
		return fmt.Errorf("--sharing %s: use Gossip or Exact", o.sharing)
	case o.measure < window:
		return fmt.Errorf("--measure %v: use at least %v, the window that is looked at", o.measure, window)
	case o.warmUp < 0:
		return fmt.Errorf("--warm-up %v: use 0s or more", o.warmUp)
	case o.rate < 50:
		return fmt.Errorf("--rate %d: use 50 or more, lower limits have scenarios of their own", o.rate)
	case len(o.gubernatorPIDs) > 0 && len(o.gubernator) == 0:
		return errors.New("--gubernator-pids: give the addresses of those processes, too, in --gubernator")
	case o.tries < 1 || o.rounds < 1:
		return errors.New("--tries and --rounds: use 1 or more")
	case o.basePort < 1024 || o.basePort > 60000:
		return fmt.Errorf("--base-port %d: use 1024 to 60000", o.basePort)
	}
	return nil
}
