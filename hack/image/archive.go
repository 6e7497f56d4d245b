package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// user runs the programs: nobody in particular, and not root.
const user = "65532:65532"

// The words of the OCI image format, as far as a program of one file needs them.
type (
	platform struct {
		OS           string `json:"os"`
		Architecture string `json:"architecture"`
	}
	descriptor struct {
		MediaType   string            `json:"mediaType"`
		Digest      string            `json:"digest"`
		Size        int               `json:"size"`
		Platform    *platform         `json:"platform,omitempty"`
		Annotations map[string]string `json:"annotations,omitempty"`
	}
	manifest struct {
		SchemaVersion int          `json:"schemaVersion"`
		MediaType     string       `json:"mediaType"`
		Config        descriptor   `json:"config"`
		Layers        []descriptor `json:"layers"`
	}
	index struct {
		SchemaVersion int          `json:"schemaVersion"`
		MediaType     string       `json:"mediaType"`
		Manifests     []descriptor `json:"manifests"`
	}
	config struct {
		platform
		Config struct {
			User       string
			Entrypoint []string
			WorkingDir string
			Labels     map[string]string
		} `json:"config"`
		RootFS struct {
			Type    string   `json:"type"`
			DiffIDs []string `json:"diff_ids"`
		} `json:"rootfs"`
	}
)

const mediaType = "application/vnd.oci.image."

// archive is an OCI image layout that grows. Files are kept by their names, so
// that the same ones make the same bytes.
type archive struct{ files map[string][]byte }

func newArchive() archive {
	return archive{map[string][]byte{"oci-layout": []byte(`{"imageLayoutVersion":"1.0.0"}`)}}
}

// image adds the image of a program for a platform.
func (a archive) image(program string, p platform, binary, bom []byte, labels map[string]string) descriptor {
	files := tarOf(map[string][]byte{program: binary, "sbom.cdx.json": bom}, 0o755)
	c := config{platform: p}
	c.Config.User, c.Config.Entrypoint, c.Config.WorkingDir, c.Config.Labels = user, []string{"/" + program}, "/", labels
	c.RootFS.Type, c.RootFS.DiffIDs = "layers", []string{digestOf(files)}
	made := a.addJSON("manifest.v1+json", manifest{
		2, mediaType + "manifest.v1+json",
		a.addJSON("config.v1+json", c),
		[]descriptor{a.add("layer.v1.tar+gzip", gzipOf(files))},
	})
	made.Platform = &p
	return made
}

// finish names the images, and returns their digest and the archive. The
// annotations are what containerd, and what everybody else, looks for.
func (a archive) finish(repository string, tags []string, images []descriptor) (digest string, text []byte) {
	all := a.addJSON("index.v1+json", index{2, mediaType + "index.v1+json", images})
	top := index{SchemaVersion: 2, MediaType: mediaType + "index.v1+json"}
	for _, tag := range tags {
		named := all
		named.Annotations = map[string]string{"io.containerd.image.name": repository + ":" + tag, "org.opencontainers.image.ref.name": tag}
		top.Manifests = append(top.Manifests, named)
	}
	a.files["index.json"] = jsonOf(top)
	return all.Digest, tarOf(a.files, 0o644)
}

// add keeps a blob and returns what names it.
func (a archive) add(kind string, blob []byte) descriptor {
	digest := digestOf(blob)
	a.files["blobs/sha256/"+digest[len("sha256:"):]] = blob
	return descriptor{MediaType: mediaType + kind, Digest: digest, Size: len(blob)}
}

func (a archive) addJSON(kind string, v any) descriptor { return a.add(kind, jsonOf(v)) }

func digestOf(blob []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(blob)) }

// jsonOf encodes one of the types above, which always succeeds.
func jsonOf(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}

// tarOf packs files of root's, in the order of their names and without a time.
func tarOf(files map[string][]byte, mode int64) []byte {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		must(w.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: int64(len(files[name])), Typeflag: tar.TypeReg}))
		_, err := w.Write(files[name])
		must(err)
	}
	must(w.Close())
	return out.Bytes()
}

func gzipOf(text []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write(text)
	must(err)
	must(w.Close())
	return out.Bytes()
}

// must is for writers that write to memory, which has no errors.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
