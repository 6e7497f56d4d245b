package scenario

import (
	"errors"
	"fmt"
	"slices"

	"github.com/sluice-dev/sluice/enforcer/limit"
)

// Run runs a scenario with one system. It fails when the scenario is not valid,
// and when a node broke a law: admitted more than the whole limit by itself,
// refused a frame of another one, or was not ready when the load began.
func Run(s Scenario, maker Maker, seed uint64) (*Result, error) {
	p, err := open(&s, maker, seed)
	if err != nil {
		return nil, err
	}
	p.source.start()
	for _, f := range s.Faults {
		p.At(p.Now().Add(f.At), func() { f.Do(p) })
	}
	var marks []mark
	stops := []limit.Span{0, min(s.Load.Begins, s.Duration), min(s.Warm, s.Duration), s.Duration}
	slices.Sort(stops)
	for _, stop := range slices.Compact(stops) {
		p.Run(stop - p.Now().Sub(origin))
		marks = append(marks, mark{stop, p.entries(), p.Frames, p.Bytes})
	}
	if err := errors.Join(p.errs...); err != nil {
		return nil, fmt.Errorf("scenario %q, seed %d: %w", s.Name, seed, err)
	}
	r := newResult(&s, &p.record)
	r.Seed, r.Trace, r.marks = seed, p.Trace(), marks
	return r, nil
}

// open starts a pool and lets it be idle for Lead.
func open(s *Scenario, maker Maker, seed uint64) (*Pool, error) {
	s.setDefaults()
	if err := s.validate(); err != nil {
		return nil, err
	}
	system, err := maker(s)
	if err != nil {
		return nil, fmt.Errorf("scenario %q: %w", s.Name, err)
	}
	if most := system.MaxNodes(); s.Nodes > most {
		return nil, fmt.Errorf("scenario %q: %w: %d nodes, at most %d", s.Name, ErrTooLarge, s.Nodes, most)
	}
	p, err := newPool(s, system, seed)
	if err != nil {
		return nil, fmt.Errorf("scenario %q, seed %d: %w", s.Name, seed, err)
	}
	p.Run(Lead)
	for _, m := range p.members[:s.Nodes-s.Later] {
		if !m.serving {
			p.fail(m, "start", fmt.Errorf("not ready after %v", Lead.Duration()))
		}
	}
	if err := errors.Join(p.errs...); err != nil {
		return nil, fmt.Errorf("scenario %q, seed %d: %w", s.Name, seed, err)
	}
	return p, nil
}

// ErrTooLarge is returned by Run for a pool that is larger than is practical with this system.
var ErrTooLarge = errors.New("too many nodes for this algorithm")

// entries is what all nodes have received so far.
func (p *Pool) entries() uint64 {
	var n uint64
	for _, m := range p.members {
		n += m.entries
		if m.limiter != nil {
			n += m.limiter.Entries()
		}
	}
	return n
}
