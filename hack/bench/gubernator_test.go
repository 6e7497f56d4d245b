package main

import (
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/sluice-dev/sluice/internal/load"
)

// fakeGubernator answers as gubernator does, from one bucket per key that never fills
// again.
type fakeGubernator struct {
	trouble string // the error in answers

	mu   sync.Mutex
	used map[string]uint64
}

func (f *fakeGubernator) serve(_ any, stream grpc.ServerStream) error {
	var in []byte
	if err := stream.RecvMsg(&in); err != nil {
		return err
	}
	method, _ := grpc.MethodFromServerStream(stream)
	if method == gubernatorLive {
		return stream.SendMsg([]byte{})
	}
	return stream.SendMsg(f.answer(in))
}

func (f *fakeGubernator) answer(in []byte) (out []byte) {
	_ = fields(in, func(_ protowire.Number, _ uint64, hit []byte) error {
		var numbers [9]uint64
		key := ""
		_ = fields(hit, func(number protowire.Number, v uint64, text []byte) error {
			key += string(text)
			numbers[number] = v
			return nil
		})
		f.mu.Lock()
		defer f.mu.Unlock()
		f.used[key] += numbers[3]
		status := uint64(0)
		if burst := numbers[8]; f.used[key] > burst || numbers[6] != leakyBucket || numbers[4] == 0 || numbers[5] == 0 {
			status = overLimit
		}
		b := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), status)
		b = protowire.AppendString(protowire.AppendTag(b, 5, protowire.BytesType), f.trouble)
		out = protowire.AppendBytes(protowire.AppendTag(out, 1, protowire.BytesType), b)
		return nil
	})
	return out
}

// stageWith starts fake nodes, and returns a stage that is told of them.
func stageWith(t *testing.T, nodes ...*fakeGubernator) *stage {
	t.Helper()
	var addresses []string
	for _, f := range nodes {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		f.used = map[string]uint64{}
		server := grpc.NewServer(grpc.UnknownServiceHandler(f.serve), grpc.ForceServerCodec(plain{}))
		go func() { _ = server.Serve(l) }()
		t.Cleanup(server.Stop)
		addresses = append(addresses, l.Addr().String())
	}
	_, opts, err := parse([]string{"cost", "--bin", t.TempDir(), "--gubernator", strings.Join(addresses, ",")}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	s, err := newStage(t.Context(), opts, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestGubernatorIsAskedAsAnEnforcerIs(t *testing.T) {
	s := stageWith(t, &fakeGubernator{}, &fakeGubernator{})
	r, err := s.gubernator([]quota{{domain: "d", requests: 5, per: "1s", seconds: 1, burst: 7, over: &quota{requests: 1, per: "4s", seconds: 4, burst: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	for client, want := range map[string]int{"client": 7, overPrefix + "client": 1} {
		l := load.Load{Domain: "d", Clients: []string{client}, Rate: 400, Even: true}
		l.To = func(*rand.Rand, time.Duration, int) grpc.ClientConnInterface { return r.pods[1].conn }
		o := l.Offer(t.Context(), 50*time.Millisecond)
		if got := len(o.Answers) - o.Refused(); got != want || o.Failed > 0 || len(r.conns) != connections {
			t.Errorf("%s: %d of %d calls admitted, %d failed, over one of %d connections; want %d, 0, %d",
				client, got, len(o.Answers), o.Failed, len(r.conns), want, connections)
		}
	}
}

func TestGubernatorInTrouble(t *testing.T) {
	away := stageWith(t)
	away.opts.gubernator = []string{"127.0.0.1:1"}
	if _, err := away.gubernator(nil); err == nil || !strings.Contains(err.Error(), "--gubernator 127.0.0.1:1") {
		t.Errorf("of one that is not there: %v", err)
	}
	r, err := stageWith(t, &fakeGubernator{trouble: "no peers"}).gubernator([]quota{{domain: "d", requests: 1, seconds: 1, burst: 1}})
	if err != nil {
		t.Fatal(err)
	}
	for domain, want := range map[string]string{"d": "no peers", "other": `no quota has the domain "other"`} {
		var got rlsv3.RateLimitResponse
		if _, err := load.Ask(t.Context(), r.pods[0].conn, load.Call(domain, "c"), &got); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("domain %s: %v, want an error that says %q", domain, err, want)
		}
	}
}

func TestVerdictRefusesWhatIsNoAnswer(t *testing.T) {
	one := []byte{1<<3 | 2, 2, 1 << 3, overLimit}
	if over, err := verdict(one); err != nil || !over {
		t.Errorf("verdict(%x) = %v, %v, want true", one, over, err)
	}
	for _, bad := range [][]byte{nil, one[:3], append(one, one...), {0xff}, {1<<3 | 2, 1, 0xff}} {
		if _, err := verdict(bad); err == nil {
			t.Errorf("verdict(%x): no error", bad)
		}
	}
}
