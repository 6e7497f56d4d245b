package transport

import (
	"fmt"
	"net/netip"
	"slices"
)

// maxUnlisted bounds the peers that frames are sent to and that are not in the
// list. There are some while the node's view and the list change one after the
// other.
const maxUnlisted = 1024

// peer is one that frames are sent to.
type peer struct {
	address netip.AddrPort // unmapped
	name    string         // address as text
	link    *link          // nil until a frame does not fit a datagram
}

// book finds peers by the text that frames are sent to, and by the address that
// they come from. Only the driver uses it.
type book struct {
	list      []string // what membership reports
	listed    int      // of byName are from list
	byName    map[string]*peer
	byAddress map[netip.AddrPort]*peer // several names may mean one
}

func newBook() book {
	return book{byName: map[string]*peer{}, byAddress: map[netip.AddrPort]*peer{}}
}

// find returns the peer at an address, ip:port. One that is not in the list is
// remembered until the list is replaced, or until there are maxUnlisted of them.
func (b *book) find(name string) (*peer, error) {
	if p, ok := b.byName[name]; ok {
		return p, nil
	}
	if len(b.byName)-b.listed >= maxUnlisted {
		_ = b.replace(b.list) // what is wrong with it was said before
	}
	return b.add(name, b.byAddress)
}

// nameOf returns the text of an address, without an allocation if it is a peer's.
func (b *book) nameOf(address netip.AddrPort) string {
	if p, ok := b.byAddress[address]; ok {
		return p.name
	}
	return address.String()
}

// replace makes names the list, and forgets all peers that are not in it: their
// links end when they have sent what waits. Names that are no ip:port are left
// out, and the error is about one of them.
func (b *book) replace(names []string) error {
	old := b.byAddress
	*b = newBook()
	b.list = slices.Clone(names)
	var failed error
	for _, name := range names {
		if _, err := b.add(name, old); err != nil {
			failed = err
		}
	}
	b.listed = len(b.byName)
	for address, p := range old {
		if b.byAddress[address] == nil && p.link != nil {
			p.link.end()
		}
	}
	return failed
}

// add enters a name, for a peer that is among known if it is one of those.
func (b *book) add(name string, known map[netip.AddrPort]*peer) (*peer, error) {
	address, err := netip.ParseAddrPort(name)
	if err != nil {
		return nil, fmt.Errorf("peer %q: %w: write ip:port", name, err)
	}
	address = unmap(address)
	p := known[address]
	if p == nil {
		p = &peer{address: address, name: address.String()}
	}
	b.byName[name], b.byAddress[address] = p, p
	return p, nil
}
