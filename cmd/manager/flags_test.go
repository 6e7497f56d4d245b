package main

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

func TestParse(t *testing.T) {
	tests := map[string]struct {
		args    []string
		want    flags
		wantErr string
	}{
		"without flags it works in a pod": {
			want: flags{namespace: "sluice-system", enforcerImage: "ghcr.io/sluice-dev/enforcer:latest", metricsListen: ":9090", healthListen: ":8081"},
		},
		"every flag": {
			args: []string{
				"--namespace", "limits", "--enforcer-image", "mine:1", "--default-pool", "--enforcers", "a:1,b:2", "--enforcers", "c:3", "--kubeconfig", "/k", "--leader-elect",
				"--metrics-listen", "0", "--health-listen", "127.0.0.1:1", "--version",
			},
			want: flags{
				namespace: "limits", enforcerImage: "mine:1", defaultPool: true, enforcers: []string{"a:1", "b:2", "c:3"}, kubeconfig: "/k", leaderElect: true,
				metricsListen: "0", healthListen: "127.0.0.1:1", version: true,
			},
		},
		"an argument that is no flag": {args: []string{"start"}, wantErr: `unexpected argument "start"`},
		"an empty namespace":          {args: []string{"--namespace="}, wantErr: "name the namespace"},
		"an empty image":              {args: []string{"--enforcer-image="}, wantErr: "name an image"},
		"an unknown flag":             {args: []string{"--pools"}, wantErr: "unknown flag: --pools"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := parse(tc.args, io.Discard)
			if tc.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
					t.Fatalf("error %v, want one with %q", err, tc.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, *got, cmp.AllowUnexported(flags{})); diff != "" {
				t.Errorf("flags (-want +got):\n%s", diff)
			}
		})
	}
}

func TestHelpHasAnExample(t *testing.T) {
	var out strings.Builder
	if _, err := parse([]string{"--help"}, &out); !errors.Is(err, pflag.ErrHelp) {
		t.Fatalf("error %v, want ErrHelp", err)
	}
	for _, want := range []string{"manager --namespace sluice-system --default-pool --leader-elect", "--enforcers", "--health-listen"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("help does not mention %q", want)
		}
	}
	for line := range strings.Lines(out.String()) {
		if len(line) > 121 {
			t.Errorf("a line of %d characters: %s", len(line), line)
		}
	}
}
