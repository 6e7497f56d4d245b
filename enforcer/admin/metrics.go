package admin

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Usage is what one limit did.
type Usage struct {
	Namespace, Policy, Limit string

	ActiveKeys        int64
	Admitted, Limited int64 // tokens since the start
	OverAdmitted      float64
}

// Traffic is what went one way by one protocol since the start.
type Traffic struct {
	Direction, Protocol string // "sent" or "received", "udp" or "tcp"
	Frames, Bytes       uint64
}

// Counts are the enforcer's counters since its start, and its gauges.
type Counts struct {
	Limits []Usage

	Keys, MaxKeys    int
	Evicted, Expired uint64
	StoreBytes       int64

	Exact Exact

	Frames                       []Traffic         // gossip, by direction and protocol
	PacketsSent, PacketsReceived uint64            // datagrams of membership
	FramesDropped                map[string]uint64 // of both, by reason: a fixed set
	FramesPassedOn               uint64            // gossip between two others
	GossipKeys                   int               // in force; 0: gossip is not sealed

	TLS *TLS // nil: plain text

	ExpressionErrors uint64
	Peers            int // that have spoken lately
	Digest           string
	Version          string
	Revision         string // the commit of the program
}

// Exact is what limits with sharing Exact did.
type Exact struct {
	Counters, Leases int
	Silent           int
	Decided          map[string]uint64 // a fixed set
	Waits            uint64
}

// TLS is what is known of the files that TLS is spoken with.
type TLS struct {
	Expires time.Time // when the certificate in force does
	Stale   bool      // newer files cannot be used
}

// Collector exports Counts. Its labels are bounded by the policies: a client's key
// is never one.
type Collector struct{ read func() Counts }

// NewCollector returns a Collector that calls read at each scrape.
func NewCollector(read func() Counts) *Collector { return &Collector{read} }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("sluice_"+name, help, labels, nil)
}

var (
	limitTokens = desc("limit_tokens_total", "Tokens asked of a limit, by outcome: admitted, or limited (of a shadow limit: would have been).", "namespace", "policy", "limit", "outcome")
	overTokens  = desc("limit_over_admitted_tokens_total", "Tokens that the pool admitted and that were not there at that moment, of the counters that this enforcer keeps the books of. They are paid back. The sum over the enforcers, by that of limit_tokens_total with outcome admitted, is the over-admission.", "namespace", "policy", "limit")
	activeKeys  = desc("limit_active_keys", "Clients that have used some of a limit's quota.", "namespace", "policy", "limit")
	keys        = desc("keys", "Counters in memory.")
	maxKeys     = desc("keys_max", "The most counters that are kept in memory.")
	evicted     = desc("keys_evicted_total", "Counters forgotten for want of room. Raise --max-keys when this grows.")
	expired     = desc("keys_expired_total", "Counters forgotten because they said nothing any more.")
	storeBytes  = desc("store_bytes", "Memory of the counters.")
	frames      = desc("gossip_frames_total", "Gossip frames, by direction (sent, received) and protocol (udp, tcp).", "direction", "protocol")
	frameBytes  = desc("gossip_bytes_total", "Bytes of gossip frames with their envelopes, by direction and protocol.", "direction", "protocol")
	dropped     = desc("gossip_frames_dropped_total", "Gossip frames and membership packets dropped, by reason.", "reason")
	passedOn    = desc("gossip_frames_passed_on_total", "Gossip frames passed on between two peers that do not reach each other. When this grows, look for a broken link.")
	packets     = desc("membership_packets_total", "Datagrams about who lives, by direction.", "direction")
	gossipKeys  = desc("gossip_keys", "Keys of the gossip key file in force; 0: gossip is not authenticated. While a key rotates it is 2 on every enforcer before the new one seals.")
	tlsExpires  = desc("tls_certificate_expiration_timestamp_seconds", "When the certificate in force expires, in seconds since 1970. There is none while TLS is off.")
	tlsReload   = desc("tls_last_reload_successful", "Whether the TLS files, as they are now, are in force (1), or what was in them before, since they cannot be used (0). There is none while TLS is off.")
	exactKeys   = desc("exact_counters", "Counters of limits with sharing Exact in memory: those that this enforcer keeps, and its copies of others.")
	exactLeases = desc("exact_leases", "Leases of counters that other enforcers keep.")
	exactSilent = desc("exact_silent_peers", "Peers that leave questions about their counters without an answer. While this is above 0, onUnreachable of the limits decides.")
	exactTaken  = desc("exact_decisions_total", "Charges of limits with sharing Exact, by what decided them: owner (this enforcer keeps the counter), lease, late (denied, since the owner did not answer in time), unreachable (as onUnreachable says) or full (denied for want of room to count: raise --max-keys).", "by")
	exactWaits  = desc("exact_waits_total", "Times that a request waited for the enforcer that keeps its counter.")
	failures    = desc("expression_errors_total", "Expressions that failed on a request; the request was limited all the same.")
	peers       = desc("peers", "Peers that have spoken lately.")
	document    = desc("document_info", "The document in force.", "digest")
	build       = desc("build_info", "The version of this enforcer, and the commit that it was built from.", "version", "revision")
)

// Describe implements prometheus.Collector.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		limitTokens, overTokens, activeKeys, keys, maxKeys, evicted, expired, storeBytes,
		frames, frameBytes, packets, gossipKeys, tlsExpires, tlsReload, dropped, passedOn,
		exactKeys, exactLeases, exactSilent, exactTaken, exactWaits, failures, peers, document, build,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	n := c.read()
	counter := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for _, u := range n.Limits {
		counter(limitTokens, float64(u.Admitted), u.Namespace, u.Policy, u.Limit, "admitted")
		counter(limitTokens, float64(u.Limited), u.Namespace, u.Policy, u.Limit, "limited")
		counter(overTokens, u.OverAdmitted, u.Namespace, u.Policy, u.Limit)
		gauge(activeKeys, float64(u.ActiveKeys), u.Namespace, u.Policy, u.Limit)
	}
	gauge(keys, float64(n.Keys))
	gauge(maxKeys, float64(n.MaxKeys))
	counter(evicted, float64(n.Evicted))
	counter(expired, float64(n.Expired))
	gauge(storeBytes, float64(n.StoreBytes))
	for _, t := range n.Frames {
		counter(frames, float64(t.Frames), t.Direction, t.Protocol)
		counter(frameBytes, float64(t.Bytes), t.Direction, t.Protocol)
	}
	counter(packets, float64(n.PacketsSent), "sent")
	counter(packets, float64(n.PacketsReceived), "received")
	gauge(gossipKeys, float64(n.GossipKeys))
	for reason, v := range n.FramesDropped {
		counter(dropped, float64(v), reason)
	}
	counter(passedOn, float64(n.FramesPassedOn))
	if n.TLS != nil {
		gauge(tlsExpires, float64(n.TLS.Expires.Unix()))
		gauge(tlsReload, map[bool]float64{false: 1, true: 0}[n.TLS.Stale])
	}
	gauge(exactKeys, float64(n.Exact.Counters))
	gauge(exactLeases, float64(n.Exact.Leases))
	gauge(exactSilent, float64(n.Exact.Silent))
	for by, v := range n.Exact.Decided {
		counter(exactTaken, float64(v), by)
	}
	counter(exactWaits, float64(n.Exact.Waits))
	counter(failures, float64(n.ExpressionErrors))
	gauge(peers, float64(n.Peers))
	gauge(document, 1, n.Digest)
	gauge(build, 1, n.Version, n.Revision)
}

// Latency measures how long front ends take to answer.
type Latency struct{ seconds *prometheus.HistogramVec }

// NewLatency registers the histogram sluice_request_duration_seconds.
func NewLatency(r prometheus.Registerer) (*Latency, error) {
	l := &Latency{prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "sluice_request_duration_seconds",
		Help:    "Time from a call's arrival at a front end to its answer, by front end and outcome.",
		Buckets: []float64{5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 5e-3, 2.5e-2},
	}, []string{"frontend", "outcome"})}
	return l, r.Register(l.seconds)
}

// Observer returns the Observe function of a front end. The outcomes are made
// beforehand, so that observing one looks nothing up by its labels.
func (l *Latency) Observer(frontend string) func(outcome string, took time.Duration) {
	byOutcome := map[string]prometheus.Observer{}
	for _, outcome := range []string{"admitted", "denied", "not_limited", "invalid"} {
		byOutcome[outcome] = l.seconds.WithLabelValues(frontend, outcome)
	}
	return func(outcome string, took time.Duration) {
		if o, ok := byOutcome[outcome]; ok {
			o.Observe(took.Seconds())
		}
	}
}
