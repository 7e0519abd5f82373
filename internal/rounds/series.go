package rounds

import (
	"context"
	"fmt"
	"time"

	"fairlead/internal/model"
	"fairlead/internal/reset"
)

// ends name a connection, without pointers: there may be a million of them.
type ends struct {
	client, vip         [16]byte
	clientPort, vipPort uint16
}

func endsOf(c model.Connection) ends {
	return ends{c.Client.Addr().As16(), c.VIP.Addr().As16(), c.Client.Port(), c.VIP.Port()}
}

// party is a client and the virtual IP that it talks to.
type party struct{ client, vip [16]byte }

func (e ends) party() party { return party{e.client, e.vip} }

// What the spent map keeps of a connection: the number of packets that it has
// cost, and these marks.
const (
	costs  = 0x1f
	over   = 0x20 // it was seen to have ended, and what it may still cost was given away
	met    = 0x40 // by this series
	served = 0x80 // its server was told by this series
)

// work is one series under way.
type work struct {
	*Rounds
	Job
	cancel context.CancelFunc
	over   chan struct{} // closed at the end

	spent   map[ends]uint8
	left    map[party]int // packets that the client may be sent for connections that have ended
	orders  []reset.Order // of the present batch
	fresh   int           // of these, connections that count as known
	known   int
	reset   int
	servers int
	sentAt  time.Time
	err     error // of the last round
	told    string
}

// run resets the old connections, and then sweeps until none is left.
func (w *work) run(ctx context.Context) {
	for e := range w.spent {
		w.spent[e] &= costs | over
	}
	if !w.Silent && !w.resetAll(ctx) {
		return
	}
	for {
		if left, err := w.plane.Sweep(w.Director); err == nil && left == 0 {
			w.spent, w.left = nil, nil
			return
		}
		if !sleep(ctx, sweepEvery) {
			return
		}
	}
}

// stage says which round walks the table.
type stage uint8

const (
	livelyStage stage = iota // those that are in use
	firstStage               // all that were not met before
	secondStage              // those, and a second packet for the others
	repeatStage              // those that have not ended, as far as they may be sent more
)

// resetAll sends the first round at once; among many connections those in use
// come first, since somebody waits for them. A second one follows when no packet in
// flight can see the old choice any more: connections may have slipped in
// meanwhile. Then the servers' ends are reset, and the clients' again, until all
// have ended or nothing more may be sent. It reports whether it came to its end.
func (w *work) resetAll(ctx context.Context) bool {
	w.clients(ctx, livelyStage)
	w.clients(ctx, firstStage)
	w.sentAt = time.Now()
	if !w.tell(ctx, 0, false) {
		return false
	}
	if err := w.plane.Settle(); err != nil {
		w.err = fmt.Errorf("wait for packets in flight: %w", err)
	}
	left, more := w.clients(ctx, secondStage)
	w.tellServers(ctx)
	for range mostTimes {
		if left == 0 || !more {
			break
		}
		if !w.tell(ctx, w.known-left, false) || !sleep(ctx, again) {
			return false
		}
		left, more = w.clients(ctx, repeatStage)
	}
	return w.tell(ctx, w.known-left, true)
}

// clients walks the table and sends the clients of old connections what is due.
// It returns how many have not ended, and whether a repeat may send those more:
// others of the same clients may leave them something.
func (w *work) clients(ctx context.Context, now stage) (left int, more bool) {
	for c := range w.plane.Connections() {
		if ctx.Err() != nil {
			return left, false
		}
		if c.Director != w.Director {
			continue
		}
		e := endsOf(c)
		if !c.Old {
			delete(w.spent, e) // its client has connected anew
			continue
		}
		if now == livelyStage && !inUse(c) {
			continue
		}
		if c.Ended && now == repeatStage && w.give(e, c) {
			more = true
		}
		if !c.Ended && w.spent[e]&over != 0 {
			w.spent[e] = 0 // its client began anew in between
		}
		first := w.spent[e]&met == 0
		p := w.charge(e, c, due(c, w.spent[e], now, w.left[e.party()]))
		more = more || !c.Ended && (c.HasAck || now != repeatStage || w.left[e.party()] > 0)
		if !c.Ended {
			left++
			if first {
				w.known++
				w.fresh++
			}
		}
		if p.cost() == 0 {
			continue
		}
		w.orders = append(w.orders, reset.Order{Connection: c, RST: p.rst, Tickle: p.tickle})
		if len(w.orders) == batch && !paced(ctx, w.flush) {
			return left, false
		}
	}
	w.flush()
	return left, more
}

// due is what the client of an old connection is sent now.
func due(c model.Connection, spent uint8, now stage, left int) parcel {
	switch {
	case spent == 0:
		return firstParcel(c)
	case spent&met == 0 || now == repeatStage:
		return nextParcel(c, spent&costs, left)
	case now == secondStage:
		return secondParcel(c, spent&costs)
	}
	return parcel{}
}

// give leaves what an ended connection may still cost to the others of its client. It
// reports whether that is anything.
func (w *work) give(e ends, c model.Connection) bool {
	n := rest(c, w.spent[e]&costs)
	w.left[e.party()] += n
	w.spent[e] = w.spent[e]&^costs | max(w.spent[e]&costs, seen(c)) | over
	return n > 0
}

// charge enters a parcel in the account of its connection, and what that one may
// not cost in its client's.
func (w *work) charge(e ends, c model.Connection, p parcel) parcel {
	if beyond := int(p.cost()) - rest(c, w.spent[e]&costs); beyond > 0 {
		w.left[e.party()] -= beyond
	}
	w.spent[e] = (w.spent[e] | met) + p.cost()
	return p
}

// flush sends the batch to the clients.
func (w *work) flush() {
	sent, err := w.send(func() (int, error) { return w.resets.Send(w.orders) })
	w.reset += min(sent, w.fresh)
	w.orders, w.fresh = w.orders[:0], 0
	if err != nil {
		w.err = fmt.Errorf("send resets: %w", err)
	}
}

// tellServers walks the table and resets the servers' ends of old connections:
// a stale one would refuse its client at failback.
func (w *work) tellServers(ctx context.Context) {
	if w.Iface == "" {
		return
	}
	for c := range w.plane.Connections() {
		if ctx.Err() != nil {
			return
		}
		e := endsOf(c)
		spent := w.spent[e]
		if c.Director != w.Director || !c.Old || spent&met == 0 || spent&served != 0 || !c.ServerMAC.Known() {
			continue
		}
		ask := mayAskServer(c, spent&costs)
		w.spent[e] = (spent | served) + parcel{tickle: ask}.cost()
		w.orders = append(w.orders, reset.Order{Connection: c, RST: true, Tickle: ask})
		if len(w.orders) == batch && !paced(ctx, w.flushServers) {
			return
		}
	}
	w.flushServers()
}

func (w *work) flushServers() {
	sent, err := w.send(func() (int, error) { return w.resets.SendServers(w.Iface, w.orders) })
	w.servers += sent
	w.orders = w.orders[:0]
	if err != nil {
		w.err = fmt.Errorf("send resets to the servers: %w", err)
	}
}

// send sends the batch, if there is one.
func (w *work) send(do func() (int, error)) (int, error) {
	if len(w.orders) == 0 {
		return 0, nil
	}
	w.sending.Lock()
	defer w.sending.Unlock()
	return do()
}

// tell reports to the loop, and waits until it can. The same error is told once.
func (w *work) tell(ctx context.Context, gone int, last bool) bool {
	r := Report{
		Director: w.Director, Epoch: w.Epoch, SentAt: w.sentAt,
		Known: w.known, Reset: w.reset, Servers: w.servers, Ended: gone, Last: last,
	}
	if w.err != nil && w.err.Error() != w.told {
		r.Err, w.told = w.err, w.err.Error()
	}
	w.err = nil
	select {
	case <-ctx.Done():
		return false
	case w.reports <- r:
		return true
	}
}

// paced does something, and returns no sooner than a breath after it began. It
// reports whether that was before ctx ended.
func paced(ctx context.Context, do func()) bool {
	next := time.Now().Add(breath)
	do()
	return sleep(ctx, time.Until(next))
}

// sleep reports whether the time passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
