package nfswire

import "fairlead/internal/rpc"

// Identity is who a client of NFSv4.1 says that it is (client_owner4).
type Identity struct {
	Verifier Verifier // of this life of the client
	Owner    []byte   // of all its lives
}

// Introduced is the answer to ExchangeID.
type Introduced struct {
	ClientID uint64
	Sequence uint32
	// Scope and Owner say who the server is. Two servers with one scope tell
	// clients that they share file handles and the state of locks.
	Scope, Owner string
}

// ExchangeID introduces a client to the server.
func ExchangeID(who Identity, got *Introduced) Op {
	return Op{name: "EXCHANGE_ID", code: 42, args: func(e *rpc.Encoder) {
		e.Fixed(who.Verifier[:])
		e.Opaque(who.Owner)
		e.Uint32(0) // flags
		e.Uint32(0) // SP4_NONE: no protection of the state
		e.Uint32(0) // nothing about the implementation
	}, result: func(d *rpc.Decoder) {
		got.ClientID = d.Uint64()
		got.Sequence = d.Uint32()
		d.Uint32() // flags
		if how := d.Uint32(); how != 0 {
			d.Fail("protection %d of the state, which was not asked for", how)
		}
		d.Uint64() // the owner's minor part
		got.Owner = string(d.Opaque(maxOpaque))
		got.Scope = string(d.Opaque(maxOpaque))
		if n := d.Uint32(); n > 1 {
			d.Fail("%d implementations", n)
		} else if n == 1 {
			d.Opaque(maxOpaque) // domain
			d.Opaque(maxOpaque) // name
			d.Fixed(12)         // date
		}
	}}
}

// SessionID names a session of NFSv4.1.
type SessionID [16]byte

// What a session of one call at a time needs, in bytes.
const (
	maxCall      = 64 << 10
	maxCallback  = 4 << 10
	maxOps       = 64
	callbackID   = 0x40000000
	channelEmpty = 0 // no RDMA
)

// CreateSession makes a session with one slot and no callbacks.
func CreateSession(client Introduced, id *SessionID) Op {
	channel := func(e *rpc.Encoder, size, ops uint32) {
		for _, v := range []uint32{0 /* header padding */, size, size, 0 /* nothing is cached */, ops, 1 /* slot */, channelEmpty} {
			e.Uint32(v)
		}
	}
	return Op{name: "CREATE_SESSION", code: 43, args: func(e *rpc.Encoder) {
		e.Uint64(client.ClientID)
		e.Uint32(client.Sequence)
		e.Uint32(0) // flags
		channel(e, maxCall, maxOps)
		channel(e, maxCallback, 2)
		e.Uint32(callbackID)
		e.Uint32(1) // one way to authenticate callbacks:
		e.Uint32(0) // AUTH_NONE
	}, result: func(d *rpc.Decoder) {
		copy(id[:], d.Fixed(len(id)))
		d.Uint32() // sequence
		d.Uint32() // flags
		skipChannel(d)
		skipChannel(d)
	}}
}

func skipChannel(d *rpc.Decoder) {
	d.Fixed(6 * 4)
	if n := d.Uint32(); n > 1 {
		d.Fail("%d values for RDMA", n)
	} else if n == 1 {
		d.Uint32()
	}
}

// Sequence begins each COMPOUND of a session. Number counts from 1.
func Sequence(id SessionID, number uint32) Op {
	return Op{name: "SEQUENCE", code: 53, args: func(e *rpc.Encoder) {
		e.Fixed(id[:])
		e.Uint32(number)
		e.Uint32(0) // slot
		e.Uint32(0) // highest slot
		e.Bool(false)
	}, result: func(d *rpc.Decoder) { d.Fixed(len(id) + 5*4) }}
}

// DestroySession ends a session.
func DestroySession(id SessionID) Op {
	return Op{name: "DESTROY_SESSION", code: 44, args: func(e *rpc.Encoder) { e.Fixed(id[:]) }}
}

// DestroyClient makes the server forget a client that has no session.
func DestroyClient(client uint64) Op {
	return Op{name: "DESTROY_CLIENTID", code: 57, args: func(e *rpc.Encoder) { e.Uint64(client) }}
}
