package nfswalk

import (
	"fmt"

	"fairlead/internal/nfswire"
	"fairlead/internal/rpc"
)

// version3 mounts the export, asks for its root's attributes, and reads the file.
func (w *walker) version3() {
	w.mount()
	root := ask(w, "GETATTR", w.nfs, nfswire.GetAttr(w.report.Root), explain("GETATTR", w.export()))
	w.must(root.Type, nfswire.TypeDirectory)
	if w.t.File == "" || w.failed {
		return
	}
	h := w.report.Root
	for _, name := range names(w.t.File) {
		h = ask(w, "LOOKUP", w.nfs, nfswire.Lookup(h, name), explain("LOOKUP", w.file()))
	}
	a := ask(w, "GETATTR", w.nfs, nfswire.GetAttr(h), explain("GETATTR", w.file()))
	w.must(a.Type, nfswire.TypeFile)
	data := ask(w, "READ", w.nfs, nfswire.Read(h, 0, MaxRead), explain("READ", w.file()))
	w.report.FileSize, w.report.Changed, w.report.Data = a.Size, a.Mtime, data.Bytes
}

// mount asks MOUNT for the export's root, and takes back what that left there.
func (w *walker) mount() {
	protocol := uint32(rpc.TCP)
	if w.t.UDP {
		protocol = rpc.UDP
	}
	port := w.mountPort(protocol)
	mountd := w.open("mountd", w.network(), port)
	mounted := ask(w, "MOUNT", mountd, nfswire.Mount(w.t.Export), explain("MOUNT", w.export()))
	w.report.Root = mounted.Root
	ask(w, "UMNT", mountd, nfswire.Unmount(w.t.Export), explain("UMNT", w.export()))
}

// mountPort is the port of MOUNT: the known one, or what rpcbind says.
func (w *walker) mountPort(protocol uint32) uint16 {
	if w.t.MountPort != 0 {
		return w.t.MountPort
	}
	portmap := w.open("rpcbind", w.network(), w.t.PortmapPort)
	port := ask(w, "GETPORT", portmap, rpc.GetPort(rpc.ProgramMount, 3, protocol), explain("GETPORT", "mountd"))
	w.check(port == 0, "rpcbind knows no mountd of version 3 over %s", w.network())
	return port
}

// must fails the last step when the type of what it found is another one.
func (w *walker) must(got, want uint32) {
	what, kind := w.file(), "a regular file"
	if want == nfswire.TypeDirectory {
		what, kind = w.export(), "a directory"
	}
	w.check(got != want, "%s is not %s", what, kind)
}

// check fails the last step when bad is true.
func (w *walker) check(bad bool, format string, args ...any) {
	if bad && !w.failed {
		w.failed = true
		w.report.Steps[len(w.report.Steps)-1].Err = fmt.Errorf(format, args...)
	}
}
