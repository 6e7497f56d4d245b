package enforcer

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/sluice-dev/sluice/enforcer/discovery"
	"github.com/sluice-dev/sluice/enforcer/internal/journal"
)

// gossipPort is the name of the Service's port that gossip goes to.
const gossipPort = "gossip"

// peersWait is how long an enforcer waits to be told who its peers are, before
// it works without any for the time being.
const peersWait = 3 * time.Second

// peers tells the network who the other enforcers are.
type peers struct {
	source  discovery.Source // nil: there are none
	journal *journal.Journal // nil keeps nothing
	log     *slog.Logger
}

// run calls set with the peers' addresses until ctx ends: first with those of the
// last run, if they were kept.
func (p *peers) run(ctx context.Context, set func([]string)) error {
	if p.source == nil {
		set(nil)
		return nil
	}
	saved := p.load()
	if saved != nil {
		set(saved)
	}
	alone := time.AfterFunc(peersWait, func() {
		if saved == nil {
			p.log.Warn("nobody has told who the peers are; working without them for now")
			set(nil)
		}
	})
	defer alone.Stop()
	return p.source.Watch(ctx, func(members []discovery.Endpoint) {
		alone.Stop()
		addresses := gossipAddresses(members)
		p.log.Info("peers changed", "peers", addresses)
		set(addresses)
		p.save(addresses)
	})
}

// gossipAddresses returns where the members take gossip. Members that are not
// ready are among them: one that starts needs the others' counts to become
// ready, and one that leaves still has something to tell.
func gossipAddresses(members []discovery.Endpoint) []string {
	var addresses []string
	for _, m := range members {
		if a, ok := m.Address(gossipPort); ok {
			addresses = append(addresses, a)
		}
	}
	slices.Sort(addresses)
	return addresses
}

func (p *peers) load() []string {
	if p.journal == nil {
		return nil
	}
	text, err := p.journal.Load(journal.Peers)
	if err != nil {
		p.log.Error("the journal's peers cannot be used", "error", err)
		return nil
	}
	return strings.Fields(string(text))
}

func (p *peers) save(addresses []string) {
	if p.journal == nil {
		return
	}
	if err := p.journal.Save(journal.Peers, []byte(strings.Join(addresses, "\n")+"\n")); err != nil {
		p.log.Error("the peers were not saved", "error", err)
	}
}
