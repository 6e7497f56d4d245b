package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/controllers/workload"
	"github.com/sluice-dev/sluice/enforcer"
)

func noEnvironment(string) (string, bool) { return "", false }

func TestParse(t *testing.T) {
	defaults := func(change func(*enforcer.Options)) enforcer.Options {
		o := enforcer.Options{HTTPListen: ":8080", RLSListen: ":8081", GossipListen: ":7946", AdminListen: ":9090", MaxKeys: 1_000_000}
		change(&o)
		return o
	}
	for name, tc := range map[string]struct {
		args    []string
		env     map[string]string
		want    enforcer.Options
		wantErr string
	}{
		"files": {
			args: []string{"--policies", "limits.yaml"},
			want: defaults(func(o *enforcer.Options) { o.Policies = "limits.yaml" }),
		},
		"every flag": {
			args: strings.Fields("--pool-namespace n --pool-name p --kubeconfig k --peers a:1,b:2 --node-name x " +
				"--http-listen :1 --rls-listen :2 --gossip-listen :3 --admin-listen :4 --trusted-proxies 203.0.113.0/24,fd00::/8 --gossip-key-file g --tls-cert-file c --tls-private-key-file p --tls-client-ca-file a,b --tls-permissive --journal j --max-keys 1000"),
			want: enforcer.Options{
				PoolNamespace: "n", PoolName: "p", Kubeconfig: "k", Peers: "a:1,b:2", Node: "x",
				HTTPListen: ":1", RLSListen: ":2", GossipListen: ":3", AdminListen: ":4",
				TrustedProxies: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("fd00::/8")},
				TLSCertFile:    "c", TLSPrivateKeyFile: "p", TLSClientCAFiles: []string{"a", "b"}, TLSPermissive: true,
				GossipKeyFile: "g", Journal: "j", MaxKeys: 1000,
			},
		},
		"the environment fills in what the command line leaves out": {
			args: []string{"--node-name", "from-flag"},
			env:  map[string]string{"SLUICE_NODE_NAME": "from-env", "SLUICE_MAX_KEYS": "77", "SLUICE_POLICIES": "p", "SLUICE_GOSSIP_KEY_FILE": "k"},
			want: defaults(func(o *enforcer.Options) {
				o.Node, o.MaxKeys, o.Policies, o.GossipKeyFile = "from-flag", 77, "p", "k"
			}),
		},
		"a wrong environment": {
			env:     map[string]string{"SLUICE_MAX_KEYS": "many"},
			wantErr: "environment variable SLUICE_MAX_KEYS: invalid argument \"many\"",
		},
		"a network that is none": {
			env:     map[string]string{"SLUICE_TRUSTED_PROXIES": "10.0.0.0/8,10.0.0.1"},
			wantErr: `environment variable SLUICE_TRUSTED_PROXIES: invalid argument "10.0.0.0/8,10.0.0.1" for "--trusted-proxies" flag: "10.0.0.1" is no network: write it as 203.0.113.0/24`,
		},
		"an argument that is no flag": {args: []string{"start"}, wantErr: `unexpected argument "start"`},
		"an unknown flag":             {args: []string{"--policy"}, wantErr: "unknown flag: --policy"},
	} {
		t.Run(name, func(t *testing.T) {
			env := func(name string) (string, bool) { v, ok := tc.env[name]; return v, ok }
			got, err := parse(tc.args, env, io.Discard)
			if tc.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
					t.Fatalf("error %v, want one with %q", err, tc.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got.options, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
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
	for _, tc := range []struct {
		args       string
		want       int
		wantOut    string
		wantStderr string
	}{
		{"--help", 0, "enforcer --policies policies/", ""},
		{"--version", 0, "enforcer ", ""},
		{"--nonsense", 2, "", "enforcer --help lists the flags"},
		{"", 1, "", "say where the policies come from: --policies PATH for files"},
		{"--policies " + bad, 1, "", "bad.yaml"},
		{"--policies " + bad + " --gossip-key-file " + bad, 1, "", "--gossip-key-file " + bad + ": line 1 is not base64: write 32 random bytes in base64"},
	} {
		var stdout, stderr bytes.Buffer
		if got := run(context.Background(), strings.Fields(tc.args), noEnvironment, &stdout, &stderr); got != tc.want {
			t.Errorf("enforcer %s: exit code %d, want %d; %s", tc.args, got, tc.want, stderr.String())
		}
		if !strings.Contains(stdout.String(), tc.wantOut) || !strings.Contains(stderr.String(), tc.wantStderr) {
			t.Errorf("enforcer %s: said %q and %q, want %q and %q", tc.args, stdout.String(), stderr.String(), tc.wantOut, tc.wantStderr)
		}
	}
}

func TestHelpFitsATerminal(t *testing.T) {
	var out strings.Builder
	_, _ = parse([]string{"--help"}, noEnvironment, &out)
	for line := range strings.Lines(out.String()) {
		if len(line) > 121 {
			t.Errorf("a line of %d characters: %s", len(line), line)
		}
	}
}

// What the operator has its pods called with is what this program takes.
func TestTheOperatorsArgumentsAreTaken(t *testing.T) {
	pool := &v1alpha1.EnforcerPool{Spec: v1alpha1.EnforcerPoolSpec{
		MaxKeys: new(int32(5000)), TrustedProxies: []v1alpha1.Network{"203.0.113.0/24", "2001:db8::/32"},
		TLS: &v1alpha1.TLS{SecretName: "t", Mode: v1alpha1.TLSPermissive, ClientValidation: &v1alpha1.ClientValidation{
			CACertificateRefs: []v1alpha1.CACertificateRef{{Kind: "ConfigMap", Name: "a"}, {Kind: "Secret", Name: "b"}},
		}},
	}}
	pool.Namespace, pool.Name = "limits", "edge"
	objects, _ := workload.Objects(workload.Input{Pool: pool})
	i := slices.IndexFunc(objects, func(o client.Object) bool { _, ok := o.(*appsv1.Deployment); return ok })
	container := objects[i].(*appsv1.Deployment).Spec.Template.Spec.Containers[0]
	env := map[string]string{}
	for _, e := range container.Env {
		env[e.Name] = "edge-1"
	}
	f, err := parse(container.Args, func(name string) (string, bool) { v, ok := env[name]; return v, ok }, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	o := f.options
	if o.PoolNamespace != "limits" || o.PoolName != "edge" || o.Node != "edge-1" || o.MaxKeys != 5000 || len(o.TrustedProxies) != 2 || len(o.TLSClientCAFiles) != 2 || !o.TLSPermissive {
		t.Errorf("options %+v", o)
	}
	for _, folder := range []string{o.Journal, filepath.Dir(o.GossipKeyFile), filepath.Dir(o.TLSCertFile), filepath.Dir(o.TLSPrivateKeyFile), filepath.Dir(o.TLSClientCAFiles[1])} {
		if !slices.ContainsFunc(container.VolumeMounts, func(m corev1.VolumeMount) bool { return m.MountPath == folder }) {
			t.Errorf("nothing is mounted at %s", folder)
		}
	}
	for _, p := range container.Ports {
		if !slices.ContainsFunc([]string{o.RLSListen, o.HTTPListen, o.AdminListen, o.GossipListen}, func(listen string) bool {
			return listen == fmt.Sprint(":", p.ContainerPort)
		}) {
			t.Errorf("nobody listens on port %s, %d", p.Name, p.ContainerPort)
		}
	}
}
