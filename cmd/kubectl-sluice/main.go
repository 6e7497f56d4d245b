// Command kubectl-sluice is the kubectl plugin of Sluice: `kubectl sluice` asks the
// enforcers what they do and why.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/sluice-dev/sluice/internal/version"
	"github.com/sluice-dev/sluice/plugin"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o := plugin.Options{Out: os.Stdout, Terminal: term.IsTerminal(int(os.Stdout.Fd()))}
	os.Exit(run(ctx, os.Args[1:], o, os.Stderr))
}

// run runs one command and returns the exit code: 2 for a command line that is
// wrong, 1 for everything else that went wrong.
func run(ctx context.Context, args []string, o plugin.Options, stderr io.Writer) int {
	c, err := parse(args, &o)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "kubectl sluice: %v\n", err)
		return 2
	case c == nil:
		fmt.Fprintln(o.Out, version.Line("kubectl-sluice"))
		return 0
	}
	if err := plugin.Run(ctx, o, c); err != nil && ctx.Err() == nil {
		fmt.Fprintf(stderr, "kubectl sluice: %v\n", err)
		return 1
	}
	return 0
}
