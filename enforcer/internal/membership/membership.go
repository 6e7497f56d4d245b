// Package membership says who belongs to a pool and who lives. Discovery
// (EndpointSlices, DNS, a list) tells where enforcers are to be expected; the
// enforcers probe each other (SWIM, by hashicorp/memberlist), which tells within
// two seconds and without an API server who is there. The View joins the two.
//
// The package only reports. That a member cannot be reached is no reason to stop
// serving, nor to become unready.
package membership

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
	"golang.org/x/sync/errgroup"

	"github.com/sluice-dev/sluice/enforcer/discovery"
)

const (
	// firstAnswer is how long an enforcer that does not know its own address waits
	// for discovery, which may.
	firstAnswer = 2 * time.Second

	// goodbye limits what telling the others takes, when the caller does not.
	goodbye = time.Second
)

// Options configure a Membership.
type Options struct {
	// Name is this enforcer's name, which must be unique in the pool. It is needed.
	Name string

	// Listen is where the Link listens. It is needed. An unspecified IP address
	// means every address of this machine.
	Listen netip.AddrPort

	// Advertise is where the others reach this enforcer. Zero means Listen, if that
	// is a certain address. Else it is found out: the seed that is an address of this
	// machine with Listen's port, or else the address that packets to the seeds, or
	// to anywhere, leave from.
	Advertise netip.AddrPort

	// Source says where enforcers are to be expected; this one may be among them.
	// They must be listed by the addresses that they advertise. nil means that they
	// come by themselves.
	Source discovery.Source

	// Port is the name by which Source knows the gossip port.
	Port string

	// Changed is told the first View as soon as this enforcer has an address, and
	// every other one. Calls never overlap; a call that takes long delays the next,
	// which then has the newest View. The slice belongs to Changed. It is needed.
	Changed func(View)

	// Report is told of what a person must mend: two enforcers with one name. It is
	// called like Changed, for one clash at most once a minute. nil means nobody.
	Report func(error)

	// Lookup finds the addresses of the names that Source gives for hosts; network
	// is "ip". nil means the system's resolver.
	Lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)

	// Log takes what memberlist says, at debug level; nil means nowhere.
	Log *slog.Logger
}

func (o *Options) validate() error {
	var errs []error
	if o.Name == "" {
		errs = append(errs, errors.New("the enforcer has no name: set Options.Name"))
	}
	if !o.Listen.IsValid() || o.Listen.Port() == 0 {
		errs = append(errs, fmt.Errorf("Options.Listen %v: give the address and the port that the link listens on", o.Listen))
	}
	if o.Advertise.IsValid() && (o.Advertise.Port() == 0 || o.Advertise.Addr().IsUnspecified()) {
		errs = append(errs, fmt.Errorf("Options.Advertise %v: give an address that the others can reach, with its port", o.Advertise))
	}
	if o.Changed == nil {
		errs = append(errs, errors.New("nobody is told of the members: set Options.Changed"))
	}
	if o.Report == nil {
		o.Report = func(error) {}
	}
	if o.Lookup == nil {
		o.Lookup = net.DefaultResolver.LookupNetIP
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return errors.Join(errs...)
}

// Membership is one enforcer's part in its pool. Run it once; Leave and Stop may
// be called from other goroutines at any time.
type Membership struct {
	opts  Options
	pad   int // of this enforcer's meta data
	adapt func(self netip.AddrPort) memberlist.Transport
	host  host

	woken    chan struct{} // holds a token when the view may have changed
	relisted chan struct{} // holds a token when discovery has told something new
	told     chan struct{} // closed when discovery has told something
	done     chan struct{} // closed when Run returned

	life context.Context // ends with Stop, and Run with it
	end  context.CancelFunc

	// talk holds a token while nobody begins or ends to speak, or waits until the
	// others have been told something; who has the token may use list.
	talk chan struct{}
	list *memberlist.Memberlist // nil before and after

	mu      sync.Mutex // never held while memberlist is called, which holds a lock when it calls
	roster  roster
	clashes clashes
	reports []error // for Options.Report
	unheard bool    // the others may not have taken note of this enforcer
	moved   bool    // nor of its zone
	running bool    // Run was called
}

// New returns a Membership that does nothing until it is run.
func New[P Packet](link Link[P], o Options) (*Membership, error) {
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("membership: %w", err)
	}
	m := &Membership{
		opts:     o,
		pad:      rand.IntN(maxPad + 1), //nolint:gosec // no secret
		adapt:    func(self netip.AddrPort) memberlist.Transport { return adapt(link, self) },
		host:     thisHost,
		woken:    make(chan struct{}, 1),
		relisted: make(chan struct{}, 1),
		told:     make(chan struct{}),
		done:     make(chan struct{}),
		talk:     make(chan struct{}, 1),
	}
	m.life, m.end = context.WithCancel(context.Background())
	m.roster.self = node{name: o.Name, alive: true}
	m.unheard = true
	token(m.talk)
	return m, nil
}

// Run takes part in the pool until ctx ends or Stop is called; then it returns
// nil. When ctx ends the others are not told: to them it is a crash. Another
// return means that taking part is not possible at all.
func (m *Membership) Run(ctx context.Context) error {
	defer close(m.done)
	m.mu.Lock()
	m.running = true
	m.mu.Unlock()

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(m.life, cancel)()
	tasks, ctx := errgroup.WithContext(ctx)
	if m.opts.Source != nil {
		tasks.Go(func() error {
			if err := m.opts.Source.Watch(ctx, m.expect); err != nil {
				return fmt.Errorf("membership: the source of peers: %w", err)
			}
			return nil
		})
	}
	tasks.Go(func() error {
		self := m.ownAddress(ctx)
		if ctx.Err() != nil {
			return nil
		}
		list, err := m.start(self)
		if err != nil {
			return fmt.Errorf("membership: %w", err)
		}
		tasks.Go(func() error { m.rejoin(ctx, list); return nil })
		m.report(ctx)
		return m.shutdown(list)
	})
	return tasks.Wait()
}

// ownAddress decides on the address to advertise.
func (m *Membership) ownAddress(ctx context.Context) netip.AddrPort {
	if m.opts.Advertise.IsValid() {
		return m.opts.Advertise
	}
	var seeds []seed
	if m.opts.Source != nil && m.opts.Listen.Addr().IsUnspecified() {
		ctx, cancel := context.WithTimeout(ctx, firstAnswer)
		defer cancel()
		select {
		case <-ctx.Done():
		case <-m.told:
			m.mu.Lock()
			seeds = m.roster.missing()
			m.mu.Unlock()
			m.lookup(ctx, seeds)
		}
	}
	return ownAddress(m.opts.Listen, seeds, m.host)
}

// start begins to speak.
func (m *Membership) start(self netip.AddrPort) (*memberlist.Memberlist, error) {
	m.mu.Lock()
	m.roster.self.address = self
	m.roster.mine = mine(m.opts.Listen, m.host)
	m.roster.locate()
	m.mu.Unlock()
	<-m.talk
	defer token(m.talk)
	transport := m.adapt(self)
	list, err := memberlist.Create(config(m.opts, self.Port(), transport, &delegate{m}))
	if err != nil {
		return nil, errors.Join(err, transport.Shutdown())
	}
	m.list = list
	return list, nil
}

// shutdown stops to speak, whatever is being said.
func (m *Membership) shutdown(list *memberlist.Memberlist) error {
	<-m.talk
	defer token(m.talk)
	m.list = nil
	return list.Shutdown()
}

// report tells what changes until ctx ends.
func (m *Membership) report(ctx context.Context) {
	var last View
	for first := true; ; first = false {
		m.mu.Lock()
		now := time.Now()
		view, again := m.roster.view(now)
		reports := m.reports
		m.reports = nil
		m.mu.Unlock()
		if first || !view.equal(last) {
			last = view
			last.Members = append([]Member(nil), view.Members...)
			m.opts.Changed(view)
		}
		for _, err := range reports {
			m.opts.Report(err)
		}
		var timer <-chan time.Time
		if !again.IsZero() {
			timer = time.After(again.Sub(now))
		}
		select {
		case <-ctx.Done():
			return
		case <-m.woken:
		case <-timer:
		}
	}
}

// wake makes report look again.
func (m *Membership) wake() { token(m.woken) }

func token(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
