// Package nfs is an NFSv3 client (RFC 1813, over TCP) that treats a lost
// connection as the Linux kernel's does: it has no timeout of its own,
// reconnects from the same source port and sends the same call again.
//
// It is the lab's instrument, not a file system: it caches nothing, opens
// nothing, locks nothing, and carries one call at a time. Several calls at once
// are several Clients.
package nfs

import (
	"errors"
	"fmt"
	"time"
)

// The programmes and ports of the protocol.
const (
	ProgramPortmap = 100000
	ProgramNFS     = 100003
	ProgramMount   = 100005

	PortPortmap = 111
	PortNFS     = 2049
)

// Limits on what a server may send, so that a hostile length costs nothing.
const (
	maxRecord = 1 << 21 // one reply, bytes
	maxHandle = 64      // NFS3_FHSIZE
	maxName   = 1024
	maxAuth   = 400 // RFC 5531, section 8.2
	maxFlavor = 64  // authentication flavours of a MOUNT reply
)

// MaxData is the most that one READ or WRITE may carry, in bytes.
const MaxData = 1 << 20

// ErrMalformed tells that a reply breaks the protocol.
var ErrMalformed = errors.New("malformed reply")

// Handle is a file handle: opaque bytes, comparable.
type Handle string

// Attr is what the client reads of a file's attributes (fattr3).
type Attr struct {
	Type   uint32 // 1 regular file, 2 directory
	Mode   uint32
	Size   uint64
	FileID uint64
	Mtime  time.Time
}

// Verifier changes when the server forgets data that it had not yet made
// stable (writeverf3).
type Verifier [8]byte

// Written is the outcome of one WRITE.
type Written struct {
	Count    uint32
	Stable   bool // it is on stable storage; else a Commit is due
	Verifier Verifier
}

// Status is an NFS or MOUNT error of the server; it is never 0.
type Status uint32

// The statuses that callers branch on.
const (
	StatusNoEntry Status = 2
	StatusExists  Status = 17
	StatusStale   Status = 70
)

var statusNames = map[Status]string{
	1:             "not the owner",
	StatusNoEntry: "no such file",
	5:             "input/output error",
	13:            "permission denied",
	StatusExists:  "file exists",
	20:            "not a directory",
	21:            "is a directory",
	22:            "invalid argument",
	28:            "no space left",
	30:            "read-only file system",
	66:            "directory not empty",
	StatusStale:   "stale file handle",
	10001:         "bad file handle",
	10004:         "operation not supported",
	10006:         "server fault",
	10008:         "server asks to try later",
}

func (s Status) Error() string {
	if n, ok := statusNames[s]; ok {
		return fmt.Sprintf("%s (status %d)", n, uint32(s))
	}
	return fmt.Sprintf("status %d", uint32(s))
}
