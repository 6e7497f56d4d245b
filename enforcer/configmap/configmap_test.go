package configmap_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/enforcer/configmap"
)

const digest = "4f2a"

// incompressible returns n bytes that depend on the seed, as gzip gives them.
func incompressible(seed uint64, n int) []byte {
	b := make([]byte, n)
	source := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	_, _ = source.Read(b)
	return b
}

func layout(t *testing.T, encoded []byte) (corev1.ConfigMap, []corev1.ConfigMap) {
	t.Helper()
	index, chunks, err := configmap.Layout("default", "sluice-system", encoded, digest)
	if err != nil {
		t.Fatal(err)
	}
	return index, chunks
}

func TestLayoutSplitsLargeDocuments(t *testing.T) {
	tests := map[string]struct {
		bytes      int
		wantChunks int
	}{
		"an empty document lies in the index":        {0, 0},
		"a small document lies in the index":         {1000, 0},
		"a document that just fits needs no chunks":  {configmap.ChunkSize, 0},
		"one byte more makes two chunks":             {configmap.ChunkSize + 1, 2},
		"a document of whole chunks has no rest":     {3 * configmap.ChunkSize, 3},
		"the largest document that is still allowed": {configmap.MaxChunks * configmap.ChunkSize, configmap.MaxChunks},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			encoded := incompressible(1, tc.bytes)
			index, chunks := layout(t, encoded)
			if len(chunks) != tc.wantChunks {
				t.Fatalf("%d chunks, want %d", len(chunks), tc.wantChunks)
			}
			for _, c := range append(chunks, index) {
				if c.Namespace != "sluice-system" || c.Labels[v1alpha1.LabelPool] != "default" {
					t.Errorf("%s has namespace %q and labels %v", c.Name, c.Namespace, c.Labels)
				}
				if size := len(c.BinaryData["document"]); size > configmap.ChunkSize {
					t.Errorf("%s holds %d bytes", c.Name, size)
				}
			}
			got, gotDigest, err := configmap.Assemble(&index, chunks)
			if err != nil || gotDigest != digest || !bytes.Equal(got, encoded) {
				t.Errorf("assembled %d bytes, digest %q, error %v; want %d bytes, digest %q", len(got), gotDigest, err, len(encoded), digest)
			}
		})
	}
}

// Enforcers of the release before this one, and of the one after it, look for these
// names.
func TestTheReleasedFormStays(t *testing.T) {
	const sum = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" // of "test", by sha256sum
	meta := func(name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: "sluice-system", Name: name, Labels: map[string]string{"sluice.dev/pool": "default"}}
	}
	kind := metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}
	index, _ := layout(t, []byte("test"))
	want := corev1.ConfigMap{
		TypeMeta: kind, ObjectMeta: meta("sluice-default"),
		Data:       map[string]string{"digest": "4f2a", "sha256": sum, "chunks": "0"},
		BinaryData: map[string][]byte{"document": []byte("test")},
	}
	if diff := cmp.Diff(want, index); diff != "" {
		t.Errorf("a small document (-released +now):\n%s", diff)
	}

	large := make([]byte, configmap.ChunkSize+1)
	index, chunks := layout(t, large)
	first := index.Data["sha256"][:16]
	want = corev1.ConfigMap{TypeMeta: kind, ObjectMeta: meta("sluice-default-" + first + "-1"), BinaryData: map[string][]byte{"document": {0}}}
	if diff := cmp.Diff(want, chunks[1]); diff != "" || index.Data["chunks"] != "2" || index.BinaryData != nil {
		t.Errorf("a large document in %s chunks, the last of them (-released +now):\n%s", index.Data["chunks"], diff)
	}
}

func TestLayoutRefusesWhatDoesNotFit(t *testing.T) {
	_, _, err := configmap.Layout("default", "ns", make([]byte, configmap.MaxChunks*configmap.ChunkSize+1), digest)
	if err == nil || !strings.Contains(err.Error(), "pool default") {
		t.Errorf("error %v, want one that names the pool", err)
	}
}

// Whatever mixture of two documents a reader sees, in whatever order: it has the
// one that the index names, or an error.
func TestATornUpdateNeverMixesDocuments(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sizes := rapid.SampledFrom([]int{0, 10, configmap.ChunkSize, configmap.ChunkSize + 1, 2*configmap.ChunkSize + 7})
		older := incompressible(1, sizes.Draw(t, "older"))
		newer := incompressible(2, sizes.Draw(t, "newer"))
		olderIndex, olderChunks, _ := configmap.Layout("default", "ns", older, "old")
		newerIndex, newerChunks, _ := configmap.Layout("default", "ns", newer, "new")

		var seen []corev1.ConfigMap
		for _, c := range append(slices.Clone(olderChunks), newerChunks...) {
			if rapid.Bool().Draw(t, "sees "+c.Name) {
				seen = append(seen, c)
			}
		}
		want, wantDigest := older, "old"
		index := olderIndex
		if rapid.Bool().Draw(t, "sees the newer index") {
			want, wantDigest, index = newer, "new", newerIndex
		}
		seen = rapid.Permutation(append(seen, index)).Draw(t, "order")

		found, rest := configmap.Find("default", seen)
		if found == nil {
			t.Fatal("the index was not found")
		}
		got, gotDigest, err := configmap.Assemble(found, rest)
		if err != nil {
			return
		}
		if gotDigest != wantDigest || !bytes.Equal(got, want) {
			t.Fatalf("assembled %d bytes with digest %q, want %d with %q", len(got), gotDigest, len(want), wantDigest)
		}
	})
}

func TestAssembleSaysWhatIsWrong(t *testing.T) {
	tests := map[string]struct {
		change  func(index *corev1.ConfigMap, chunks []corev1.ConfigMap) []corev1.ConfigMap
		wantErr string
	}{
		"a chunk that is not there yet": {
			func(_ *corev1.ConfigMap, chunks []corev1.ConfigMap) []corev1.ConfigMap { return chunks[:1] },
			"is not there yet",
		},
		"a chunk whose content was changed": {
			func(_ *corev1.ConfigMap, chunks []corev1.ConfigMap) []corev1.ConfigMap {
				chunks[1].BinaryData = map[string][]byte{"document": []byte("else")}
				return chunks
			},
			"does not have the hash",
		},
		"a ConfigMap that is no index": {
			func(index *corev1.ConfigMap, chunks []corev1.ConfigMap) []corev1.ConfigMap {
				index.Data = nil
				return chunks
			},
			"it is no index",
		},
		"a number of chunks that is none": {
			func(index *corev1.ConfigMap, chunks []corev1.ConfigMap) []corev1.ConfigMap {
				index.Data["chunks"] = "-1"
				return chunks
			},
			"not a number from 0 to 64",
		},
		"more chunks than a document may have": {
			func(index *corev1.ConfigMap, chunks []corev1.ConfigMap) []corev1.ConfigMap {
				index.Data["chunks"] = "65"
				return chunks
			},
			"not a number from 0 to 64",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			index, chunks := layout(t, incompressible(3, configmap.ChunkSize+1))
			_, _, err := configmap.Assemble(&index, tc.change(&index, chunks))
			if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
				t.Errorf("error %v, want one with %q", err, tc.wantErr)
			}
		})
	}
}

func TestFindLooksAtOnePoolOnly(t *testing.T) {
	index, chunks := layout(t, incompressible(4, configmap.ChunkSize+1))
	otherIndex, _, _ := configmap.Layout("other", "ns", nil, digest)
	unlabelled := corev1.ConfigMap{}
	unlabelled.Name = "sluice-default"
	stranger := *index.DeepCopy()
	stranger.Name = "dashboards"

	found, rest := configmap.Find("default", append(chunks, otherIndex, unlabelled, stranger, index))
	if found == nil || found.Labels == nil {
		t.Fatalf("found %v, want the labelled index", found)
	}
	if diff := cmp.Diff(chunks, rest); diff != "" {
		t.Errorf("rest (-want +got):\n%s", diff)
	}
	if found, _ := configmap.Find("absent", []corev1.ConfigMap{index}); found != nil {
		t.Errorf("found the index %s of a pool that has none", found.Name)
	}
}

func TestSameIgnoresWhatOthersAdd(t *testing.T) {
	index, _ := layout(t, []byte("doc"))
	stored := index.DeepCopy()
	stored.ResourceVersion = "7"
	stored.Annotations = map[string]string{"backup": "yes"}
	stored.Labels["team"] = "platform"
	if !configmap.Same(&index, stored) {
		t.Error("metadata of others makes a difference")
	}
	stored.BinaryData["document"] = []byte("dog")
	if configmap.Same(&index, stored) {
		t.Error("a changed document makes no difference")
	}
}

func FuzzAssemble(f *testing.F) {
	f.Add("default", "4f2a", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "0", []byte(nil))
	f.Add("default", "4f2a", strings.Repeat("0", 64), "2", []byte("part"))
	f.Add("", "", "", "", []byte("x"))
	f.Fuzz(func(t *testing.T, pool, digest, sum, chunks string, document []byte) {
		index := corev1.ConfigMap{
			Data:       map[string]string{"digest": digest, "sha256": sum, "chunks": chunks},
			BinaryData: map[string][]byte{"document": document},
		}
		index.Labels = map[string]string{v1alpha1.LabelPool: pool}
		encoded, got, err := configmap.Assemble(&index, []corev1.ConfigMap{index})
		if err == nil && (got != digest || !bytes.Equal(encoded, document)) {
			t.Errorf("assembled %q with digest %q from %q with digest %q", encoded, got, document, digest)
		}
	})
}
