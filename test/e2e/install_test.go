//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// firstWithin is the goal for somebody who tries Sluice. It is told, and not a reason
// to fail: it says as much of the machine.
const firstWithin = 60 * time.Second

// release is what some sources install.
type release struct {
	folder            string // has install.yaml, and images
	manager, enforcer string // the images that install.yaml names
}

// releaseOf reads what a build left in a folder.
func releaseOf(t *testing.T, folder string) release {
	t.Helper()
	folder, err := filepath.Abs(folder)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(folder, "install.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	image := func(program string) string {
		return regexp.MustCompile(`\S+/` + program + `[:@]\S+`).FindString(string(text))
	}
	return release{folder, image("manager"), image("enforcer")}
}

// load gives every node the images: there is no registry.
func (r *release) load(ctx context.Context) error {
	return nodes(ctx, "load", filepath.Join(r.folder, "images/manager.tar"), filepath.Join(r.folder, "images/enforcer.tar"))
}

// apply has the cluster run a release, whichever it ran before, or none.
func (r *release) apply(ctx context.Context) error {
	return kubectl(ctx, "apply", "--server-side", "-f", filepath.Join(r.folder, "install.yaml"))
}

// install applies a release to a cluster that has never heard of Sluice.
func (c *cluster) install(t *testing.T, r *results, what release) {
	if err := what.load(t.Context()); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := errors.Join(what.apply(t.Context()), c.awaitSettled(t.Context(), poolSize)); err != nil {
		t.Fatal(err)
	}
	r.installed = time.Since(began)
	if _, err := eventually(t.Context(), "enforcers that know each other's zones", func() error { return c.zones(t.Context()) }); err != nil {
		t.Error(err)
	}
	t.Logf("installed: %d enforcers are ready %.1f s after kubectl began", poolSize, r.installed.Seconds())
}

// zones is nil once each enforcer knows in which zones the nodes of the others are: the
// copy of what is shared exactly is in another one.
func (c *cluster) zones(ctx context.Context) error {
	pods, err := c.pods(ctx, pool)
	if err != nil {
		return err
	}
	zone := map[string]string{}
	for i := range pods {
		node, err := c.CoreV1().Nodes().Get(ctx, pods[i].Spec.NodeName, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if zone[pods[i].Name] = node.Labels[corev1.LabelTopologyZone]; zone[pods[i].Name] == "" {
			return fmt.Errorf("node %s has no zone", node.Name)
		}
	}
	for i := range pods {
		state, err := stateOf(ctx, &pods[i])
		if err != nil {
			return err
		}
		for _, p := range state.Peers {
			if p.Zone != zone[p.Node] {
				return fmt.Errorf("%s takes it that %s is in zone %q, and it is in %q", pods[i].Name, p.Node, p.Zone, zone[p.Node])
			}
		}
	}
	return nil
}

// firstLimited applies a sample and asks by way of the Service, as its reader would,
// until a request is denied.
func (c *cluster) firstLimited(t *testing.T, r *results) {
	began := time.Now()
	ctx := t.Context()
	for _, step := range [][]string{
		{"create", "namespace", "shop"},
		{"apply", "--server-side", "-f", "config/samples/per-client.yaml"},
	} {
		if err := kubectl(ctx, step...); err != nil {
			t.Fatal(err)
		}
	}
	url, err := c.serviceURL(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := eventually(ctx, "the first 429", func() error {
		var code int
		for range 30 { // the bucket of the sample holds 10
			if code, err = get(ctx, url+"/v1/auth/storefront", "alice"); err != nil || code == http.StatusTooManyRequests {
				return err
			}
		}
		return fmt.Errorf("of 30 requests none was denied; the last answer is %d", code)
	}); err != nil {
		t.Fatal(err)
	}
	r.firstLimited = r.installed + time.Since(began)
	t.Logf("the first 429 comes %.1f s after the installation began, %.1f s after the sample was applied", r.firstLimited.Seconds(), time.Since(began).Seconds())
	if err := kubectl(ctx, "wait", "--for=condition=Ready", "rlp/storefront", "-n", "shop", "--timeout=90s"); err != nil {
		t.Error(err)
	}
}

// serviceURL is where the enforcers answer HTTP, whichever of them.
func (c *cluster) serviceURL(ctx context.Context) (string, error) {
	services, err := c.CoreV1().Services(system).List(ctx, metav1.ListOptions{LabelSelector: ofPool})
	if err != nil {
		return "", err
	}
	for i := range services.Items {
		for _, p := range services.Items[i].Spec.Ports {
			if p.Name == "http" {
				return fmt.Sprintf("http://%s:%d", services.Items[i].Spec.ClusterIP, p.Port), nil
			}
		}
	}
	return "", errors.New("the pool has no Service with a port named http")
}

// get asks for a decision and returns the status code.
func get(ctx context.Context, url, apiKey string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("X-Api-Key", apiKey)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}
