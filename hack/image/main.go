// Command image builds container images of Go programs without Docker.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"
)

const usage = `Build container images of Go programs, without Docker and without a registry.

Usage:
  image [flags] PACKAGE...

Each program becomes OUT/NAME.tar, an OCI archive with one image for each platform, and a
CycloneDX list of the modules in it, NAME.PLATFORM.cdx.json, which is in the image as well:
/sbom.cdx.json. Nothing else is: no shell, no libraries. The same sources, Go and flags
make the same bytes, on any machine.

  go run ./hack/image ./cmd/manager ./cmd/enforcer
  ctr -n k8s.io images import bin/images/enforcer.tar        # a node's containerd
  docker load -i bin/images/enforcer.tar                     # Docker 25 and later, podman
  skopeo copy --all oci-archive:bin/images/enforcer.tar docker://ghcr.io/sluice-dev/enforcer:v1

Flags:
`

// options are the flags.
type options struct {
	packages   []string
	out        string
	repository string
	tags       []string
	platforms  []platform
	version    string
	revision   string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	opts, err := parse(os.Args[1:], os.Stdout)
	if errors.Is(err, pflag.ErrHelp) {
		return
	}
	if err == nil {
		err = run(ctx, opts, os.Stdout)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "image: %v\n", err)
		os.Exit(1)
	}
}

// parse reads the command line. For --help it writes to out and returns
// pflag.ErrHelp.
func parse(args []string, out io.Writer) (opts options, err error) {
	set := pflag.NewFlagSet("image", pflag.ContinueOnError)
	set.SortFlags = false
	set.Usage = func() { fmt.Fprint(out, usage+set.FlagUsagesWrapped(100)) }
	var platforms []string
	set.StringVar(&opts.out, "out", "bin/images", "`folder` for the archives")
	set.StringVar(&opts.repository, "repository", "ghcr.io/sluice-dev", "`prefix` of the images' names")
	set.StringSliceVar(&opts.tags, "tags", []string{"latest"}, "`tags` of the images")
	set.StringSliceVar(&platforms, "platforms", []string{"linux/amd64", "linux/arm64"}, "`platforms` to build for")
	set.StringVar(&opts.version, "version", "devel", "`version` that the programs tell")
	set.StringVar(&opts.revision, "revision", "unknown", "`commit` that the programs tell")
	if err := set.Parse(args); err != nil {
		return opts, err
	}
	if opts.packages = set.Args(); len(opts.packages) == 0 {
		return opts, errors.New("no program: name a package, such as ./cmd/enforcer")
	}
	for _, text := range platforms {
		os, arch, ok := strings.Cut(text, "/")
		if !ok || os != "linux" || strings.Contains(arch, "/") {
			return opts, fmt.Errorf("--platforms %s: write linux/amd64, linux/arm64", text)
		}
		opts.platforms = append(opts.platforms, platform{OS: os, Architecture: arch})
	}
	return opts, nil
}

// labels are what people read who find an image somewhere.
func (o options) labels() map[string]string {
	return map[string]string{
		"org.opencontainers.image.version":  o.version,
		"org.opencontainers.image.revision": o.revision,
		"org.opencontainers.image.source":   "https://github.com/sluice-dev/sluice",
		"org.opencontainers.image.licenses": "Apache-2.0",
	}
}

// run builds the archives, and tells of each its digest.
func run(ctx context.Context, opts options, out io.Writer) error {
	if err := os.MkdirAll(opts.out, 0o755); err != nil {
		return err
	}
	for _, pkg := range opts.packages {
		program := path.Base(filepath.ToSlash(pkg))
		a := newArchive()
		var images []descriptor
		for _, p := range opts.platforms {
			binary, err := compile(ctx, pkg, p, opts)
			if err != nil {
				return err
			}
			bom, err := billOfMaterials(binary, opts.version)
			if err != nil {
				return fmt.Errorf("%s: %w", pkg, err)
			}
			if err := os.WriteFile(filepath.Join(opts.out, program+"."+p.Architecture+".cdx.json"), bom, 0o644); err != nil {
				return err
			}
			images = append(images, a.image(program, p, binary, bom, opts.labels()))
		}
		digest, text := a.finish(opts.repository+"/"+program, opts.tags, images)
		file := filepath.Join(opts.out, program+".tar")
		if err := os.WriteFile(file, text, 0o644); err != nil {
			return err
		}
		fmt.Fprintf(out, "%s  %s/%s@%s\n", file, opts.repository, program, digest)
	}
	return nil
}
