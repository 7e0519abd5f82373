package config

import (
	"math"
	"slices"
	"strconv"

	"fairlead/internal/model"
)

// nfsVersions are those that nfscheck can ask for; the first is the default.
var nfsVersions = []string{"3", "4", "4.1", "4.2"}

// rpcSetting reads a setting of rpccheck or nfscheck.
func (r *directorReader) rpcSetting(t *model.Test, s setting) {
	switch s.name.Text {
	case "program":
		t.Program = r.program(s.value)
	case "version":
		r.version(t, s.value)
	case "udp":
		t.UDP = true
	case "tcp":
		r.protocol = s.name
	case "export":
		if s.value.Text == "/" || r.path(s.value, "export", "/srv/") {
			t.Export = s.value.Text
		}
	case "file":
		if r.path(s.value, "file", "/") {
			t.File = s.value.Text
		}
	}
}

// program reads the name or the number of an RPC programme.
func (r *directorReader) program(w Word) uint32 {
	var names []string
	for _, p := range model.RPCPrograms() {
		if names = append(names, p.Name); p.Name == w.Text {
			return p.Number
		}
	}
	n, err := strconv.ParseUint(w.Text, 10, 32)
	if err != nil || n == 0 {
		r.fail(w, expected(w.Text, append(names, "its number")), "unknown RPC programme %s", quote(w.Text))
	}
	return uint32(n)
}

func (r *directorReader) version(t *model.Test, w Word) {
	switch {
	case t.Kind == model.CheckNFS && !slices.Contains(nfsVersions, w.Text):
		r.fail(w, "expected "+either(nfsVersions), "unknown version %s of NFS", quote(w.Text))
	case t.Kind == model.CheckRPC:
		r.number(w, "version", 0, math.MaxInt32)
	}
	t.Version = w.Text
}

// completeRPC fills in the version of a programme that is known.
func (r *directorReader) completeRPC(w Word, t *model.Test) {
	tcp := r.protocol
	r.protocol = Word{}
	if t.UDP && tcp.Text != "" {
		r.fail(tcp, "write one of them, or one line for each", "rpccheck asks by udp or by tcp, not by both")
	}
	if t.Program == 0 {
		if len(r.diags) == r.wrong {
			r.fail(w, "for example option rpccheck program nfs", "%s needs a programme", quote(w.Text))
		}
		return
	}
	for _, p := range model.RPCPrograms() {
		if p.Number == t.Program && t.Version == "" {
			t.Version = strconv.FormatUint(uint64(p.Version), 10)
		}
	}
	if t.Version == "" {
		r.fail(w, "write version 1, or the one that it has", "rpccheck needs the version of programme %d", t.Program)
	}
}
