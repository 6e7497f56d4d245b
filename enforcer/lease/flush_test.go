package lease_test

import (
	"testing"

	"github.com/sluice-dev/sluice/enforcer/lease"
)

// Questions that come together leave in one frame, and so do the answers. A lonely one
// leaves as soon.
func TestWhatComesTogetherLeavesTogether(t *testing.T) {
	p := newPool(t, 1, 2, bucket(100, sec, 100))
	from, owner := p.nodes[0], p.nodes[1]
	key := uint64(0)
	for _, questions := range []int{1, 8} {
		p.world.Run(sec)
		admitted, out, back := len(p.admissions), from.sim.Traffic().FramesOut, owner.sim.Traffic().FramesOut
		for asked := 0; asked < questions; key++ {
			if p.owner(key) == owner {
				from.request(key, 1)
				asked++
			}
		}
		p.world.Run(ms / 30)
		if got := from.sim.Traffic().FramesOut - out; got != 1 {
			t.Errorf("%d questions left in %d frames at once, want 1", questions, got)
		}
		p.world.Run(4 * ms)
		if got := len(p.admissions) - admitted; got != questions {
			t.Errorf("%d of %d requests were admitted", got, questions)
		}
		if got := owner.sim.Traffic().FramesOut - back; got > 2 {
			t.Errorf("%d questions were answered in %d frames, want 1, and 1 of copies", questions, got)
		}
	}
}

// While a driver comes round each Interval all the same it is not woken, however many
// books change; it is once it was told to rest.
func TestADriverThatComesSoonIsNotWoken(t *testing.T) {
	p := newPool(t, 1, 2, bucket(100, sec, 100))
	p.world.Run(sec)
	m, key := p.nodes[0], uint64(0)
	for p.owner(key) != m {
		key++
	}
	m.woken = 0
	for range 20 {
		m.request(key, 1)
		p.world.Run(lease.Interval / 5)
	}
	if m.woken != 1 {
		t.Errorf("woken %d times while a busy book changed 20 times, want once", m.woken)
	}
	p.world.Run(sec)
	if m.request(key, 1); m.woken != 2 {
		t.Errorf("woken %d times, want once more after a rest", m.woken)
	}
}

// Who asks now and then, and who answers, expects more of it between two questions; who
// has nothing to do with them does not.
func TestWhoIsAskedNowAndThenIsPromptMeanwhile(t *testing.T) {
	p := newPool(t, 1, 3, bucket(100, sec, 100))
	from, owner, other := p.nodes[0], p.nodes[1], p.nodes[2]
	prompt := func(m *member) bool { return m.node.Prompt(m.sim.Now()) }
	key := uint64(0)
	for range 10 {
		for p.owner(key) != owner {
			key++
		}
		from.request(key, 1)
		key++
		p.world.Run(2 * ms)
		for range 8 {
			p.world.Run(100 * ms)
			if !prompt(from) || !prompt(owner) || prompt(other) {
				t.Fatalf("prompt: who asks %v, who answers %v, neither %v, want the first two", prompt(from), prompt(owner), prompt(other))
			}
		}
	}
	p.world.Run(2 * sec)
	if prompt(from) || prompt(owner) {
		t.Error("still prompt two seconds after the last question")
	}
}
