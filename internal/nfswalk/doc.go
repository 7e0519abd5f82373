// Package nfswalk asks one server what a client that mounts it would ask, step by
// step: NULL, MOUNT or LOOKUP from the root, GETATTR, and READ of one file. It
// tells which step failed, in plain words, and how long each one took.
//
// It leaves nothing behind on the server, and writes nothing there, but for Update,
// which writes one small file. It opens no socket: its caller says how the server is
// reached. It knows nothing of directors and their checks, and decides nothing.
package nfswalk

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"fairlead/internal/nfswire"
	"fairlead/internal/rpc"
)

// Version is a version of NFS.
type Version uint8

// The versions that can be asked.
const (
	V3 Version = iota
	V40
	V41
	V42
)

var versionNames = [...]string{"3", "4", "4.1", "4.2"}

// VersionOf is the version of that name: "3", "4" (which is 4.0), "4.1" or "4.2".
func VersionOf(name string) Version {
	return Version(max(0, slices.Index(versionNames[:], name)))
}

func (v Version) String() string {
	if int(v) < len(versionNames) {
		return versionNames[v]
	}
	return "unknown"
}

// minor is the number behind the point of versions 4.
func (v Version) minor() uint32 { return uint32(v - V40) }

// hasSession tells whether calls of the version need a session.
func (v Version) hasSession() bool { return v >= V41 }

// Dial opens a connection to a port of the server. The network is "tcp" or "udp".
type Dial func(ctx context.Context, network string, port uint16) (net.Conn, error)

// Target says what to ask.
type Target struct {
	Version Version
	// Export is the path that clients mount. "": version 3 is asked for NULL only,
	// versions 4 for the root of all that is exported.
	Export string
	// File is read after all; its path begins in the export. "": none.
	File string
	// Port is NFS's; 0: 2049.
	Port uint16
	// MountPort is that of MOUNT, for version 3; 0: rpcbind is asked.
	MountPort uint16
	// PortmapPort is that of rpcbind; 0: 111.
	PortmapPort uint16
	// UDP carries version 3 in datagrams.
	UDP bool
	// Machine is the client's name in its credential.
	Machine string
	// UID and GID are whom the file is read as.
	UID, GID uint32
}

// Bytes that are read of the file at most, and that an answer may have.
const (
	MaxRead   = 4 << 10
	maxAnswer = 64 << 10
)

// Step is one thing that was asked.
type Step struct {
	Name string // as the protocol calls it, in capitals; or "connect"
	Took time.Duration
	Err  error // in plain words
}

// Report is what a walk met.
type Report struct {
	Steps []Step // in order; only the last one can have failed
	Root  nfswire.Handle
	// FileSize is that of the file; Data are its first bytes, at most MaxRead.
	FileSize uint64
	Data     []byte
	// Changed is when the file was written last, by the server's clock.
	Changed time.Time
	// Lease is that of versions 4, Scope and Owner those of the session's server.
	Lease        time.Duration
	Scope, Owner string
}

// Err is why the walk ended early, or nil.
func (r Report) Err() error {
	if len(r.Steps) == 0 {
		return nil
	}
	return r.Steps[len(r.Steps)-1].Err
}

// Took is how long all steps took.
func (r Report) Took() (d time.Duration) {
	for _, s := range r.Steps {
		d += s.Took
	}
	return d
}

// Walk asks a server until a step fails or ctx ends. All its connections are
// closed when it returns.
func Walk(ctx context.Context, dial Dial, t Target) Report {
	t = t.complete()
	w := &walker{ctx: ctx, dial: dial, t: t}
	defer w.close()
	w.null()
	switch {
	case t.Version == V3 && t.Export != "":
		w.version3()
	case t.Version != V3:
		w.version4()
	}
	return w.report
}

// null connects to NFS and asks whether it offers the version.
func (w *walker) null() {
	w.nfs = w.open("NFS", w.network(), w.t.Port)
	program := uint32(4)
	if w.t.Version == V3 {
		program = 3
	}
	ask(w, "NULL", w.nfs, rpc.Null(rpc.ProgramNFS, program), explain("NULL", "NFS"))
}

// complete fills in what was left to the usual values.
func (t Target) complete() Target {
	if t.Port == 0 {
		t.Port = nfswire.PortNFS
	}
	if t.PortmapPort == 0 {
		t.PortmapPort = rpc.PortPortmap
	}
	if t.File != "" && t.Export == "" {
		t.Export = "/"
	}
	return t
}

// walker is one walk under way. After a failure every further step is nothing.
type walker struct {
	ctx    context.Context
	dial   Dial
	t      Target
	conns  []*rpc.Conn
	nfs    *rpc.Conn
	failed bool
	report Report
}

func (w *walker) close() {
	for _, c := range w.conns {
		c.Close()
	}
}

func (w *walker) network() string {
	if w.t.UDP {
		return "udp"
	}
	return "tcp"
}

// step does one thing, measures it and writes it down.
func (w *walker) step(name string, do func() error) {
	if w.failed {
		return
	}
	start := time.Now()
	err := do()
	w.failed = err != nil
	w.report.Steps = append(w.report.Steps, Step{name, time.Since(start), err})
}

// open connects to a port of the server.
func (w *walker) open(what, network string, port uint16) (c *rpc.Conn) {
	w.step("connect", func() error {
		conn, err := w.dial(w.ctx, network, port)
		if err != nil {
			return fmt.Errorf("%s, port %d: %w", what, port, rpc.Explain(w.ctx, err))
		}
		c = rpc.New(conn, rpc.AuthSys(w.t.Machine, w.t.UID, w.t.GID), maxAnswer)
		w.conns = append(w.conns, c)
		return nil
	})
	return c
}

// ask makes one call in a step of its own.
func ask[T any](w *walker, name string, c *rpc.Conn, call rpc.Call[T], explain func(error) error) (v T) {
	w.step(name, func() (err error) {
		v, err = rpc.Do(w.ctx, c, call)
		return explain(err)
	})
	return v
}

// names are the parts of a path.
func names(path string) (list []string) {
	for name := range strings.SplitSeq(path, "/") {
		if name != "" && name != "." {
			list = append(list, name)
		}
	}
	return list
}
