package rounds

import "fairlead/internal/model"

// A connection is never sent more packets, over all rounds and to both its ends
// together, than were seen of its client. So whoever forges connections in
// somebody else's name makes Fairlead send that one no more than he sent himself.

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

// firstParcel is what the client of a connection is sent first: the packet that
// is more likely to be heard.
func firstParcel(c model.Connection) parcel { return parcel{rst: c.HasAck, tickle: !c.HasAck} }

// secondParcel is what it is sent a little later, so that no single loss is the
// end of both: a tickle, which also makes a client that has no such connection
// any more say so.
func secondParcel(c model.Connection, spent uint8) parcel {
	return parcel{tickle: c.HasAck && spent < seen(c)}
}

// nextParcel is what a repeat sends the client of a connection that has cost so
// many packets. Who never acknowledged anything may not exist: it gets no repeat.
func nextParcel(c model.Connection, spent uint8) parcel {
	if !c.HasAck || c.Ended || spent >= seen(c) {
		return parcel{}
	}
	return parcel{rst: spent+1 < seen(c), tickle: true}
}

// mayAskServer tells whether the old server may be asked too: its answer goes
// to the client.
func mayAskServer(c model.Connection, spent uint8) bool { return seen(c) >= 3 && spent < seen(c) }
