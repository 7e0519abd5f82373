package rounds

import "fairlead/internal/model"

// A client is never sent more packets, over all rounds and for both ends of its
// connections to a virtual IP together, than were seen of it. So whoever forges
// connections in somebody else's name makes Fairlead send that one no more than he
// sent himself. Each connection has what was seen of it; what an ended one leaves
// over serves the others of its client, of which less was seen.

// parcel is what one round sends because of one connection.
type parcel struct{ rst, tickle bool }

// cost is how many packets it is.
func (p parcel) cost() uint8 {
	n := uint8(0)
	if p.rst {
		n++
	}
	if p.tickle {
		n++
	}
	return n
}

// seen is how many packets were seen of a connection's client. Its first one
// was, or there would be no connection.
func seen(c model.Connection) uint8 { return uint8(min(max(c.Packets, 1), model.MostPackets)) }

// inUse tells whether more than a connection's handshake was seen: its client may
// well wait for an answer.
func inUse(c model.Connection) bool { return c.HasAck && seen(c) > 2 }

// firstParcel is what the client of a connection is sent first: the packet that
// is more likely to be heard. One in use may have acknowledged more than was seen,
// and then hears the tickle only: it is sent both.
func firstParcel(c model.Connection) parcel {
	return parcel{rst: c.HasAck, tickle: !c.HasAck || inUse(c)}
}

// secondParcel is what it is sent a little later, so that no single loss is the
// end of both: a tickle, which also makes a client that has no such connection
// any more say so.
func secondParcel(c model.Connection, spent uint8) parcel {
	return parcel{tickle: c.HasAck && spent == 1 && seen(c) > 1}
}

// rest is how many packets a connection may still cost.
func rest(c model.Connection, spent uint8) int { return max(int(seen(c))-int(spent), 0) }

// nextParcel is what a repeat sends the client of a connection that has cost so
// many packets, when its client has so many left. Who never acknowledged anything
// may not exist: it gets a repeat only of what other connections of its client left.
func nextParcel(c model.Connection, spent uint8, left int) parcel {
	may := left
	if c.HasAck {
		may += rest(c, spent)
	}
	if may = min(may, costs-int(spent)); c.Ended || may < 1 {
		return parcel{}
	}
	return parcel{rst: c.HasAck && may > 1, tickle: true}
}

// mayAskServer tells whether the old server may be asked too: its answer goes
// to the client.
func mayAskServer(c model.Connection, spent uint8) bool { return seen(c) >= 3 && spent < seen(c) }
