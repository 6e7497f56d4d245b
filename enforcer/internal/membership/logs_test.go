package membership

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestMemberlistsLogIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := debugLogger(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})))
		for range 1000 {
			log.Printf("[WARN] memberlist: the network is bad")
		}
		time.Sleep(time.Second)
		log.Printf("[DEBUG] memberlist: that was it")
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(lines) != linesAtOnce+1 {
			t.Fatalf("%d lines, want %d", len(lines), linesAtOnce+1)
		}
		if want := `msg=memberlist said="[WARN] memberlist: the network is bad"`; !strings.Contains(lines[0], want) || !strings.Contains(lines[0], "level=DEBUG") {
			t.Errorf("first line %s, want %s at debug level", lines[0], want)
		}
		if want := `said="memberlist: that was it" dropped=900`; !strings.Contains(lines[len(lines)-1], want) {
			t.Errorf("last line %s, want %s", lines[len(lines)-1], want)
		}
	})
}

func TestMemberlistsLogIsForDebugging(t *testing.T) {
	var out bytes.Buffer
	debugLogger(slog.New(slog.NewTextHandler(&out, nil))).Printf("[ERR] memberlist: a peer is gone")
	if out.Len() > 0 {
		t.Errorf("logged at info level: %s", out.String())
	}
}
