// Package nfs is an NFSv3 client (RFC 1813, over TCP) that treats a lost
// connection as the Linux kernel's does: it has no timeout of its own,
// reconnects from the same source port and sends the same call again.
//
// It is the lab's instrument, not a file system: it caches nothing, opens
// nothing, locks nothing, and carries one call at a time. Several calls at once
// are several Clients. What is said on the wire stands in nfswire.
package nfs

import (
	"fairlead/internal/nfswire"
	"fairlead/internal/rpc"
)

// The programmes and ports of the protocol.
const (
	ProgramNFS   = rpc.ProgramNFS
	ProgramMount = rpc.ProgramMount
	PortPortmap  = rpc.PortPortmap
	PortNFS      = nfswire.PortNFS
)

// maxRecord bounds one reply, in bytes, so that a hostile length costs nothing.
const maxRecord = 1 << 21

// MaxData is the most that one READ or WRITE may carry, in bytes.
const MaxData = nfswire.MaxData

// ErrMalformed tells that a reply breaks the protocol.
var ErrMalformed = rpc.ErrMalformed

// What a client deals in.
type (
	Handle   = nfswire.Handle
	Attr     = nfswire.Attr
	Verifier = nfswire.Verifier
	Written  = nfswire.Written
	Status   = nfswire.Status
)

// The statuses that callers branch on.
const (
	StatusNoEntry = nfswire.StatusNoEntry
	StatusExists  = nfswire.StatusExists
	StatusStale   = nfswire.StatusStale
)
