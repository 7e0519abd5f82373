package nfswalk

import (
	"crypto/rand"

	"fairlead/internal/nfswire"
	"fairlead/internal/rpc"
)

// session is a session of NFSv4.1 and later; before, it is nothing.
type session struct {
	client nfswire.Introduced
	id     nfswire.SessionID
	calls  uint32
	open   bool
}

// version4 looks the export up, asks for its attributes, and reads the file.
func (w *walker) version4() {
	var s session
	defer func() { w.end(&s) }()
	w.begin(&s)
	ops := []nfswire.Op{nfswire.PutRootFH()}
	for _, name := range names(w.t.Export) {
		ops = append(ops, nfswire.LookupOp(name))
	}
	w.compound(&s, "LOOKUP", w.export(), append(ops, nfswire.GetFH(&w.report.Root))...)
	var root nfswire.Attr4
	w.compound(&s, "GETATTR", w.export(), nfswire.PutFH(w.report.Root), nfswire.GetAttrOp(&root))
	w.must(root.Type, nfswire.TypeDirectory)
	w.report.Lease = root.Lease
	if w.t.File == "" || w.failed {
		return
	}
	ops = []nfswire.Op{nfswire.PutFH(w.report.Root)}
	for _, name := range names(w.t.File) {
		ops = append(ops, nfswire.LookupOp(name))
	}
	var h nfswire.Handle
	var a nfswire.Attr4
	w.compound(&s, "LOOKUP", w.file(), append(ops, nfswire.GetFH(&h), nfswire.GetAttrOp(&a))...)
	w.must(a.Type, nfswire.TypeFile)
	var data nfswire.Data
	// What bypasses locks is served in the grace period, too.
	w.compound(&s, "READ", w.file(), nfswire.PutFH(h), nfswire.ReadOp(nfswire.Bypass, 0, MaxRead, &data))
	w.report.FileSize, w.report.Changed, w.report.Data = a.Size, a.Mtime, data.Bytes
}

// compound makes one call in a step of its own.
func (w *walker) compound(s *session, name, what string, ops ...nfswire.Op) {
	if s.open {
		s.calls++
		ops = append([]nfswire.Op{nfswire.Sequence(s.id, s.calls)}, ops...)
	}
	ask(w, name, w.nfs, nfswire.Compound(w.t.Version.minor(), ops...), explain(name, what))
}

// begin makes a session where the version needs one. Each walk is a client of its
// own, so that two at once do not end each other's session.
func (w *walker) begin(s *session) {
	if !w.t.Version.hasSession() {
		return
	}
	who := nfswire.Identity{Owner: []byte("fairlead " + w.t.Machine + " " + rand.Text())}
	rand.Read(who.Verifier[:])
	w.compound(s, "EXCHANGE_ID", "a client", nfswire.ExchangeID(who, &s.client))
	w.report.Scope, w.report.Owner = s.client.Scope, s.client.Owner
	w.compound(s, "CREATE_SESSION", "a session", nfswire.CreateSession(s.client, &s.id))
	s.open = !w.failed
}

// end takes the session back. What it cannot take back ends with the lease.
func (w *walker) end(s *session) {
	if !s.open {
		return
	}
	for _, op := range []nfswire.Op{nfswire.DestroySession(s.id), nfswire.DestroyClient(s.client.ClientID)} {
		if _, err := rpc.Do(w.ctx, w.nfs, nfswire.Compound(w.t.Version.minor(), op)); err != nil {
			return
		}
	}
}
