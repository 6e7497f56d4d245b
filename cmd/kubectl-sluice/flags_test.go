package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/enforcer/inspect"
	"github.com/sluice-dev/sluice/enforcer/requestjson"
	"github.com/sluice-dev/sluice/plugin"
)

func TestParse(t *testing.T) {
	defaults := plugin.Options{Pool: "default", PoolNamespace: "sluice-system"}
	five := int64(5)
	question := func(policy, domain string, r requestjson.Request) plugin.Question {
		return plugin.Question{Policy: policy, Request: inspect.Request{Domain: domain, Request: r}}
	}
	for name, c := range map[string]struct {
		args    []string
		options plugin.Options
		want    plugin.Command
		wantErr string
	}{
		"a request, as curl has it": {
			args: []string{"explain", "web", "-X", "post", "--path", "/a?page=2&x=1", "--query", "page=3", "--query", "y=4", "-H", "X-Api-Key:  alice ", "-H", "x-api-key2: b", "--host", "h", "--source", "10.0.0.1", "--cost", "5"},
			want: plugin.Explain{Question: question("web", "", requestjson.Request{
				Method: "POST", Path: "/a", Host: "h", Query: map[string]string{"page": "2", "x": "1", "y": "4"},
				Headers: map[string]string{"X-Api-Key": "alice", "x-api-key2": "b"}, Source: requestjson.Source{Address: "10.0.0.1"}, Cost: &five,
			})},
		},
		"nothing but a policy": {
			args: []string{"try", "web"},
			want: plugin.Try{Question: question("web", "", requestjson.Request{Method: "GET", Path: "/"})},
		},
		"descriptors alone are no HTTP request": {
			args: []string{"try", "--domain", "envoy", "--descriptor", "a=1,b=x=y", "--descriptor", "c="},
			want: plugin.Try{Question: question("", "envoy", requestjson.Request{Descriptors: []requestjson.Descriptor{
				{Entries: []requestjson.Entry{{Key: "a", Value: "1"}, {Key: "b", Value: "x=y"}}}, {Entries: []requestjson.Entry{{Key: "c"}}},
			}})},
		},
		"every flag of all commands": {
			args: []string{
				"explain", "-f", "policies", "-n", "shop", "-o", "json", "--pool", "p", "--pool-namespace", "s", "--enforcer", "http://a,http://b",
				"--certificate-authority", "ca", "--tls-server-name", "t", "--kubeconfig", "k", "--context", "c", "--as", "jane", "--as-group", "ops",
			},
			options: plugin.Options{
				Namespace: "shop", Output: "json", Pool: "p", PoolNamespace: "s", Enforcers: []string{"http://a", "http://b"},
				CertificateAuthority: "ca", TLSServerName: "t", Kubeconfig: "k", Context: "c", As: "jane", AsGroups: []string{"ops"},
			},
			want: plugin.Explain{Files: "policies", Question: question("", "", requestjson.Request{Method: "GET", Path: "/"})},
		},
		"top, as it comes":      {args: []string{"top"}, want: plugin.Top{Interval: 2 * time.Second}},
		"top of all namespaces": {args: []string{"top", "-A", "--interval", "500ms", "--once"}, want: plugin.Top{All: true, Interval: time.Second / 2, Once: true}},
		"a look at a key":       {args: []string{"keys", "web", "l", "--key", "a,b", "--key", ""}, want: plugin.Keys{Policy: "web", Limit: "l", Key: []string{"a,b", ""}}},
		"a reset":               {args: []string{"keys", "reset", "web", "l"}, want: plugin.Keys{Policy: "web", Limit: "l", Reset: true}},
		"a policy named reset":  {args: []string{"keys", "reset", "l"}, want: plugin.Keys{Policy: "reset", Limit: "l"}},
		"no limit":              {args: []string{"keys", "web"}, wantErr: "name a policy and one of its limits: keys POLICY LIMIT --key VALUE"},
		"too many names":        {args: []string{"keys", "web", "l", "alice"}, wantErr: `unexpected argument "alice": the arguments are POLICY and LIMIT`},
		"no such command":       {args: []string{"tail"}, wantErr: `there is no command "tail": kubectl sluice --help lists them`},
		"no such flag":          {args: []string{"try", "--nonsense"}, wantErr: "unknown flag: --nonsense\nkubectl sluice try --help has an example"},
		"too many arguments":    {args: []string{"try", "a", "b"}, wantErr: `unexpected argument "b": the arguments are POLICY`},
		"a header without name": {args: []string{"try", "a", "-H", "x"}, wantErr: `-H "x": write 'Name: value'`},
		"a wrong parameter":     {args: []string{"try", "a", "--query", "x"}, wantErr: `--query "x": write name=value`},
		"a wrong query":         {args: []string{"try", "a", "--path", "/?%zz"}, wantErr: "--path: its query: invalid URL escape"},
		"a wrong descriptor":    {args: []string{"try", "a", "--descriptor", "a=1,b"}, wantErr: `--descriptor "a=1,b": write name=value, and more of them after commas`},
	} {
		t.Run(name, func(t *testing.T) {
			o := plugin.Options{Out: io.Discard}
			got, err := parse(c.args, &o)
			if c.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), c.wantErr) {
					t.Fatalf("error %v, want one with %q", err, c.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("command (-want +got):\n%s", diff)
			}
			if o.Out = nil; c.options.Pool == "" {
				c.options = defaults
			}
			if diff := cmp.Diff(c.options, o); diff != "" {
				t.Errorf("options (-want +got):\n%s", diff)
			}
		})
	}
}

func TestExitCodes(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte("kind: Nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args            string
		want            int
		wantOut, wantOn string
	}{
		{"", 0, "Commands:\n", ""},
		{"--help", 0, "Commands:\n", ""},
		{"version", 0, "kubectl-sluice ", ""},
		{"nonsense", 2, "", `kubectl sluice: there is no command "nonsense"`},
		{"explain -f " + bad, 1, "", "bad.yaml"},
	} {
		var stdout, stderr strings.Builder
		if got := run(context.Background(), strings.Fields(c.args), plugin.Options{Out: &stdout}, &stderr); got != c.want {
			t.Errorf("kubectl sluice %s: exit code %d, want %d; %s", c.args, got, c.want, stderr.String())
		}
		if !strings.Contains(stdout.String(), c.wantOut) || !strings.Contains(stderr.String(), c.wantOn) {
			t.Errorf("kubectl sluice %s: said %q and %q, want %q and %q", c.args, stdout.String(), stderr.String(), c.wantOut, c.wantOn)
		}
	}
}

func TestEveryCommandHasHelpWithAnExample(t *testing.T) {
	for _, c := range commands() {
		var out strings.Builder
		if got := run(context.Background(), []string{c.name, "--help"}, plugin.Options{Out: &out}, io.Discard); got != 0 {
			t.Errorf("%s --help: exit code %d", c.name, got)
		}
		if text := out.String(); !strings.Contains(text, "Example") || !strings.Contains(text, "\n  kubectl sluice "+c.name) || !strings.Contains(text, "--enforcer") {
			t.Errorf("%s --help has no example, or not all flags:\n%s", c.name, text)
		}
		if !strings.Contains(usage, "\n  "+c.name) {
			t.Errorf("--help does not list %s", c.name)
		}
		for line := range strings.Lines(out.String()) {
			if len(line) > 121 {
				t.Errorf("%s --help has a line of %d characters: %s", c.name, len(line), line)
			}
		}
	}
}
