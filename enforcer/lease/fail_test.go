package lease_test

import (
	"testing"

	"github.com/sluice-dev/sluice/enforcer/lease"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

// replication is how far a copy may be behind: a book is told of once in 5 ms, a driver
// calls Tick as often, and the frame takes a while.
const replication = 15 * ms

// The successor goes on from its copy. What it cannot know is what the owner took and
// granted since it last told: no more than that is admitted beyond the limit, also where
// all admit their shares until the crash is known.
func TestAnOwnerThatCrashes(t *testing.T) {
	for _, c := range []struct {
		name   string
		policy lease.OnUnreachable
	}{
		{"deny", lease.Deny},
		{"local share", lease.LocalShare},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPool(t, 1, 10, bucket(1000, sec, 1000))
			p.policy = c.policy
			p.load(5000, oneKey, p.anywhere)
			p.world.Run(3 * sec)
			crashed := p.world.Now()
			lag := p.between(crashed.Add(-replication), crashed, everybody)
			p.owner(7).crash()
			p.world.Run(4 * sec)
			over := p.over(&p.params)
			t.Logf("%d tokens above the limit; %d were admitted within %v before the crash", over, lag, replication.Duration())
			if most := 2 * lag; over > most {
				t.Errorf("%d tokens above the limit, want at most %d", over, most)
			}
			if got := p.between(crashed.Add(detection), crashed.Add(2*sec), everybody); got < 900 {
				t.Errorf("%d tokens were admitted in the second after the crash was known, want nearly 1000", got)
			}
			if got := p.between(crashed.Add(2*sec), crashed.Add(4*sec), everybody); got < 1950 {
				t.Errorf("%d tokens were admitted in two seconds after that, want nearly 2000", got)
			}
		})
	}
}

// Nothing comes in, so nothing makes good what is handed out twice: also where some know of
// the crash long before others, who admit their shares until then.
func TestACrashThatSomeLearnOfLate(t *testing.T) {
	for _, policy := range []lease.OnUnreachable{lease.Deny, lease.LocalShare} {
		for _, lag := range []limit.Span{0, 50 * ms, 300 * ms} {
			for seed := range uint64(4) {
				p := newPool(t, seed, 10, bucket(1, limit.Hour, 1000))
				p.policy, p.lag = policy, lag
				p.load(2000, oneKey, p.anywhere)
				p.world.Run(200 * ms)
				crashed := p.world.Now()
				p.owner(7).crash()
				p.world.Run(4 * sec)
				most := 1000 + 2*p.between(crashed.Add(-replication), crashed, everybody) // some of it is used later
				if got := p.between(start, p.world.Now(), everybody); got < 980 || got > most {
					t.Errorf("policy %d, known within %v, seed %d: %d tokens were admitted, want 1000 to %d", policy, lag.Duration(), seed, got, most)
				}
			}
		}
	}
}

// What a node held that is gone comes back when its lease ends.
func TestAHolderThatCrashes(t *testing.T) {
	p := newPool(t, 1, 10, bucket(1000, sec, 1000))
	p.load(5000, oneKey, p.anywhere)
	p.world.Run(2 * sec)
	dead := p.nodes[0]
	if dead == p.owner(7) {
		dead = p.nodes[1]
	}
	dead.crash()
	p.world.Run(lease.Term + detection)
	since := p.world.Now()
	p.world.Run(2 * sec)
	p.exact(t, .95)
	if got := p.between(since, since.Add(2*sec), everybody); got < 1960 {
		t.Errorf("%d tokens were admitted in 2 s, want nearly 2000", got)
	}
}

// In a partition one side goes on with the exact limit, and on the other each node
// does what the policy says. Once it has healed all is as before.
func TestAPartition(t *testing.T) {
	const far = 10 * sec // long enough to see a rate
	for _, c := range []struct {
		name   string
		side   int // nodes on the smaller side
		policy lease.OnUnreachable
		// What both sides admit, by the rate.
		least, most float64
	}{
		{"3 of 10, local shares", 3, lease.LocalShare, 1.2, 1.35},
		{"5 of 10, local shares", 5, lease.LocalShare, .9, 1.05},
		{"3 of 10 deny", 3, lease.Deny, .9, 1.02},
		{"5 of 10 deny", 5, lease.Deny, 0, .01},
		{"3 of 10 admit", 3, lease.Admit, 2.3, 2.6},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPool(t, 1, 10, bucket(1000, sec, 500))
			p.policy = c.policy
			p.load(5000, oneKey, p.anywhere)
			p.world.Run(2 * sec)
			p.split(c.side)
			p.world.Run(3 * sec) // it is noticed, and bursts are used
			begin := p.world.Now()
			p.world.Run(far)
			if got := float64(p.between(begin, begin.Add(far), everybody)) / 10_000; got < c.least || got > c.most {
				t.Errorf("both sides admitted %.3f of the rate, want %g to %g", got, c.least, c.most)
			}
			p.heal()
			p.world.Run(3 * sec)
			begin = p.world.Now()
			p.world.Run(4 * sec)
			var after history
			for _, a := range p.admissions {
				if a.at >= begin {
					after.admit(a)
				}
			}
			if over := after.over(&p.params); over > 0 {
				t.Errorf("%d tokens above the limit after it has healed", over)
			}
			if got := p.between(begin, begin.Add(4*sec), everybody); got < 3900 {
				t.Errorf("%d tokens were admitted in 4 s after it has healed, want nearly 4000", got)
			}
		})
	}
}

// While two halves are apart all nodes together admit the limit. They do so too when each
// learns at another time that they are not apart any more: nothing is handed out twice.
func TestAHealHandsOutNothingTwice(t *testing.T) {
	p := newPool(t, 1, 10, bucket(1000, sec, 1000))
	p.lag = 50 * ms
	p.load(5000, oneKey, p.anywhere)
	p.world.Run(2 * sec)
	p.split(5)
	p.world.Run(3 * sec) // it is noticed, and bursts are used
	since := history{admissions: []admission{{at: p.world.Now(), key: id(7).Key, cost: p.params.Burst()}}}
	before := len(p.admissions)
	p.world.Run(12 * sec) // the owner has forgotten whom it lent to
	p.heal()
	p.world.Run(3 * sec)
	since.admissions = append(since.admissions, p.admissions[before:]...)
	if over := since.over(&p.params); over > 10 {
		t.Errorf("%d tokens above the limit, want at most one of each node", over)
	}
	begin := p.world.Now().Add(-2 * sec)
	if got := p.between(begin, p.world.Now(), everybody); got < 1900 {
		t.Errorf("%d tokens were admitted in 2 s after it has healed, want nearly 2000", got)
	}
}

// Nobody has to ask again for what was admitted apart to be counted.
func TestWhatIsAdmittedApartIsCounted(t *testing.T) {
	for name, before := range map[string]limit.Amount{"a client that the owner knows": 300, "a client that nobody has seen": 0} {
		t.Run(name, func(t *testing.T) {
			p := newPool(t, 1, 10, bucket(1, limit.Hour, 1000))
			use := func(requests limit.Amount) {
				for range requests {
					p.anywhere(0).request(7, 1)
					p.world.Run(ms)
				}
			}
			use(before)
			p.world.Run(100 * ms) // what is held goes back
			p.split(5)
			p.world.Run(detection)
			use(3000)
			if got := p.between(start, p.world.Now(), everybody); got < 850 || got > 1000 {
				t.Errorf("%d tokens were admitted in two halves, want nearly 1000", got)
			}
			p.lag = 50 * ms
			p.heal()
			p.world.Run(3 * sec)
			use(3000)
			if got := p.between(start, p.world.Now(), everybody); got > 1000 {
				t.Errorf("%d tokens were admitted, want at most 1000", got)
			}
		})
	}
}

func TestCosts(t *testing.T) {
	for _, cost := range []limit.Amount{2, 7, 50} {
		p := newPool(t, 1, 10, bucket(1000, sec, 500))
		p.world.Every(p.world.Now(), sec*limit.Span(cost)/3000, func() bool {
			p.anywhere(0).request(7, cost)
			return true
		})
		p.world.Run(6 * sec)
		p.exact(t, .9)
	}
}

// What is given back can be taken again. A cost of 0 takes nothing.
func TestRefundsAndLooks(t *testing.T) {
	p := newPool(t, 1, 10, bucket(1, limit.Hour, 100))
	for range 300 {
		p.anywhere(0).request(7, 1)
		p.world.Run(5 * ms)
	}
	if got := p.between(start, p.world.Now(), everybody); got != 100 {
		t.Fatalf("%d tokens were admitted, want 100", got)
	}
	for range 40 {
		p.anywhere(0).request(7, -1)
		p.anywhere(0).request(7, 0)
	}
	p.world.Run(2 * sec)
	for range 300 {
		p.anywhere(0).request(7, 1)
		p.world.Run(5 * ms)
	}
	if got := p.between(start, p.world.Now(), everybody); got != 100 {
		t.Errorf("%d tokens are used after 40 were given back and asked for again, want 100", got)
	}
}

// A request of which another limit denies a part takes nothing.
func TestWhatIsUndoneIsThereForOthers(t *testing.T) {
	p := newPool(t, 1, 10, bucket(1000, sec, 200))
	p.load(3000, oneKey, func(i int) *member {
		m := p.anywhere(i)
		c := lease.Charge{ID: id(7), Params: &p.params, Cost: 3}
		if m.node.Take(m.sim.Now(), &c, nil); c.Outcome == lease.Admitted {
			m.node.Undo(m.sim.Now(), &c)
		}
		return m
	})
	p.world.Run(5 * sec)
	p.exact(t, .95)
}

// A spray of keys does not give anybody a new limit who has used his.
func TestAFloodOfKeysUnlimitsNobody(t *testing.T) {
	p := newPool(t, 1, 1, bucket(1, limit.Minute, 5))
	p.keys = 1000
	m := p.join()
	m.see()
	p.nodes = p.nodes[1:]
	m.see()
	for range 20 {
		m.request(7, 1)
	}
	for k := range uint64(20_000) {
		m.request(1000+k, 1)
		if k%100 == 0 {
			m.request(7, 1)
		}
	}
	p.world.Run(sec)
	if got := p.between(start, p.world.Now(), func(a admission) bool { return a.key == id(7).Key }); got != 5 {
		t.Errorf("%d tokens were admitted, want 5", got)
	}
	if books := m.node.Stats().Books; books > 1000 {
		t.Errorf("%d books are kept, want at most 1000", books)
	}
}
