// Package nfswire holds what NFS clients and servers say to each other: the calls
// of NFSv3 and MOUNT (RFC 1813) and the operations of NFSv4.0, 4.1 and 4.2 (RFC
// 7530, 8881, 7862) that Fairlead makes, their arguments and their results.
//
// A call is a value. The package sends nothing, so each client brings a transport
// and a patience of its own. It has no operation that opens or locks a file.
package nfswire

import "time"

// PortNFS is where NFS servers listen.
const PortNFS = 2049

// Limits on what a server may send, so that a hostile length costs nothing.
const (
	maxHandle3 = 64   // NFS3_FHSIZE
	maxHandle4 = 128  // NFS4_FHSIZE
	maxName    = 1024 // also a path of MOUNT
	maxFlavor  = 64   // authentication flavours of a MOUNT reply
	maxOpaque  = 1024 // NFS4_OPAQUE_LIMIT
	maxList    = 4096 // exports, or groups of one
)

// MaxData is the most that one READ or WRITE may carry, in bytes.
const MaxData = 1 << 20

// Handle is a file handle: opaque bytes, comparable.
type Handle string

// The types of files that callers branch on (ftype3, nfs_ftype4).
const (
	TypeFile      = 1
	TypeDirectory = 2
)

// Attr is what Fairlead reads of a file's attributes (fattr3).
type Attr struct {
	Type   uint32
	Mode   uint32
	Size   uint64
	FSID   uint64
	FileID uint64
	Mtime  time.Time
	Ctime  time.Time
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
