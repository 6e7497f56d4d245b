package enforcer_test

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/sluice-dev/sluice/enforcer"
	"github.com/sluice-dev/sluice/enforcer/gossipkey"
	"github.com/sluice-dev/sluice/enforcer/report"
)

// The steps of a rotation as the manager takes them reach one enforcer before the
// other, and at no time do they fail to understand each other.
func TestCountsAreSharedWhileTheKeyRotates(t *testing.T) {
	if testing.Short() { // make test runs it: real enforcers take as long as they do in a pod
		t.Skip("key files are read every two seconds")
	}
	folder := t.TempDir()
	policies := filepath.Join(folder, "web.yaml")
	writePolicy(t, policies, perHour(10))
	var old, fresh gossipkey.Key
	for _, k := range []*gossipkey.Key{&old, &fresh} {
		var err error
		if *k, err = gossipkey.New(rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	files := []string{filepath.Join(folder, "a"), filepath.Join(folder, "b")}
	give := func(i int, keys []gossipkey.Key) {
		t.Helper()
		if err := os.WriteFile(files[i], gossipkey.Format(keys), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	gossip := []string{freeAddress(t), freeAddress(t)}
	var pool []*running
	for i := range files {
		give(i, []gossipkey.Key{old})
		pool = append(pool, launch(t, enforcer.Options{
			Node: fmt.Sprintf("node-%d", i), Policies: policies, Peers: gossip[0] + "," + gossip[1], GossipListen: gossip[i], GossipKeyFile: files[i],
		}))
	}
	shared := func(client string) {
		t.Helper()
		for i := range pool {
			name := fmt.Sprintf("%s-%d", client, i)
			pool[i].check("web", name, 10)
			pool[1-i].sees("web", name, 0)
		}
	}
	for step, keys := range [][]gossipkey.Key{{old}, {old, fresh}, {fresh, old}, {fresh}} {
		for i, e := range pool {
			give(i, keys)
			e.eventually("the keys are taken up", func() error { return e.has(keys) })
			shared(fmt.Sprintf("client-%d-%d", step, i))
		}
	}
}

// has is nil when an enforcer says that it has these keys.
func (r *running) has(keys []gossipkey.Key) error {
	var state report.State
	if err := r.get("/v1/state", &state); err != nil {
		return err
	}
	var want []string
	for _, k := range keys {
		want = append(want, k.String())
	}
	if !slices.Equal(state.GossipKeys, want) {
		return fmt.Errorf("it has %v, want %v", state.GossipKeys, want)
	}
	return nil
}
