package seal_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/enforcer/internal/seal"
)

// FuzzRecords reads arbitrary bytes as records: it must not panic, and end.
func FuzzRecords(f *testing.F) {
	f.Add([]byte{0, 0, 0, 4, 0, 0, 0, 0}, false)
	f.Add([]byte{0, 1, 0, 16}, true)
	f.Add(append([]byte{0, 0, 0, 22}, make([]byte, 22)...), true)
	f.Fuzz(func(t *testing.T, stream []byte, sealed bool) {
		var r *seal.Ring
		if sealed {
			r = ring(t, 1, 2)
		}
		if err := seal.ReadRecords(bytes.NewReader(stream), r); err == nil || sealed && errors.Is(err, io.EOF) {
			t.Errorf("the end of the records: %v", err)
		}
	})
}

func BenchmarkStream(b *testing.B) {
	for _, keys := range [][]byte{nil, {1}} {
		client, server := connect(b, ring(b, keys...), ring(b, keys...))
		for _, size := range []int{4 << 10, 64 << 10} {
			b.Run(map[bool]string{true: "sealed", false: "plain"}[keys != nil]+"/"+map[int]string{4 << 10: "4K", 64 << 10: "64K"}[size], func(b *testing.B) {
				record := make([]byte, size)
				_ = client.SetDeadline(time.Time{})
				_ = server.SetDeadline(time.Time{})
				b.SetBytes(int64(size))
				b.ReportAllocs()
				go func() {
					for range b.N {
						_ = client.WriteRecord(record)
					}
				}()
				for range b.N {
					if _, err := server.ReadRecord(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
