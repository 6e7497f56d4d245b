package membership

import (
	"bytes"
	"context"
	"log"
	"log/slog"

	"golang.org/x/time/rate"
)

// memberlist writes a few lines for each thing that it finds remarkable, and many
// while the network is bad. They go to slog's debug level, so many at most.
const (
	linesPerSecond = 10
	linesAtOnce    = 100
)

func debugLogger(to *slog.Logger) *log.Logger {
	return log.New(&debugWriter{to: to, limit: rate.NewLimiter(linesPerSecond, linesAtOnce)}, "", 0)
}

// debugWriter is an io.Writer of lines; log.Logger calls it from one goroutine at
// a time.
type debugWriter struct {
	to      *slog.Logger
	limit   *rate.Limiter
	dropped int // lines since the last one that was written
}

// Write implements io.Writer.
func (w *debugWriter) Write(line []byte) (int, error) {
	if !w.to.Enabled(context.Background(), slog.LevelDebug) {
		return len(line), nil
	}
	if !w.limit.Allow() {
		w.dropped++
		return len(line), nil
	}
	text, _ := bytes.CutPrefix(bytes.TrimSpace(line), []byte("[DEBUG] "))
	args := []any{"said", string(text)}
	if w.dropped > 0 {
		args = append(args, "dropped", w.dropped)
		w.dropped = 0
	}
	w.to.Debug("memberlist", args...)
	return len(line), nil
}
