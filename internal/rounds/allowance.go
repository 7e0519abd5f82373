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

// firstParcel is what the client is sent first. A single packet may have been
// forged; then one is sent, the one that is more likely to be heard.
func firstParcel(c model.Connection) parcel {
	if seen(c) == 1 {
		return parcel{rst: c.HasAck, tickle: !c.HasAck}
	}
	return parcel{rst: c.HasAck, tickle: true}
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
