package sim

import "github.com/sluice-dev/sluice/enforcer/limit"

// Link is the quality of one direction of one connection.
type Link struct {
	Loss, Repeat float64    // probabilities, 0 to 1
	Min, Max     limit.Span // delay, uniform; frames overtake each other when they differ
}

// frame is a frame under way.
type frame struct {
	from, to *Node
	data     []byte
}

// Attach has frames to an address delivered to receive, in place of whatever
// was there; nil unplugs the address, and frames under way to it are lost. What
// was attached before has crashed: its calls (Node.At, Node.Every) never run.
//
// A frame is lent to receive for the time of the call, and overwritten then.
func (w *World) Attach(address string, receive func(from string, frame []byte)) {
	n := w.Node(address)
	n.receive = receive
	n.resumes = 0
	n.life++
}

// Split cuts the network in parts: a frame from one group of addresses to
// another is lost when it is sent from now on. Frames under way arrive. All
// addresses that are in no group are one more group.
func (w *World) Split(groups ...[]string) {
	for _, n := range w.nodes {
		n.group = 0
	}
	for i, group := range groups {
		for _, address := range group {
			w.Node(address).group = i + 1
		}
	}
}

// Break has every frame from one address to another lost that is sent from now on.
func (w *World) Break(from, to string) {
	n := w.Node(from)
	if n.broken == nil {
		n.broken = map[*Node]bool{}
	}
	n.broken[w.Node(to)] = true
}

// Heal ends what Split and Break began.
func (w *World) Heal() {
	for _, n := range w.nodes {
		n.group, n.broken = 0, nil
	}
}

// Outbox sends from one address; it fits every interface that wants
// Send(to string, frame []byte).
type Outbox struct{ node *Node }

// Outbox returns the sending end of an address.
func (w *World) Outbox(from string) Outbox { return Outbox{w.Node(from)} }

// Send puts a copy of data on the network.
func (o Outbox) Send(to string, data []byte) {
	from := o.node
	w := from.world
	w.Frames++
	w.Bytes += uint64(len(data))
	from.traffic.FramesOut++
	from.traffic.BytesOut += uint64(len(data))
	dest := w.Node(to)
	var link Link
	if w.Link != nil {
		link = w.Link(from.address, to)
	}
	for {
		if w.rand.Float64() >= link.Loss {
			delay := link.Min
			if link.Max > link.Min {
				delay += limit.Span(w.rand.Int64N(int64(link.Max - link.Min)))
			}
			if from.Reaches(dest) {
				w.travel(from, dest, data, delay)
			}
		}
		if w.rand.Float64() >= link.Repeat {
			return
		}
	}
}

// travel has a copy of data arrive after a delay.
func (w *World) travel(from, to *Node, data []byte, delay limit.Span) {
	var slot uint32
	if n := len(w.frames.unused); n > 0 {
		slot = w.frames.unused[n-1]
		w.frames.unused = w.frames.unused[:n-1]
	} else {
		slot = w.frames.put(frame{})
	}
	f := w.frames.at(slot)
	f.from, f.to = from, to
	f.data = append(f.data[:0], data...)
	w.queueAt(w.now.Add(delay), frameArrives, slot)
}

func (w *World) deliver(slot uint32) {
	f := *w.frames.at(slot)
	to := f.to
	if to.resumes > w.now {
		w.queueAt(to.resumes, frameArrives, slot)
		return
	}
	if to.receive != nil {
		to.traffic.FramesIn++
		to.traffic.BytesIn += uint64(len(f.data))
		w.Note(uint64(w.now))
		w.Note(uint64(f.from.index)<<32 | uint64(to.index))
		w.noteBytes(f.data)
		to.receive(f.from.address, f.data)
	}
	clear(f.data) // a receiver that kept it will notice
	w.frames.free(slot)
}
