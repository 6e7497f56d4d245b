package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// buildPause builds the smallest program of this repository, as a user would.
func buildPause(t *testing.T, more ...string) []byte {
	t.Helper()
	dir := t.TempDir()
	opts, err := parse(append([]string{"--out", dir, "--repository", "local.test", "--tags", "1,latest", "--version", "v1", "../cluster/pause"}, more...), io.Discard)
	if err == nil {
		err = run(t.Context(), opts, io.Discard)
	}
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "pause.tar"))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// layout is an archive that was read.
type layout map[string][]byte

func untar(t *testing.T, r io.Reader) layout {
	t.Helper()
	all := layout{}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err == nil {
			all[h.Name], err = io.ReadAll(tr)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// blob returns what a descriptor names, after it checked its digest and size.
func (l layout) blob(t *testing.T, d descriptor) []byte {
	t.Helper()
	blob := l["blobs/"+strings.Replace(d.Digest, ":", "/", 1)]
	if digestOf(blob) != d.Digest || len(blob) != d.Size {
		t.Fatalf("the blob %s has digest %s and %d bytes, want %d", d.Digest, digestOf(blob), len(blob), d.Size)
	}
	return blob
}

func decode[T any](t *testing.T, text []byte) (v T) {
	t.Helper()
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestTheSameSourcesMakeTheSameBytes(t *testing.T) {
	if !bytes.Equal(buildPause(t), buildPause(t)) {
		t.Error("two builds differ")
	}
}

func TestAnImageIsOneProgramForEachPlatform(t *testing.T) {
	all := untar(t, bytes.NewReader(buildPause(t)))
	var names []string
	top := decode[index](t, all["index.json"])
	for _, d := range top.Manifests {
		names = append(names, d.Annotations["io.containerd.image.name"])
	}
	if diff := cmp.Diff([]string{"local.test/pause:1", "local.test/pause:latest"}, names); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	var platforms []string
	for _, d := range decode[index](t, all.blob(t, top.Manifests[0])).Manifests {
		platforms = append(platforms, d.Platform.OS+"/"+d.Platform.Architecture)
		checkImage(t, all, d)
	}
	if diff := cmp.Diff([]string{"linux/amd64", "linux/arm64"}, platforms); diff != "" {
		t.Errorf("platforms (-want +got):\n%s", diff)
	}
}

func checkImage(t *testing.T, all layout, d descriptor) {
	t.Helper()
	m := decode[manifest](t, all.blob(t, d))
	c := decode[config](t, all.blob(t, m.Config))
	if c.platform != *d.Platform || c.Config.User != "65532:65532" || c.Config.Labels["org.opencontainers.image.version"] != "v1" {
		t.Errorf("config %+v, want platform %v, a user that is not root, and version v1", c, *d.Platform)
	}
	zipped, err := gzip.NewReader(bytes.NewReader(all.blob(t, m.Layers[0])))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(zipped)
	if err != nil {
		t.Fatal(err)
	}
	if got := digestOf(plain); len(m.Layers) != 1 || got != c.RootFS.DiffIDs[0] {
		t.Errorf("%d layers, the first one is %s, want %v", len(m.Layers), got, c.RootFS.DiffIDs)
	}
	files := untar(t, bytes.NewReader(plain))
	if program := files[strings.TrimPrefix(c.Config.Entrypoint[0], "/")]; len(files) != 2 || len(program) == 0 {
		t.Errorf("%d files, of which the program has %d bytes; want it and its list of modules", len(files), len(program))
	}
	bom := decode[struct {
		BOMFormat  string
		Components []component
		Metadata   struct{ Component component }
	}](t, files["sbom.cdx.json"])
	if bom.BOMFormat != "CycloneDX" || bom.Metadata.Component.Version != "v1" || bom.Components[0].Name != "std" {
		t.Errorf("list of modules %+v, want one of CycloneDX, of version v1, with std first", bom)
	}
}

func TestWrongCommandLines(t *testing.T) {
	for args, want := range map[string]string{
		"":                                   "no program: name a package, such as ./cmd/enforcer",
		"--platforms windows/amd64 ./cmd/x":  "--platforms windows/amd64: write linux/amd64, linux/arm64",
		"--platforms linux/arm/v7 ./cmd/x":   "--platforms linux/arm/v7: write linux/amd64",
		"--platforms amd64 ./cmd/x":          "--platforms amd64: write linux/amd64",
		"--unknown ./cmd/enforcer ./cmd/mgr": "unknown flag: --unknown",
	} {
		if _, err := parse(strings.Fields(args), io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("image %s: %v, want %q", args, err, want)
		}
	}
}
