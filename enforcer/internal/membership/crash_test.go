package membership_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-dev/sluice/enforcer/internal/membership"
)

func TestThreeJoinFromAListWithTheirOwnAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peers, _ := form(t, newNetwork(t, 1), 3)
		awaitOthers(t, time.Second, map[*peer]string{peers[0]: "p02 p03 of 3", peers[1]: "p01 p03 of 3", peers[2]: "p01 p02 of 3"})
		v := peers[0].view()
		if want := (membership.Member{Name: "p01", Address: "10.0.0.1:7946"}); v.Self != want {
			t.Errorf("Self = %+v, want %+v", v.Self, want)
		}
		if want := (membership.Member{Name: "p02", Address: "10.0.0.2:7946"}); v.Members[0] != want {
			t.Errorf("the first of the others is %+v, want %+v", v.Members[0], want)
		}
	})
}

// A crash is seen by everybody in under two seconds of virtual time, whatever the
// size of the pool.
func TestACrashIsSeenWithinTwoSeconds(t *testing.T) {
	for _, size := range []int{2, 3, 10, 30} {
		t.Run(fmt.Sprintf("%d enforcers", size), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				peers, list := form(t, newNetwork(t, uint64(size)), size)
				dead := peers[1]
				peers = slices.Delete(peers, 1, 2)
				dead.crash(t)
				took := await(t, 2*time.Second, "everybody sees the crash", func() bool {
					return !slices.ContainsFunc(peers, func(p *peer) bool { return stateOf(p, dead.name) != "Unreachable" })
				})
				t.Logf("everybody knew after %v", took)
				for _, p := range peers {
					if v := p.view(); v.Expected != size || len(v.Members) != size-1 {
						t.Errorf("%s sees %d and expects %d of %d", p.name, len(v.Members), v.Expected, size)
					}
				}

				// The Endpoints follow: now it is known to be dead.
				list.set(addressesOf(peers)...)
				await(t, time.Second, "everybody knows that it is dead", func() bool {
					return !slices.ContainsFunc(peers, func(p *peer) bool {
						return stateOf(p, dead.name) != "" || p.view().Expected != size-1
					})
				})
			})
		})
	}
}

func TestHalfOfAPoolDiesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peers, _ := form(t, newNetwork(t, 1), 10)
		for _, p := range peers[5:] {
			p.crash(t)
		}
		await(t, 2*time.Second, "the others see all of them", func() bool {
			return !slices.ContainsFunc(peers[:5], func(p *peer) bool { return living(p) != 4 })
		})
	})
}

// A process that pauses for as long as a long garbage collection, or the network
// of one, does not look dead, nor do the others look dead to it.
func TestAPauseIsNoDeath(t *testing.T) {
	for _, size := range []int{2, 3, 10} {
		t.Run(fmt.Sprintf("%d enforcers", size), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				peers, _ := form(t, newNetwork(t, uint64(size)), size)
				unchanged := watchViews(t, peers)
				for i := range 30 {
					peers[i%size].side.stall(300 * time.Millisecond)
					time.Sleep(2*time.Second + time.Duration(i)*11*time.Millisecond)
				}
				unchanged("pauses of 300 ms")
			})
		})
	}
}

func TestLossIsNoDeath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, 1)
		peers, _ := form(t, n, 10)
		unchanged := watchViews(t, peers)
		n.lose(0.1)
		time.Sleep(time.Minute)
		unchanged("a tenth of the datagrams is lost")
	})
}

// watchViews returns a function that fails the test if a view has changed since.
func watchViews(t *testing.T, peers []*peer) (unchanged func(while string)) {
	t.Helper()
	count := func(p *peer) int {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.views)
	}
	before := map[*peer]int{}
	for _, p := range peers {
		before[p] = count(p)
	}
	return func(while string) {
		t.Helper()
		for _, p := range peers {
			if n := count(p) - before[p]; n > 0 {
				t.Errorf("%s: %s saw %d changes, now %s", while, p.name, n, p.others())
			}
		}
	}
}

func TestAPlannedLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peers, _ := form(t, newNetwork(t, 1), 3)
		leaving := peers[1]
		if err := leaving.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		awaitOthers(t, time.Second, map[*peer]string{peers[0]: "p02(Leaving) p03 of 3", peers[2]: "p01 p02(Leaving) of 3"})
		if s := leaving.view().Self.State; s != membership.Leaving {
			t.Errorf("its own state is %v, want Leaving", s)
		}
		// It hands over for as long as it takes.
		unchanged := watchViews(t, peers)
		time.Sleep(30 * time.Second)
		unchanged("it still serves")

		if err := leaving.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		// Discovery lists it still, and yet it is known to be dead.
		awaitOthers(t, 500*time.Millisecond, map[*peer]string{peers[0]: "p03 of 3", peers[2]: "p01 of 3"})
	})
}

func TestStopSaysSoToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peers, list := form(t, newNetwork(t, 1), 10)
		if err := peers[9].Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		await(t, 500*time.Millisecond, "it is forgotten", func() bool {
			return !slices.ContainsFunc(peers[:9], func(p *peer) bool { return stateOf(p, "p10") != "" })
		})
		list.set(addressesOf(peers[:9])...)
		await(t, time.Second, "nine are expected", func() bool {
			return !slices.ContainsFunc(peers[:9], func(p *peer) bool { return p.view().Expected != 9 })
		})
	})
}

func TestStopBeforeRunAndTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, 1)
		list := &listed{}
		list.set("10.0.0.1:7946")
		p := join(t, n, list, "a", "10.0.0.1:7946")
		for range 2 {
			if err := p.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		}
		m, err := membership.New(n.listen("10.0.0.2:7946"), optionsFor("b", "10.0.0.2:7946"))
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		if err := m.Run(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// Leaving is limited by the context: an enforcer that has to stop, stops.
func TestLeaveIsLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peers, _ := form(t, newNetwork(t, 1), 3)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		start := time.Now()
		if err := peers[0].Leave(ctx); err == nil {
			t.Error("Leave had no time and tells that all know")
		}
		peers[0].Stop(ctx)
		if d := time.Since(start); d > 0 {
			t.Errorf("Leave and Stop took %v without time", d)
		}
		<-peers[0].done
		peers[0].done <- nil
	})
}

func stateOf(p *peer, name string) string {
	i := slices.IndexFunc(p.view().Members, func(m membership.Member) bool { return m.Name == name })
	if i < 0 {
		return ""
	}
	return p.view().Members[i].State.String()
}

func addressesOf(peers []*peer) []string {
	var all []string
	for _, p := range peers {
		all = append(all, p.address)
	}
	return all
}

func TestMembersAreOrderedByName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peers, _ := form(t, newNetwork(t, 1), 30)
		for _, p := range peers {
			if !slices.IsSortedFunc(p.view().Members, func(a, b membership.Member) int { return cmp.Compare(a.Name, b.Name) }) {
				t.Errorf("%s: Members are not ordered: %v", p.name, p.view().Members)
			}
		}
	})
}
