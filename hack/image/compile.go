package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// compile builds a program for a platform: static, and without the paths of this
// machine.
func compile(ctx context.Context, pkg string, p platform, opts options) ([]byte, error) {
	dir, err := os.MkdirTemp("", "image-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // of this machine's temporary files
	const told = "github.com/sluice-dev/sluice/internal/version."
	ldflags := "-s -w -X " + told + "release=" + opts.version + " -X " + told + "commit=" + opts.revision
	file := filepath.Join(dir, "program")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", ldflags, "-o", file, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+p.OS, "GOARCH="+p.Architecture)
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build %s for %s/%s: %w\n%s", pkg, p.OS, p.Architecture, err, out)
	}
	return os.ReadFile(file)
}

// component is one part of a program, in CycloneDX.
type component struct {
	Type    string `json:"type"`
	Name    string `json:"name"`
	Version string `json:"version"`
	URL     string `json:"purl"`
}

// billOfMaterials lists the modules that a program was built from, as the Go
// linker wrote them into it, in CycloneDX 1.6. It has no serial number and no
// time: the same program has the same list.
func billOfMaterials(program []byte, version string) ([]byte, error) {
	info, err := buildinfo.Read(bytes.NewReader(program))
	if err != nil {
		return nil, fmt.Errorf("the modules in the program: %w", err)
	}
	module := func(kind, path, version string) component {
		return component{kind, path, version, "pkg:golang/" + path + "@" + strings.ReplaceAll(version, "+", "%2B")}
	}
	parts := []component{module("library", "std", strings.TrimPrefix(info.GoVersion, "go"))}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		parts = append(parts, module("library", m.Path, m.Version))
	}
	return json.MarshalIndent(map[string]any{
		"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
		"metadata":   map[string]any{"component": module("application", info.Path, version)},
		"components": parts,
	}, "", "  ")
}
