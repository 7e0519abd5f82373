package nfsd

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"

	"github.com/willscott/go-nfs"
)

const (
	programPortmap = 100000
	programNFS     = 100003
	programMount   = 100005
)

// register adds the procedures that the library lacks to its table, which is
// one for the whole process.
var register = sync.OnceValue(func() error {
	return errors.Join(
		nfs.RegisterMessageHandler(programPortmap, 0, null),
		nfs.RegisterMessageHandler(programPortmap, 3, getPort),
		nfs.RegisterMessageHandler(programPortmap, 4, dump),
		nfs.RegisterMessageHandler(programMount, 5, exports),
	)
})

// writer is the library's response, whose type it does not export: the
// procedures are generic so that the compiler finds it.
type writer interface{ Write([]byte) error }

// null answers the NULL procedure.
func null[W writer](_ context.Context, w W, _ nfs.Handler) error { return w.Write(nil) }

// getPort answers the portmapper's GETPORT (RFC 1833, section 3). All programmes
// share one port, and the library hides the arguments: there is one answer.
func getPort[W writer](_ context.Context, w W, h nfs.Handler) error {
	e, ok := h.(*export)
	if !ok {
		return errors.New("answer GETPORT: not an export of this package")
	}
	return w.Write(binary.BigEndian.AppendUint32(nil, uint32(e.port)))
}

// dump answers the portmapper's DUMP (RFC 1833, section 3): NFS and MOUNT, version 3, over TCP.
func dump[W writer](_ context.Context, w W, h nfs.Handler) error {
	e, ok := h.(*export)
	if !ok {
		return errors.New("answer DUMP: not an export of this package")
	}
	var b []byte
	for _, program := range []uint32{programNFS, programMount} {
		for _, v := range []uint32{1 /* an entry follows */, program, 3, 6 /* TCP */, uint32(e.port)} {
			b = binary.BigEndian.AppendUint32(b, v)
		}
	}
	return w.Write(binary.BigEndian.AppendUint32(b, 0)) // no further entry
}

// exports answers MOUNT's EXPORT (RFC 1813, section 5.2.5): one export, open to all.
func exports[W writer](_ context.Context, w W, _ nfs.Handler) error {
	b := binary.BigEndian.AppendUint32(nil, 1) // an entry follows
	b = binary.BigEndian.AppendUint32(b, uint32(len(ExportPath)))
	b = append(b, ExportPath...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	b = binary.BigEndian.AppendUint32(b, 0) // no groups
	b = binary.BigEndian.AppendUint32(b, 0) // no further entry
	return w.Write(b)
}
