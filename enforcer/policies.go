package enforcer

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/sluice-dev/sluice/config/crd"
	"github.com/sluice-dev/sluice/enforcer/engine"
	"github.com/sluice-dev/sluice/enforcer/internal/clock"
	"github.com/sluice-dev/sluice/enforcer/internal/journal"
	"github.com/sluice-dev/sluice/enforcer/internal/source"
	"github.com/sluice-dev/sluice/enforcer/policy"
)

// documents is where documents come from: it calls update until ctx ends.
type documents interface {
	Run(ctx context.Context, update func(source.Update))
}

// policies puts documents in force, and keeps the last good one when a new one
// cannot be.
type policies struct {
	source   documents
	engine   *engine.Engine
	clock    *clock.Clock
	journal  *journal.Journal // nil keeps nothing
	log      *slog.Logger
	compiler policy.Compiler

	mu      sync.Mutex
	refused string // why the newest document is not in force; guarded by mu
}

// loadFiles puts the files of standalone mode in force. What is wrong with them
// is an error: nothing was in force before.
func (p *policies) loadFiles(ctx context.Context, o *Options) error {
	files, err := source.NewFiles(o.Policies, o.PoolName, crd.RateLimitPolicies, o.Log)
	if err != nil {
		return err
	}
	document, err := files.Load(ctx)
	if err != nil {
		return fmt.Errorf("--policies %s:\n%w", o.Policies, err)
	}
	p.source = files
	return p.apply(document)
}

// loadJournal puts the document of the last run in force, if there is one. A
// journal that cannot be read is no reason to stop: the API server has the
// document.
func (p *policies) loadJournal() {
	if p.journal == nil {
		return
	}
	encoded, err := p.journal.Load(journal.Document)
	if err == nil && encoded == nil {
		return
	}
	var document *policy.Document
	if err == nil {
		document, err = policy.Decode(encoded)
	}
	if err == nil {
		err = p.apply(document)
	}
	if err != nil {
		p.log.Error("the journal's document cannot be used; waiting for the API server", "error", err)
		return
	}
	p.log.Info("started with the journal's document", "digest", document.Digest())
}

// run follows the source until ctx ends.
func (p *policies) run(ctx context.Context) {
	p.source.Run(ctx, p.update)
}

// update takes what the source says.
func (p *policies) update(u source.Update) {
	err := u.Err
	if err == nil {
		err = p.apply(u.Document)
	}
	if err != nil {
		p.refuse(err.Error())
		p.log.Error("the new policies are refused; the last good ones stay in force", "error", err)
		return
	}
	p.refuse("")
	p.log.Info("policies are in force", "digest", u.Document.Digest(), "policies", len(u.Document.Policies))
	p.save(u.Document)
}

// apply puts a document in force.
func (p *policies) apply(d *policy.Document) error {
	snapshot, err := p.compiler.Compile(d)
	if err != nil {
		return err
	}
	p.engine.SetPolicy(p.clock.Now(), snapshot)
	return nil
}

// save writes the document to the journal. A disk that is full does not stop an
// enforcer.
func (p *policies) save(d *policy.Document) {
	if p.journal == nil {
		return
	}
	encoded, err := policy.Encode(d)
	if err == nil {
		err = p.journal.Save(journal.Document, encoded)
	}
	if err != nil {
		p.log.Error("the document was not saved; after a restart without the API server an older one would be in force", "error", err)
	}
}

func (p *policies) refuse(why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refused = why
}

// lastRefusal returns why the newest document is not in force, or "".
func (p *policies) lastRefusal() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.refused
}
