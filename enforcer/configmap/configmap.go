// Package configmap lays a pool's encoded policy document in ConfigMaps, and puts
// it together again. A small document lies in one ConfigMap, the index. A large
// one lies in chunks that the index names; the names hold a hash of the content,
// so a reader that sees an old index with new chunks, or the reverse, has either
// a whole document or an error, never a mixture. Writers write chunks first and
// the index last, and delete chunks of older documents afterwards.
package configmap

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

const (
	// ChunkSize is the most that one ConfigMap holds, in bytes. The API server
	// accepts 1 MiB with everything; half of that leaves room for base64 on the way.
	ChunkSize = 512 << 10

	// MaxChunks bounds a document: 32 MiB gzipped is some hundred thousand policies.
	MaxChunks = 64
)

// Keys of the data of a ConfigMap.
const (
	digestKey   = "digest"   // index: policy.Document.Digest
	sumKey      = "sha256"   // index: hash of the encoded document
	chunksKey   = "chunks"   // index: number of chunks; 0: the document lies in the index
	documentKey = "document" // index or chunk, binary: the encoded document or a part of it
)

// IndexName returns the name of a pool's index.
func IndexName(pool string) string { return "sluice-" + pool }

// Selector matches every ConfigMap of a pool: its index, its chunks and chunks
// of older documents.
func Selector(pool string) labels.Selector {
	return labels.SelectorFromSet(labels.Set{v1alpha1.LabelPool: pool})
}

// Layout returns the ConfigMaps that hold an encoded document with the given
// digest: the index, and the chunks that have to be written before it, none for a
// document of up to ChunkSize bytes. The result is a function of the arguments.
// The error says that the document is too large for MaxChunks chunks.
func Layout(pool, namespace string, encoded []byte, digest string) (corev1.ConfigMap, []corev1.ConfigMap, error) {
	if len(encoded) > ChunkSize*MaxChunks {
		return corev1.ConfigMap{}, nil, fmt.Errorf("the document of pool %s has %d bytes, more than %d: move policies to another pool",
			pool, len(encoded), ChunkSize*MaxChunks)
	}
	sum := sumOf(encoded)
	index := newConfigMap(pool, namespace, IndexName(pool))
	index.Data = map[string]string{digestKey: digest, sumKey: sum, chunksKey: "0"}
	if len(encoded) <= ChunkSize {
		index.BinaryData = map[string][]byte{documentKey: encoded}
		return index, nil, nil
	}
	var chunks []corev1.ConfigMap
	for part := range slices.Chunk(encoded, ChunkSize) {
		chunk := newConfigMap(pool, namespace, chunkName(pool, sum, len(chunks)))
		chunk.BinaryData = map[string][]byte{documentKey: part}
		chunks = append(chunks, chunk)
	}
	index.Data[chunksKey] = strconv.Itoa(len(chunks))
	return index, chunks, nil
}

// Assemble returns the encoded document that the index names, and its digest.
// Chunks may be in any order; those of other documents are ignored. The error names the ConfigMap that is missing or does not
// fit; a reader keeps what it has and waits for the next change.
func Assemble(index *corev1.ConfigMap, chunks []corev1.ConfigMap) (encoded []byte, digest string, err error) {
	pool := index.Labels[v1alpha1.LabelPool]
	digest, sum := index.Data[digestKey], index.Data[sumKey]
	if digest == "" || len(sum) != hex.EncodedLen(sha256.Size) {
		return nil, "", fmt.Errorf("configmap %s: data.%s or data.%s is missing: it is no index", index.Name, digestKey, sumKey)
	}
	count, err := strconv.ParseUint(index.Data[chunksKey], 10, 16)
	if err != nil || count > MaxChunks {
		return nil, "", fmt.Errorf("configmap %s: data.%s %q is not a number from 0 to %d", index.Name, chunksKey, index.Data[chunksKey], MaxChunks)
	}
	encoded = index.BinaryData[documentKey]
	if count > 0 {
		if encoded, err = join(pool, sum, int(count), chunks); err != nil {
			return nil, "", err
		}
	}
	if sumOf(encoded) != sum {
		return nil, "", fmt.Errorf("configmap %s: the document does not have the hash that data.%s tells", index.Name, sumKey)
	}
	return encoded, digest, nil
}

// Find returns the index of a pool and the chunks of all its documents, also of
// older ones; index is nil when the pool has published nothing. Other ConfigMaps
// are left out, whatever their labels.
func Find(pool string, all []corev1.ConfigMap) (index *corev1.ConfigMap, chunks []corev1.ConfigMap) {
	for i := range all {
		switch {
		case all[i].Labels[v1alpha1.LabelPool] != pool:
		case all[i].Name == IndexName(pool):
			index = &all[i]
		case strings.HasPrefix(all[i].Name, IndexName(pool)+"-"):
			chunks = append(chunks, all[i])
		}
	}
	return index, chunks
}

// Same says whether a stored ConfigMap has the data and the label that Layout
// wants; what others added to its metadata is not looked at.
func Same(want, stored *corev1.ConfigMap) bool {
	return stored.Labels[v1alpha1.LabelPool] == want.Labels[v1alpha1.LabelPool] &&
		maps.Equal(stored.Data, want.Data) &&
		maps.EqualFunc(stored.BinaryData, want.BinaryData, slices.Equal[[]byte])
}

func join(pool, sum string, count int, chunks []corev1.ConfigMap) ([]byte, error) {
	byName := make(map[string]*corev1.ConfigMap, len(chunks))
	for i := range chunks {
		byName[chunks[i].Name] = &chunks[i]
	}
	var encoded []byte
	for i := range count {
		name := chunkName(pool, sum, i)
		chunk, ok := byName[name]
		if !ok {
			return nil, fmt.Errorf("configmap %s of the document of pool %s is not there yet", name, pool)
		}
		encoded = append(encoded, chunk.BinaryData[documentKey]...)
	}
	return encoded, nil
}

func newConfigMap(pool, namespace, name string) corev1.ConfigMap {
	return corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{v1alpha1.LabelPool: pool}},
	}
}

// chunkName is a function of the content, so chunks are never changed, only
// added and deleted.
func chunkName(pool, sum string, i int) string {
	return fmt.Sprintf("%s-%s-%d", IndexName(pool), sum[:16], i)
}

func sumOf(encoded []byte) string {
	sum := sha256.Sum256(encoded)
	return hex.EncodeToString(sum[:])
}
