//go:build !race

package engine_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/sluice-dev/sluice/enforcer/engine"
	"github.com/sluice-dev/sluice/enforcer/gossip"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/request"
)

// TestAMillionActiveClients measures what a million clients cost a node of three,
// all in: counters, what waits to be shared, and what is remembered of that.
func TestAMillionActiveClients(t *testing.T) {
	if testing.Short() {
		t.Skip("a million clients, only in a full run")
	}
	const clients = 1_000_000
	heap := func() float64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc) / 1e6
	}
	snapshot := compile(t, perClient("client", 10, "1h", 10))
	before := heap()
	e, err := engine.New(engine.Options{Node: "node", MaxKeys: clients * 5 / 4, Seed: [16]byte{1}, Born: start})
	if err != nil {
		t.Fatal(err)
	}
	e.SetPolicy(start, snapshot)
	e.SetView(start, gossip.View{})
	headers := &oneHeader{}
	req := &request.Request{Domain: "web", Cost: 1, HTTP: &request.HTTP{Headers: headers}}
	var ans request.Answer
	now := start
	for i := range clients {
		if i%10_000 == 0 { // 500,000 new clients a second
			now = now.Add(20 * limit.Millisecond)
			e.Tick(now, nowhere{})
		}
		headers.value = fmt.Sprint("client-", i)
		e.Decide(now, req, &ans)
	}
	grown := heap() - before
	if keys := e.Report().Store.Keys; keys != clients {
		t.Fatalf("%d counters, want %d", keys, clients)
	}
	t.Logf("1M active clients: %.1f MB of heap", grown)
	if grown > 100 {
		t.Errorf("1M active clients cost %.1f MB of heap, want at most 100", grown)
	}
	runtime.KeepAlive(e)
}
