package transport_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-dev/sluice/enforcer/internal/transport"
)

func TestPeersAreReplacedWhileRunning(t *testing.T) {
	ta := open(t, says())
	ta.SetPeers([]string{"127.0.0.1:1"}) // before Run, too
	start(t, ta)
	for i := range 50 {
		ta.SetPeers([]string{fmt.Sprintf("127.0.0.1:%d", i+1)})
	}
	eventually(t, "the last list is in force", func() bool {
		list, known := ta.Peers()
		return slices.Equal(list, []string{"127.0.0.1:50"}) && known == 1
	})
}

// Membership tells the node and the transport one after the other.
func TestAPeerThatIsNotListedYetIsSentTo(t *testing.T) {
	a, b := says(8, transport.MaxFrame), says()
	ta, tb := run(t, a), run(t, b)
	a.meet([]string{tb.Addr().String()})
	for _, size := range []int{8, transport.MaxFrame} {
		eventually(t, "frames arrive", func() bool { return b.from(ta.Addr(), size) > 2 })
	}
	before := ta.Connections()
	ta.SetPeers([]string{tb.Addr().String()})
	eventually(t, "frames arrive when it is listed", func() bool { return b.has(ta.Addr(), a.said()-2) })
	if got := ta.Connections(); got != before {
		t.Errorf("%d connections, want the %d of before", got, before)
	}
	for reason, count := range ta.Stats().Dropped {
		if count > 0 {
			t.Errorf("%d dropped as %s, want none", count, reason)
		}
	}
}

func TestPeersThatAreNotListedAreBounded(t *testing.T) {
	tr := open(t, says())
	defer tr.Close()
	d := transport.NewDriver(tr)
	for i := range 3 * transport.MaxUnlisted {
		d.Send(fmt.Sprintf("127.0.0.1:%d", i+1), []byte("x"))
		if known := d.Known(); known > transport.MaxUnlisted+1 {
			t.Fatalf("%d peers are known, want at most %d and the listed one", known, transport.MaxUnlisted)
		}
	}
	if !d.Knows(tr.Addr().String()) {
		t.Error("the listed peer was forgotten")
	}
	d.SetPeers()
	if got := d.Known(); got != 0 {
		t.Errorf("%d peers are known after an empty list, want none", got)
	}
}

// A sender has one name, however the address was written.
func TestNamesAreUnmapped(t *testing.T) {
	tr := open(t, says())
	defer tr.Close()
	d := transport.NewDriver(tr)
	for _, c := range []struct{ listed, from, want string }{
		{"10.0.0.1:7", "10.0.0.1:7", "10.0.0.1:7"},
		{"[::ffff:10.0.0.1]:7", "10.0.0.1:7", "10.0.0.1:7"},
		{"[fd00:0::1]:7", "[fd00::1]:7", "[fd00::1]:7"},
		{"10.0.0.1:7", "10.0.0.2:7", "10.0.0.2:7"},
	} {
		d.SetPeers(c.listed)
		if got := d.NameOf(c.from); got != c.want {
			t.Errorf("%s in the list: frames of %s come from %q, want %q", c.listed, c.from, got, c.want)
		}
	}
}

func TestAnAddressThatIsNoneIsLeftOut(t *testing.T) {
	var log safeBuffer
	a, b := says(8), says()
	ta, tb := run(t, a, logged(&log)), run(t, b)
	list := []string{"pod-1.sluice:7946", tb.Addr().String()}
	ta.SetPeers(list)
	a.meet(list)
	eventually(t, "the others are sent to", func() bool { return b.from(ta.Addr(), 8) > 2 })
	if got := ta.Stats().Dropped["send_failed"]; got == 0 {
		t.Error("frames to no address are not counted")
	}
	for _, want := range []string{"pod-1.sluice:7946", "write ip:port"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not say %q:\n%s", want, log.String())
		}
	}
}
