package plugin_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/plugin"
)

// server answers by the path, with the text that it has for it: JSON, or the status
// code and message of a refusal. It remembers what it was sent.
type server struct {
	*httptest.Server
	answers map[string]string

	mu   sync.Mutex
	sent map[string]string // bodies, by method and path; guarded by mu
}

func serve(t *testing.T, answers map[string]string) *server {
	t.Helper()
	s := &server{answers: answers, sent: map[string]string{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.sent[r.Method+" "+r.URL.Path] = string(body)
		s.mu.Unlock()
		answer, ok := s.answers[r.Method+" "+r.URL.Path]
		var code int
		switch _, err := fmt.Sscanf(answer, "%d ", &code); {
		case !ok:
			w.WriteHeader(http.StatusNotFound)
		case err == nil:
			w.WriteHeader(code)
			_, answer, _ = strings.Cut(answer, " ")
		}
		fmt.Fprint(w, answer)
	}))
	t.Cleanup(s.Close)
	return s
}

// kubeconfig writes one that leads to the server.
func (s *server) kubeconfig(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: c, clusters: [{name: c, cluster: {server: %q}}],
contexts: [{name: c, context: {cluster: c, namespace: shop}}]}`, s.URL)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// run returns what a command writes.
func run(t *testing.T, o plugin.Options, c plugin.Command) (string, error) {
	t.Helper()
	var out strings.Builder
	o.Out, o.PoolNamespace, o.Pool = &out, plugin.DefaultPoolNamespace, "default"
	err := plugin.Run(t.Context(), o, c)
	return out.String(), err
}

// shows checks what a command writes, but for the blank line that the text begins
// with.
func shows(t *testing.T, o plugin.Options, c plugin.Command, want string) {
	t.Helper()
	got, err := run(t, o, c)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(strings.TrimPrefix(want, "\n"), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
}

// refuses checks the error of a command.
func refuses(t *testing.T, o plugin.Options, c plugin.Command, want string) {
	t.Helper()
	if out, err := run(t, o, c); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("output %q, error %v, want one with %q", out, err, want)
	}
}
