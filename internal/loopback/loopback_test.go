package loopback_test

import (
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/sluice-dev/sluice/internal/loopback"
)

func TestNobodyListensAtWhatIsGivenOut(t *testing.T) {
	ports := loopback.OfProcess()
	seen := map[string]bool{}
	for range 4 {
		address, err := ports.Free(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if seen[address] {
			t.Fatalf("%s was given out twice", address)
		}
		seen[address] = true
		listener, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
	}
}

func TestGivenOutOnceToMany(t *testing.T) {
	ports := loopback.OfProcess()
	var seen sync.Map
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 8 {
				address, err := ports.Free(t.Context())
				if err != nil {
					t.Error(err)
				}
				if _, twice := seen.LoadOrStore(address, true); twice {
					t.Errorf("%s was given out twice", address)
				}
			}
		})
	}
	all.Wait()
}

func TestAPortInUse(t *testing.T) {
	for _, network := range []string{"tcp", "udp"} {
		t.Run(network, func(t *testing.T) {
			ports := loopback.OfProcess()
			taken, err := ports.Free(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			address, err := net.ResolveTCPAddr("tcp", taken)
			if err != nil {
				t.Fatal(err)
			}
			occupy(t, network, taken)
			if _, err := loopback.Free(t.Context(), address.Port); err == nil || !strings.Contains(err.Error(), network) {
				t.Errorf("Free(%d) = %v, want an error of %s", address.Port, err, network)
			}
			next, err := loopback.From(address.Port).Free(t.Context())
			if err != nil || next == taken {
				t.Errorf("From(%d).Free() = %s, %v, want another", address.Port, next, err)
			}
		})
	}
}

func TestNoPortIsLeft(t *testing.T) {
	const past = 65536
	if address, err := loopback.From(past).Free(t.Context()); err == nil || !strings.Contains(err.Error(), "65536 to 66535") {
		t.Errorf("From(%d).Free() = %s, %v, want an error that names the ports", past, address, err)
	}
}

func occupy(t *testing.T, network, address string) {
	t.Helper()
	if network == "udp" {
		conn, err := net.ListenPacket(network, address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return
	}
	listener, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
}
