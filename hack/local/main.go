// Command local runs Sluice on this machine, on loopback only: with a real
// Kubernetes API server (run, demo) or without any Kubernetes (standalone).
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"
)

const usage = `Run Sluice on this machine, on loopback only.

Usage:
  local run         API server, manager and three enforcers; prints what to try; Ctrl-C stops it all
  local demo        the same unattended: checks the figures, prints a table, exits non-zero if one is wrong
  local scale       the same with 1,000 and 10,000 policies: how long a change takes, the manager's memory
  local standalone  three enforcers from config/samples, no Kubernetes

Example:
  make build && go run ./hack/local run --base-port 8100

Flags:
`

func main() {
	flags := pflag.NewFlagSet("local", pflag.ContinueOnError)
	opts := options{}
	flags.StringVar(&opts.bin, "bin", "bin", "folder of the manager and enforcer binaries (make build)")
	flags.StringVar(&opts.assets, "assets", os.Getenv("KUBEBUILDER_ASSETS"), "folder of etcd, kube-apiserver and kubectl (hack/kube/build.sh)")
	flags.IntVar(&opts.basePort, "base-port", 8100, "first port: enforcers answer HTTP at +1…+3, gRPC at +11…+13, admin at +21…+23, gossip at +31…+33; demo and scale pick free ports instead")
	flags.Usage = func() { fmt.Fprint(os.Stderr, usage, flags.FlagUsages()) }

	switch err := flags.Parse(os.Args[1:]); {
	case errors.Is(err, pflag.ErrHelp):
		return
	case err != nil || flags.NArg() != 1:
		flags.Usage()
		os.Exit(2)
	}

	commands := map[string]func(*stage) error{"run": run, "demo": demo, "scale": scale, "standalone": standalone}
	command, ok := commands[flags.Arg(0)]
	if !ok {
		fmt.Fprintf(os.Stderr, "local: no command %q: use run, demo, scale or standalone\n", flags.Arg(0))
		os.Exit(2)
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	s, err := newStage(ctx, flags.Arg(0), opts)
	if err == nil {
		err = command(s)
		s.close()
	}
	interrupted := ctx.Err() != nil
	stop()
	if err != nil && !interrupted {
		fmt.Fprintln(os.Stderr, "local:", err)
		os.Exit(1)
	}
}
