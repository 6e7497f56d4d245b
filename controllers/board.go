package controllers

import (
	"maps"
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/enforcer/assemble"
)

// board is where the manager's parts tell one another what they know of each
// pool. What is on it is immutable: a writer swaps the whole. It starts empty and
// is filled again after every start. Safe for concurrent use.
type board struct {
	mu    sync.Mutex
	pools map[string]poolNotes
}

// poolNotes is what is known of a pool. Either part is nil until somebody told it.
type poolNotes struct {
	judgment    *judgment
	observation *observation
}

// judgment is what the reconciler of EnforcerPool made of a pool's policies.
type judgment struct {
	verdicts map[types.NamespacedName]verdict
	digest   string // of the document that is published, "" before the first
	runs     documentRuns
	problem  string // why the newest document is not published, "" when it is
}

// verdict is the outcome for one generation of one policy.
type verdict struct {
	uid        types.UID
	generation int64
	outcome    assemble.Outcome
}

func newBoard() *board { return &board{pools: map[string]poolNotes{}} }

// of returns what is known of a pool.
func (b *board) of(pool string) poolNotes {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.pools[pool]
}

// all returns what is known of every pool.
func (b *board) all() map[string]poolNotes {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.pools)
}

// judge notes a judgment and returns the policies for which it differs from the
// one before.
func (b *board) judge(pool string, j *judgment) []types.NamespacedName {
	b.mu.Lock()
	defer b.mu.Unlock()
	notes := b.pools[pool]
	before := notes.judgment
	notes.judgment = j
	b.pools[pool] = notes

	var changed []types.NamespacedName
	for name, v := range j.verdicts {
		if before == nil || before.verdicts[name] != v || before.runs[name] != j.runs[name] || before.problem != j.problem {
			changed = append(changed, name)
		}
	}
	return changed
}

// observe notes an observation of a pool that has been judged, and returns the
// policies whose status it changes and whether the pool's does. The step is one:
// whoever judges or observes second wakes those whom both concern.
func (b *board) observe(pool string, o *observation) (policies []types.NamespacedName, changed bool, digest string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	notes := b.pools[pool]
	if notes.judgment == nil {
		return nil, false, ""
	}
	policies, changed = notes.observation.changed(o, notes.judgment.verdicts)
	notes.observation = o
	b.pools[pool] = notes
	return policies, changed, notes.judgment.digest
}

// forget removes a pool that is gone.
func (b *board) forget(pool string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.pools, pool)
}
