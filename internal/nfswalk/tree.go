package nfswalk

import (
	"context"
	"path"

	"fairlead/internal/nfswire"
	"fairlead/internal/rpc"
)

// How far Tree looks: into how many directories, and how deep.
const (
	maxDirs  = 64
	maxDepth = 6
)

// Tree asks a server of version 4 for the root handles of all that it exports, by
// the paths that clients mount; the root of them all, "/", is one of them. What is
// inside an export is left alone. The report is that of a walk to the root.
func Tree(ctx context.Context, dial Dial, t Target) (roots map[string]nfswire.Handle, r Report) {
	t.Export, t.File = "", ""
	t = t.complete()
	w := &walker{ctx: ctx, dial: dial, t: t}
	defer w.close()
	w.nfs = w.open("NFS", w.network(), t.Port)
	var s session
	defer func() { w.end(&s) }()
	w.begin(&s)
	var root nfswire.Attr4
	w.compound(&s, "GETATTR", w.export(), nfswire.PutRootFH(), nfswire.GetFH(&w.report.Root), nfswire.GetAttrOp(&root))
	w.report.Lease = root.Lease
	roots = map[string]nfswire.Handle{}
	if !w.failed {
		roots["/"] = w.report.Root
		w.descend(&s, roots, root.FSID)
	}
	return roots, w.report
}

// place is a directory above the exports.
type place struct {
	path  string
	depth int
	at    nfswire.Handle
}

// descend looks below the root for directories of another file system: each is an
// export. The first one that cannot be read ends it.
func (w *walker) descend(s *session, roots map[string]nfswire.Handle, fsid [2]uint64) {
	todo := []place{{"/", 0, w.report.Root}}
	for looked := 0; len(todo) > 0 && looked < maxDirs && !w.failed; looked++ {
		p := todo[0]
		todo = todo[1:]
		var list []nfswire.Entry
		var whole bool
		w.compound(s, "READDIR", "the directory "+p.path+" above the exports", nfswire.PutFH(p.at), nfswire.ReadDirOp(&list, &whole))
		if !whole {
			continue // too many for a place above exports: it is an export itself
		}
		for _, e := range list {
			name := path.Join(p.path, e.Name)
			switch {
			case e.Type != nfswire.TypeDirectory || e.Handle == "":
			case e.FSID != fsid:
				roots[name] = e.Handle
			case p.depth < maxDepth:
				todo = append(todo, place{name, p.depth + 1, e.Handle})
			}
		}
	}
}

// Dump asks a server's rpcbind for its list.
func Dump(ctx context.Context, dial Dial, t Target) ([]rpc.Mapping, error) {
	t = t.complete()
	w := &walker{ctx: ctx, dial: dial, t: t}
	defer w.close()
	c := w.open("rpcbind", "tcp", t.PortmapPort)
	list := ask(w, "DUMP", c, rpc.Dump(), explain("DUMP", "rpcbind's list"))
	return list, w.report.Err()
}

// Exports asks a server's mountd for its list of exports.
func Exports(ctx context.Context, dial Dial, t Target) ([]nfswire.Export, error) {
	t = t.complete()
	w := &walker{ctx: ctx, dial: dial, t: t}
	defer w.close()
	mountd := w.open("mountd", "tcp", w.mountPort(rpc.TCP))
	list := ask(w, "EXPORT", mountd, nfswire.Exports(), explain("EXPORT", "the list of exports"))
	return list, w.report.Err()
}

// Careless tells whether a server says that it offers a version which does not exist.
// Then its word on other versions is worth nothing.
func Careless(ctx context.Context, dial Dial, t Target) bool {
	t = t.complete()
	w := &walker{ctx: ctx, dial: dial, t: t}
	defer w.close()
	c := w.open("NFS", "tcp", t.Port)
	ask(w, "NULL", c, rpc.Null(rpc.ProgramNFS, noVersion), explain("NULL", "NFS"))
	return w.report.Err() == nil
}

// noVersion is a version of NFS that does not exist.
const noVersion = 99

// Offers tells whether a server offers a version of NFS: nil, that it does; a
// *rpc.Refusal, that it does not; else why that is not known.
func Offers(ctx context.Context, dial Dial, t Target) error {
	t = t.complete()
	w := &walker{ctx: ctx, dial: dial, t: t}
	defer w.close()
	w.null()
	return w.report.Err()
}
