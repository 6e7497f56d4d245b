package discovery

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// How often names are looked up. A pool of a hundred with a record for each
// enforcer asks for about ten of them a second.
const (
	dnsEvery   = 5 * time.Second
	dnsPerHost = 100 * time.Millisecond // of each host that SRV records name
	dnsRetry   = time.Second            // after a look-up that failed
	dnsTimeout = 4 * time.Second        // of a look-up with all that follows from it
	dnsAtOnce  = 8                      // look-ups of hosts at a time
)

// Resolver looks names up; *net.Resolver is one.
type Resolver interface {
	// LookupSRV returns the records of _service._proto.name, or of name itself
	// when service and proto are empty.
	LookupSRV(ctx context.Context, service, proto, name string) (cname string, records []*net.SRV, err error)

	// LookupNetIP returns the addresses of a host; network is "ip".
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// DNS returns a Source of what DNS says of a name. The target is one of
//
//   - NAME:NUMBER: an enforcer at that port of every address of NAME;
//   - NAME:SERVICE: those of the SRV records _SERVICE._udp.NAME, or _SERVICE._tcp.NAME
//     when there are none;
//   - _SERVICE._PROTO.NAME: those of the SRV records of that name.
//
// SRV records give hosts and ports; a host is one enforcer. Where there are IPv4
// and IPv6 addresses the IPv4 ones are used, because nothing tells which belong
// together. The port is known to Endpoint.Address by the given name; all members
// are Ready: DNS has no other word for it.
//
// The name is looked up again every few seconds, and sooner while that fails. The
// last answer stands until there is another; a name that does not exist is an
// answer, namely nobody. failed, which may be nil, is told of the first failure
// of every series, from Watch's goroutine. A nil resolver means the system's.
func DNS(port, target string, resolver Resolver, failed func(error)) (Source, error) {
	s := &dnsSource{port: port, target: target, resolver: resolver, failed: failed}
	if s.resolver == nil {
		s.resolver = net.DefaultResolver
	}
	if s.failed == nil {
		s.failed = func(error) {}
	}
	if err := s.parse(); err != nil {
		return nil, err
	}
	return s, nil
}

type dnsSource struct {
	port, target string
	resolver     Resolver
	failed       func(error)

	name    string // without the final :PORT
	number  int    // 0 when SRV records give the ports
	service string // "" when name is that of SRV records, or number is set
}

// parse takes the target apart.
func (s *dnsSource) parse() error {
	wrong := func(format string, args ...any) error {
		return fmt.Errorf("DNS name %q: "+format, append([]any{s.target}, args...)...)
	}
	const example = "write NAME:PORT, for example enforcers.example.com:7946"
	name, port, hasPort := strings.Cut(s.target, ":")
	s.name = name
	_, ipErr := netip.ParseAddr(strings.Trim(s.target, "[]"))
	switch {
	case strings.HasPrefix(s.target, "[") || ipErr == nil:
		return wrong("that is an address: list it as host:port, without dns")
	case strings.Contains(port, ":"):
		return wrong("it has more than one colon: " + example)
	case name == "" || strings.ContainsAny(name, "/ \t,"):
		return wrong(example)
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return wrong("%s is an address: list it as host:port, without dns", name)
	}
	if isSRV(name) {
		if hasPort {
			return wrong("SRV records give the port: leave %q out", ":"+port)
		}
		return nil
	}
	number, err := strconv.ParseUint(port, 10, 16)
	switch {
	case err == nil && number > 0:
		s.number = int(number)
	case isService(port):
		s.service = port
	default:
		return wrong("the port must be a number from 1 to 65535, or the name of a service that has SRV records: %s", example)
	}
	return nil
}

// isSRV says whether name has the form _service._proto.rest.
func isSRV(name string) bool {
	labels := strings.SplitN(name, ".", 3)
	return len(labels) == 3 && len(labels[0]) > 1 && len(labels[1]) > 1 && labels[0][0] == '_' && labels[1][0] == '_' && labels[2] != ""
}

// isService says whether port can be the name of a service: letters, digits and
// hyphens, with a letter among them (RFC 6335).
func isService(port string) bool {
	letter := false
	for _, r := range port {
		isLetter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		if !isLetter && r != '-' && (r < '0' || r > '9') {
			return false
		}
		letter = letter || isLetter
	}
	return letter && len(port) <= 63
}

// Watch implements Source.
func (s *dnsSource) Watch(ctx context.Context, changed func([]Endpoint)) error {
	var last []Endpoint
	known := map[string]netip.Addr{} // of the hosts of SRV records
	answered, failing := false, false
	for {
		members, hosts, err := s.lookup(ctx, known)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && !failing {
			s.failed(fmt.Errorf("the peers' DNS name %q cannot be looked up, the last answer stands: %w", s.target, err))
		}
		failing = err != nil
		if members != nil && (!answered || !slices.EqualFunc(members, last, equal)) {
			answered, last = true, members
			changed(slices.Clone(members))
		}
		pause := max(dnsEvery, time.Duration(hosts)*dnsPerHost)
		if failing {
			pause = dnsRetry
		}
		// Enforcers that started together should not ask together for ever.
		timer := time.NewTimer(pause + rand.N(pause/5)) //nolint:gosec // no secret
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// lookup returns the members, ordered by name, and how many hosts were asked for
// because of SRV records; members is nil when nothing is known. An error beside
// members says that a part of them is from an earlier answer, which is in known,
// or missing.
func (s *dnsSource) lookup(ctx context.Context, known map[string]netip.Addr) (members []Endpoint, hosts int, err error) {
	ctx, cancel := context.WithTimeout(ctx, dnsTimeout)
	defer cancel()
	if s.number == 0 {
		return s.lookupSRV(ctx, known)
	}
	addrs, err := s.resolver.LookupNetIP(ctx, "ip", s.name)
	if err != nil && !notFound(err) {
		return nil, 0, err
	}
	members = []Endpoint{}
	for _, a := range oneFamily(addrs) {
		members = append(members, s.member(net.JoinHostPort(a.String(), strconv.Itoa(s.number)), a, s.number))
	}
	return distinct(members), 0, nil
}

func (s *dnsSource) lookupSRV(ctx context.Context, known map[string]netip.Addr) (members []Endpoint, hosts int, err error) {
	records, err := s.records(ctx)
	if err != nil {
		return nil, 0, err
	}
	named := map[string]bool{}
	for _, r := range records {
		named[r.Target] = true
	}
	err = s.resolve(ctx, slices.Collect(maps.Keys(named)), known)
	maps.DeleteFunc(known, func(host string, _ netip.Addr) bool { return !named[host] })
	members = []Endpoint{}
	for _, r := range records {
		if a, ok := known[r.Target]; ok && r.Port != 0 {
			host := strings.TrimSuffix(r.Target, ".")
			members = append(members, s.member(net.JoinHostPort(host, strconv.Itoa(int(r.Port))), a, int(r.Port)))
		}
	}
	if err != nil && len(members) == 0 {
		return nil, len(named), err
	}
	return distinct(members), len(named), err
}

// records returns the SRV records of the name, none if it does not exist.
func (s *dnsSource) records(ctx context.Context) ([]*net.SRV, error) {
	protos := []string{"udp", "tcp"}
	if s.service == "" {
		protos = []string{""}
	}
	for _, proto := range protos {
		_, records, err := s.resolver.LookupSRV(ctx, s.service, proto, s.name)
		// The resolver leaves out records that it cannot use, and then gives the others
		// with an error.
		if len(records) > 0 {
			return records, nil
		}
		if err != nil && !notFound(err) {
			return nil, err
		}
	}
	return nil, nil
}

// resolve puts the addresses of hosts into known. One that does not exist is
// taken out; one that cannot be looked up stays as it was.
func (s *dnsSource) resolve(ctx context.Context, hosts []string, known map[string]netip.Addr) error {
	slices.Sort(hosts)
	addrs, errs := make([][]netip.Addr, len(hosts)), make([]error, len(hosts))
	var all errgroup.Group
	all.SetLimit(dnsAtOnce)
	for i, host := range hosts {
		all.Go(func() error {
			addrs[i], errs[i] = s.resolver.LookupNetIP(ctx, "ip", host)
			return nil
		})
	}
	_ = all.Wait() // the errors are in errs
	var first error
	for i, host := range hosts {
		switch found := oneFamily(addrs[i]); {
		case errs[i] != nil && !notFound(errs[i]):
			if first == nil {
				first = errs[i]
			}
		case len(found) == 0:
			delete(known, host)
		default:
			known[host] = found[0]
		}
	}
	return first
}

func (s *dnsSource) member(name string, a netip.Addr, port int) Endpoint {
	return Endpoint{Name: name, Host: a.String(), Ports: map[string]int{s.port: port}, Ready: true, Serving: true}
}

// oneFamily returns the IPv4 addresses in order, or if there are none the IPv6
// ones.
func oneFamily(addrs []netip.Addr) []netip.Addr {
	var four, six []netip.Addr
	for _, a := range addrs {
		if a = a.Unmap(); a.Is4() {
			four = append(four, a)
		} else if a.IsValid() {
			six = append(six, a)
		}
	}
	if len(four) == 0 {
		four = six
	}
	slices.SortFunc(four, netip.Addr.Compare)
	return four
}

func distinct(members []Endpoint) []Endpoint {
	slices.SortFunc(members, byName)
	return slices.CompactFunc(members, equal)
}

// notFound says whether DNS has answered, with nothing.
func notFound(err error) bool {
	dns, ok := errors.AsType[*net.DNSError](err)
	return ok && dns.IsNotFound
}
