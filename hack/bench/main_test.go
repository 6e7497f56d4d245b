package main

import (
	"bytes"
	"context"
	"io"
	"regexp"
	"strings"
	"testing"
)

func TestCommandLine(t *testing.T) {
	for _, tc := range []struct {
		args       string
		want       int
		out, error string
	}{
		{"--help", 0, "bench cost", ""},
		{"", 2, "", "is no command: use accuracy or cost"},
		{"speed", 2, "", "is no command: use accuracy or cost"},
		{"accuracy --sizes 0", 2, "", "--sizes 0: use 1 to 50 enforcers"},
		{"accuracy --only (", 2, "", `--only "(" is no regular expression`},
		{"accuracy --measure 5s", 2, "", "--measure 5s: use at least 10s"},
		{"accuracy --sharing exact", 2, "", "--sharing exact: use Gossip or Exact"},
		{"cost --parts decisions", 2, "", "--parts decisions: use decision, idle, gossip"},
		{"cost --rounds 0", 2, "", "use 1 or more"},
	} {
		var stdout, stderr bytes.Buffer
		if got := run(context.Background(), strings.Fields(tc.args), &stdout, &stderr); got != tc.want {
			t.Errorf("bench %s: exit code %d, want %d", tc.args, got, tc.want)
		}
		if !strings.Contains(stdout.String(), tc.out) || !strings.Contains(stderr.String(), tc.error) {
			t.Errorf("bench %s: said %q and %q, want %q and %q", tc.args, stdout.String(), stderr.String(), tc.out, tc.error)
		}
	}
}

func TestScenariosAreTold(t *testing.T) {
	_, opts, err := parse([]string{"accuracy", "--rate", "500"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, c := range opts.scenarios() {
		if seen[c.name] {
			t.Errorf("two scenarios are %q, and would share their clients", c.name)
		}
		seen[c.name] = true
		if c.quota.requests == 500 && !regexp.MustCompile(`^500/s `).MatchString(c.name) {
			t.Errorf("%q does not tell its limit", c.name)
		}
	}
	if len(seen) < 20 {
		t.Errorf("only %d scenarios", len(seen))
	}
}
