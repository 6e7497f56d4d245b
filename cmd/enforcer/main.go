// Command enforcer decides requests by the RateLimitPolicies that it is told of,
// and shares its counts with the other enforcers of its pool.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/sluice-dev/sluice/enforcer"
	"github.com/sluice-dev/sluice/internal/version"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go tuneCollector(ctx)
	os.Exit(run(ctx, os.Args[1:], os.LookupEnv, os.Stdout, os.Stderr))
}

// run runs an enforcer until ctx ends, and returns the exit code: 2 for a command
// line that is wrong, 1 for everything else that went wrong.
func run(ctx context.Context, args []string, env func(string) (string, bool), stdout, stderr io.Writer) int {
	f, err := parse(args, env, stdout)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "enforcer: %v\nenforcer --help lists the flags.\n", err)
		return 2
	case f.version:
		fmt.Fprintln(stdout, version.Line("enforcer"))
		return 0
	}
	f.options.Version, f.options.Revision = version.String(), version.Revision()
	f.options.Log = slog.New(slog.NewTextHandler(stderr, nil))
	e, err := enforcer.New(ctx, f.options)
	if err == nil {
		err = e.Run(ctx)
	}
	if err != nil {
		fmt.Fprintf(stderr, "enforcer: %v\n", err)
		return 1
	}
	return 0
}
