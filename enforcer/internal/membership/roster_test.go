package membership

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// at returns 10.0.0.n:7946.
func at(n byte) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, n}), 7946)
}

func listing(serving bool, addrs ...netip.AddrPort) seed {
	s := seed{host: "somewhere", port: 7946, addrs: addrs, serving: serving}
	return s
}

func TestView(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	alive := func(name string, n byte) func(*roster) {
		return func(r *roster) { r.heard(name, at(n), true, meta{}, start) }
	}
	leaves := func(name string, n byte) func(*roster) {
		return func(r *roster) { r.heard(name, at(n), true, meta{leaving: true}, start) }
	}
	dies := func(name string, n byte) func(*roster) {
		return func(r *roster) { r.heard(name, at(n), false, meta{}, start) }
	}
	diesLeaving := func(name string, n byte) func(*roster) {
		return func(r *roster) { r.heard(name, at(n), false, meta{leaving: true}, start) }
	}
	lists := func(seeds ...seed) func(*roster) {
		return func(r *roster) {
			r.view(start) // what was listed before has been seen
			r.seeds = seeds
		}
	}
	tests := map[string]struct {
		events       []func(*roster)
		after        time.Duration
		want         []Member
		wantExpected int
		wantAgain    time.Duration // 0: never
	}{
		"alone": {wantExpected: 1},
		"this enforcer in the list is expected once": {
			events: []func(*roster){lists(listing(true, at(1)))}, wantExpected: 1,
		},
		"members are ordered by name": {
			events:       []func(*roster){alive("c", 3), leaves("b", 2)},
			want:         []Member{{Name: "b", Address: "10.0.0.2:7946", State: Leaving}, {Name: "c", Address: "10.0.0.3:7946", State: Alive}},
			wantExpected: 3,
		},
		"a seed that was never met is expected": {
			events:       []func(*roster){lists(listing(true, at(1)), listing(true, at(2)), listing(true, at(3))), alive("c", 3)},
			want:         []Member{{Name: "c", Address: "10.0.0.3:7946", State: Alive}},
			wantExpected: 3,
		},
		"a seed that does not serve is not expected": {
			events: []func(*roster){lists(listing(false, at(2)))}, wantExpected: 1,
		},
		"a seed whose name has no address is expected": {
			events: []func(*roster){lists(listing(true))}, wantExpected: 2,
		},
		"a seed with two addresses is one, and so is one that is listed twice": {
			events:       []func(*roster){lists(listing(true, at(2), at(3)), listing(true, at(3))), alive("c", 3)},
			want:         []Member{{Name: "c", Address: "10.0.0.3:7946", State: Alive}},
			wantExpected: 2,
		},
		"a seed that is listed twice and never met is expected once": {
			events: []func(*roster){lists(listing(true, at(2), at(3)), listing(true, at(3)))}, wantExpected: 2,
		},
		"another address of this enforcer is nobody else": {
			events:       []func(*roster){func(r *roster) { r.mine = func(a netip.AddrPort) bool { return a == at(9) } }, lists(listing(true, at(9)))},
			wantExpected: 1,
		},
		"a member that is listed and dies is unreachable, for ever": {
			events:       []func(*roster){lists(listing(true, at(2))), alive("b", 2), dies("b", 2)},
			after:        time.Hour,
			want:         []Member{{Name: "b", Address: "10.0.0.2:7946", State: Unreachable}},
			wantExpected: 2,
		},
		"a member that is listed as not serving and dies is known dead": {
			events: []func(*roster){lists(listing(false, at(2))), alive("b", 2), dies("b", 2)}, wantExpected: 1,
		},
		"a member that is listed as not serving is there while it answers": {
			events:       []func(*roster){lists(listing(false, at(2))), alive("b", 2)},
			want:         []Member{{Name: "b", Address: "10.0.0.2:7946", State: Alive}},
			wantExpected: 2,
		},
		"a member that is not listed any more and dies is known dead": {
			events: []func(*roster){lists(listing(true, at(2))), alive("b", 2), lists(), dies("b", 2)}, wantExpected: 1,
		},
		"a member that dies and then is not listed any more is known dead": {
			events: []func(*roster){lists(listing(true, at(2))), alive("b", 2), dies("b", 2), lists()}, wantExpected: 1,
		},
		"a member that was never listed and dies is unreachable": {
			events:       []func(*roster){alive("b", 2), dies("b", 2)},
			after:        59 * time.Second,
			want:         []Member{{Name: "b", Address: "10.0.0.2:7946", State: Unreachable}},
			wantExpected: 2,
			wantAgain:    time.Second,
		},
		"but not for ever": {
			events: []func(*roster){alive("b", 2), dies("b", 2)}, after: time.Minute, wantExpected: 1,
		},
		"a member that said that it leaves and dies is known dead": {
			events: []func(*roster){lists(listing(true, at(2))), leaves("b", 2), diesLeaving("b", 2)}, wantExpected: 2,
		},
		"a member whose address has somebody else now is known dead": {
			events:       []func(*roster){lists(listing(true, at(2))), alive("b", 2), dies("b", 2), alive("new", 2)},
			want:         []Member{{Name: "new", Address: "10.0.0.2:7946", State: Alive}},
			wantExpected: 2,
		},
		"a member whose address is this enforcer's is known dead": {
			events: []func(*roster){alive("old-self", 1), dies("old-self", 1)}, wantExpected: 1,
		},
		"a member that comes back with its address": {
			events:       []func(*roster){lists(listing(true, at(2))), alive("b", 2), dies("b", 2), alive("b", 2)},
			want:         []Member{{Name: "b", Address: "10.0.0.2:7946", State: Alive}},
			wantExpected: 2,
		},
		"a member that comes back at another address": {
			events:       []func(*roster){lists(listing(true, at(2))), alive("b", 2), dies("b", 2), lists(listing(true, at(3))), alive("b", 3)},
			want:         []Member{{Name: "b", Address: "10.0.0.3:7946", State: Alive}},
			wantExpected: 2,
		},
		"the death of one that was replaced is old news": {
			events:       []func(*roster){alive("b", 3), dies("b", 2)},
			want:         []Member{{Name: "b", Address: "10.0.0.3:7946", State: Alive}},
			wantExpected: 2,
		},
		"the death of one that was never met is no news": {
			events: []func(*roster){dies("b", 2)}, wantExpected: 1,
		},
		"what SWIM says of this enforcer is no news": {
			events: []func(*roster){dies("a", 1)}, wantExpected: 1,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			r := &roster{self: node{name: "a", address: at(1), alive: true}}
			for _, happens := range tc.events {
				happens(r)
			}
			now := start.Add(tc.after)
			v, again := r.view(now)
			if v.Self != (Member{Name: "a", Address: "10.0.0.1:7946", State: Alive}) {
				t.Errorf("Self = %+v", v.Self)
			}
			if diff := cmp.Diff(tc.want, v.Members); diff != "" {
				t.Errorf("Members (-want +got):\n%s", diff)
			}
			if v.Expected != tc.wantExpected {
				t.Errorf("Expected = %d, want %d", v.Expected, tc.wantExpected)
			}
			if tc.wantAgain == 0 && !again.IsZero() || tc.wantAgain > 0 && again.Sub(now) != tc.wantAgain {
				t.Errorf("look again at %v, want in %v", again, tc.wantAgain)
			}
		})
	}
}

func TestMissing(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	r := &roster{
		self: node{name: "a", address: at(1), alive: true},
		seeds: []seed{
			listing(true, at(1)), listing(true, at(2)), listing(true, at(3)),
			listing(false, at(4)), listing(true, at(9), at(5)), listing(true),
		},
	}
	r.heard("b", at(2), true, meta{}, start)
	r.heard("c", at(3), true, meta{}, start)
	r.heard("c", at(3), false, meta{}, start)
	r.heard("e", at(5), true, meta{}, start)
	r.heard("never listed", at(6), true, meta{}, start)
	r.heard("never listed", at(6), false, meta{}, start)
	var got []string
	for _, s := range r.missing() {
		if len(s.addrs) == 0 {
			got = append(got, s.host)
			continue
		}
		got = append(got, s.addrs[0].String())
	}
	// The dead that is listed, one that is listed only, though it does not serve yet,
	// a name without addresses, and a dead that is not listed.
	want := []string{"10.0.0.3:7946", "10.0.0.4:7946", "somewhere", "10.0.0.6:7946"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("missing (-want +got):\n%s", diff)
	}
}

func TestLocate(t *testing.T) {
	in := func(zone string, n byte) seed { s := listing(true, at(n)); s.zone = zone; return s }
	tests := map[string]struct {
		seeds []seed
		want  string
	}{
		"by its address":                  {[]seed{in("a", 2), in("b", 1)}, "b"},
		"by another address that is its":  {[]seed{in("a", 2), in("b", 9)}, "b"},
		"listed in none":                  {[]seed{in("a", 2), in("", 1)}, ""},
		"not listed, so where it was":     {[]seed{in("a", 2)}, "before"},
		"nobody listed, so where it was":  {nil, "before"},
		"listed where it was, is no move": {[]seed{in("before", 1)}, "before"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			r := &roster{self: node{name: "a", address: at(1), alive: true}, seeds: tc.seeds}
			r.mine = func(a netip.AddrPort) bool { return a == at(9) }
			r.self.zone = "before"
			moved := r.locate()
			if v, _ := r.view(time.Unix(1_000_000, 0)); v.Self.Zone != tc.want || moved != (tc.want != "before") {
				t.Errorf("in %q, moved: %v, want %q", v.Self.Zone, moved, tc.want)
			}
		})
	}
}
