package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"
)

// The methods of gubernator's API that are used here. Its messages are few and small,
// so they are written by hand: gubernator.proto of github.com/gubernator-io/gubernator
// has the numbers of their fields.
const (
	gubernatorLimits = "/pb.gubernator.V1/GetRateLimits"
	gubernatorLive   = "/pb.gubernator.V1/LiveCheck"

	// leakyBucket is gubernator's name of a bucket that fills evenly; what it calls a
	// token bucket is full again at the end of a window.
	leakyBucket = 1
	overLimit   = 1
)

// gubernator is a connection to a node of gubernator that is asked as an enforcer is:
// each call of the rate limit service becomes one of its own, with the limit in it. The
// behaviour is the default one: the owner of a key decides, and is asked in batches.
type gubernator struct {
	conn
	quotas []quota
}

// Invoke implements grpc.ClientConnInterface for load.Call.
func (g gubernator) Invoke(ctx context.Context, _ string, args, reply any, _ ...grpc.CallOption) error {
	req := args.(*rlsv3.RateLimitRequest)
	entry := req.Descriptors[0].Entries[0]
	at := slices.IndexFunc(g.quotas, func(q quota) bool { return q.domain == req.Domain })
	if at < 0 {
		return fmt.Errorf("no quota has the domain %q", req.Domain)
	}
	q := g.quotas[at]
	if q.over != nil && strings.HasPrefix(entry.Value, overPrefix) {
		q = *q.over
	}
	var got []byte
	if err := g.conn.Invoke(ctx, gubernatorLimits, question(req.Domain, entry.Value, &q), &got, grpc.ForceCodec(plain{})); err != nil {
		return err
	}
	over, err := verdict(got)
	if err != nil {
		return fmt.Errorf("gubernator: %w", err)
	}
	resp := reply.(*rlsv3.RateLimitResponse)
	if resp.OverallCode = rlsv3.RateLimitResponse_OK; over {
		resp.OverallCode = rlsv3.RateLimitResponse_OVER_LIMIT
	}
	return nil
}

// question is a GetRateLimitsReq for one hit.
func question(name, key string, q *quota) []byte {
	var b []byte // fields by number; what is 0 is left out
	for number, text := range [...]string{1: name, 2: key} {
		if text != "" {
			b = protowire.AppendString(protowire.AppendTag(b, protowire.Number(number), protowire.BytesType), text)
		}
	}
	for number, v := range [...]int{3: 1, 4: q.requests, 5: int(1000 * q.seconds), 6: leakyBucket, 8: q.burst} {
		if v != 0 {
			b = protowire.AppendVarint(protowire.AppendTag(b, protowire.Number(number), protowire.VarintType), uint64(v))
		}
	}
	return protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), b)
}

// verdict reads a GetRateLimitsResp to one hit.
func verdict(b []byte) (over bool, err error) {
	answers := 0
	err = fields(b, func(number protowire.Number, _ uint64, text []byte) error {
		if number != 1 {
			return nil
		}
		answers++
		return fields(text, func(number protowire.Number, v uint64, text []byte) error {
			switch {
			case number == 5 && len(text) > 0:
				return errors.New(string(text))
			case number == 1:
				over = v == overLimit
			}
			return nil
		})
	})
	if err == nil && answers != 1 {
		err = fmt.Errorf("%d answers to one question", answers)
	}
	return over, err
}

// fields calls f for each field of a message, with its number or its text.
func fields(b []byte, f func(number protowire.Number, v uint64, text []byte) error) error {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		var v uint64
		var text []byte
		switch kind {
		case protowire.VarintType:
			v, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			text, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(number, kind, b)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		if err := f(number, v, text); err != nil {
			return err
		}
	}
	return nil
}

// plain is a gRPC codec for messages that are bytes already.
type plain struct{}

// Name implements encoding.Codec: it is what a server takes the bytes for.
func (plain) Name() string { return "proto" }

// Marshal implements encoding.Codec.
func (plain) Marshal(v any) ([]byte, error) { return v.([]byte), nil }

// Unmarshal implements encoding.Codec.
func (plain) Unmarshal(b []byte, v any) error {
	*v.(*[]byte) = slices.Clone(b)
	return nil
}

// gubernator connects to the nodes that --gubernator names, which somebody else has
// started, and stops. An error says which of them does not answer.
func (s *stage) gubernator(quotas []quota) (r rival, err error) {
	quotas = slices.Clone(quotas)
	connect := func(address string) (conn, error) {
		c, err := dial(address)
		return gubernator{c, quotas}, err
	}
	for _, address := range s.opts.gubernator {
		c, err := connect(address)
		if err != nil {
			return r, err
		}
		var alive []byte // whether it is healthy does not matter: it is not for minutes after much load
		if err := c.(gubernator).conn.Invoke(s.ctx, gubernatorLive, []byte{}, &alive, grpc.ForceCodec(plain{})); err != nil {
			return r, fmt.Errorf("--gubernator %s: %w", address, err)
		}
		r.pods = append(r.pods, &pod{process: &process{name: "gubernator at " + address}, conn: c})
	}
	var all []*process
	for _, pid := range s.opts.gubernatorPIDs {
		all = append(all, &process{name: "gubernator", pid: pid})
	}
	r.server, err = newServer(fmt.Sprintf("gubernator, %d nodes, owners decide", len(r.pods)), all, s.opts.gubernator, connect)
	return r, err
}
