package doctor

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"fairlead/internal/model"
	"fairlead/internal/nfswire"
	"fairlead/internal/rpc"
)

// nfs judges what concerns one server's NFS alone.
func (j *judge) nfs(s Server) {
	n := s.NFS
	if n == nil {
		return
	}
	for _, trouble := range n.Trouble {
		j.find(model.FindNFS, fmt.Sprintf("NFS of %s does not work: %s", s.Name, trouble),
			"Its port accepts connections, so a check of the port passes; clients that are moved to it wait.",
			fmt.Sprintf("on %s: systemctl status nfs-server; exportfs -v; and make the check an nfscheck", s.Name))
	}
	if len(n.Trouble) > 0 {
		return
	}
	if n.Three.Value {
		j.missed = append(j.missed, nfsMissed(s.Name, n)...)
	}
	if n.Four.Value && !n.Identity.Known {
		j.miss(n.Identity.Because, "who %s says that it is in NFSv4.1", s.Name)
	}
}

// nfsMissed is what of version 3 was not looked at.
func nfsMissed(server string, n *NFS) (list []model.Unseen) {
	if !n.Exports.Known {
		list = append(list, model.Unseen{What: "the exports of " + server, Because: n.Exports.Because})
	}
	if !n.Programs.Known {
		list = append(list, model.Unseen{What: "the ports that rpcbind of " + server + " knows", Because: n.Programs.Because})
	}
	for _, path := range n.Hidden {
		list = append(list, model.Unseen{What: fmt.Sprintf("the file handle of %s on %s", path, server),
			Because: "the server does not let this director mount it: add the director to its clients, read-only"})
	}
	return list
}

// compare judges what must be equal on all servers: each is held against the first.
func (j *judge) compare(servers []Server) {
	var first *Server
	for i := range servers {
		s := &servers[i]
		if s.NFS == nil || len(s.NFS.Trouble) > 0 {
			continue
		}
		if first == nil {
			first = s
			continue
		}
		j.server = s.Name
		j.versions(first, s)
		if first.NFS.Three.Value && s.NFS.Three.Value {
			j.ports(first, s)
			j.groups(first, s)
		}
		j.exports(first, s)
		j.handles(first, s)
		if first.NFS.Four.Value && s.NFS.Four.Value {
			j.identity(first, s)
		}
		j.server = ""
	}
}

func (j *judge) versions(a, b *Server) {
	offers := func(n *NFS) string {
		switch {
		case n.Three.Value && n.Four.Value:
			return "versions 3 and 4"
		case n.Three.Value:
			return "version 3 only"
		case n.Four.Value:
			return "version 4 only"
		}
		return "no version that Fairlead knows"
	}
	if offers(a.NFS) != offers(b.NFS) {
		j.find(model.FindVersions, fmt.Sprintf("%s offers NFS %s, %s %s", b.Name, offers(b.NFS), a.Name, offers(a.NFS)),
			"A client keeps the version that it mounted with: after a failover it is refused.",
			"make both equal in /etc/nfs.conf, section [nfsd]: vers3=, vers4=; and restart nfs-server")
	}
}

// ports compares what both servers' rpcbinds know of NFS's programmes.
func (j *judge) ports(a, b *Server) {
	if !a.NFS.Programs.Known || !b.NFS.Programs.Known {
		if a.NFS.Programs.Known != b.NFS.Programs.Known {
			j.find(model.FindPorts, fmt.Sprintf("rpcbind answers on one server only: %s%s", reason(a), reason(b)),
				"A client of NFSv3 asks it for the port of MOUNT.", "start rpcbind on both servers: systemctl enable --now rpcbind")
		}
		return
	}
	at, bt := table(a.NFS.Programs.Value), table(b.NFS.Programs.Value)
	var differ []string
	for _, name := range slices.Sorted(maps.Keys(union(at, bt))) {
		if at[name] != bt[name] {
			differ = append(differ, fmt.Sprintf("%s %s on %s and %s on %s", name, at[name], a.Name, bt[name], b.Name))
		}
	}
	for i, d := range differ {
		differ[i] = strings.ReplaceAll(d, "  on", " not on")
	}
	if len(differ) > 0 {
		j.find(model.FindPorts, "the servers' ports differ: "+strings.Join(differ, "; "),
			"Clients remember the ports: after a failover their locks and mounts go to a port where nothing listens.",
			"on both: fairlead realserver setup --vip ADDR --persist --nfs-ports")
	}
}

func reason(s *Server) string {
	if s.NFS.Programs.Known {
		return ""
	}
	return fmt.Sprintf("%s: %s", s.Name, s.NFS.Programs.Because)
}

// compared are the programmes whose ports must be equal.
var compared = []uint32{rpc.ProgramNFS, rpc.ProgramMount, rpc.ProgramNLM, rpc.ProgramStatus}

// table writes the ports of each programme, for TCP and UDP, in a comparable form.
func table(list []rpc.Mapping) map[string]string {
	ports := map[string][]string{}
	for _, m := range list {
		if !slices.Contains(compared, m.Program) || m.Protocol != rpc.TCP && m.Protocol != rpc.UDP {
			continue
		}
		name := rpc.ProgramName(m.Program) + " over TCP"
		if m.Protocol == rpc.UDP {
			name = rpc.ProgramName(m.Program) + " over UDP"
		}
		if port := fmt.Sprint(m.Port); !slices.Contains(ports[name], port) {
			ports[name] = append(ports[name], port)
		}
	}
	t := map[string]string{}
	for name, list := range ports {
		slices.Sort(list)
		t[name] = "at port " + strings.Join(list, " and ")
	}
	return t
}

func union[V any](a, b map[string]V) map[string]V {
	all := maps.Clone(a)
	if all == nil {
		all = map[string]V{}
	}
	maps.Copy(all, b)
	return all
}

// groups compares to whom both servers export what both export.
func (j *judge) groups(a, b *Server) {
	at, bt := groups(a.NFS.Exports.Value), groups(b.NFS.Exports.Value)
	for _, path := range slices.Sorted(maps.Keys(at)) {
		if to, ok := bt[path]; ok && to != at[path] {
			j.find(model.FindExports, fmt.Sprintf("%s exports %s to %s, %s to %s", b.Name, path, to, a.Name, at[path]),
				"After a failover some clients are refused.", "make /etc/exports equal on both servers; exportfs -ra")
		}
	}
}

// paths are what a server exports, with the version behind each path.
func paths(n *NFS, three, four bool) map[string]bool {
	all := map[string]bool{}
	if three {
		for _, x := range n.Exports.Value {
			all[x.Path+" (NFSv3)"] = true
		}
	}
	if four {
		for path := range n.Roots4.Value {
			all[path+" (NFSv4)"] = true
		}
	}
	return all
}

// exports compares what both servers export, in the versions that both offer.
func (j *judge) exports(a, b *Server) {
	three := a.NFS.Three.Value && b.NFS.Three.Value && a.NFS.Exports.Known && b.NFS.Exports.Known
	four := a.NFS.Four.Value && b.NFS.Four.Value && a.NFS.Roots4.Known && b.NFS.Roots4.Known
	at, bt := paths(a.NFS, three, four), paths(b.NFS, three, four)
	j.lacks(a.Name, b.Name, at, bt)
	j.lacks(b.Name, a.Name, bt, at)
}

// lacks tells what one server does not export and the other does.
func (j *judge) lacks(one, other string, have, want map[string]bool) {
	var missing []string
	for _, path := range slices.Sorted(maps.Keys(want)) {
		if !have[path] {
			missing = append(missing, path)
		}
	}
	if len(missing) == 0 {
		return
	}
	defer func(before string) { j.server = before }(j.server)
	j.server = one
	j.find(model.FindExports, fmt.Sprintf("%s does not export %s to this director, %s does", one, strings.Join(missing, ", "), other),
		"After a failover clients of it get \"no such file\" or a stale file handle.",
		fmt.Sprintf("make /etc/exports equal on both servers; on %s: exportfs -ra", one))
}

// groups are the exports with those to whom they are exported.
func groups(list []nfswire.Export) map[string]string {
	m := map[string]string{}
	for _, x := range list {
		to := slices.Sorted(slices.Values(x.Groups))
		m[x.Path] = strings.Join(to, ", ")
		if len(to) == 0 {
			m[x.Path] = "all"
		}
	}
	return m
}

// handles compares the root handles of all exports, byte by byte.
func (j *judge) handles(a, b *Server) {
	var differ []string
	for _, v := range []struct {
		name string
		a, b map[string]nfswire.Handle
	}{{" (NFSv3)", a.NFS.Roots3.Value, b.NFS.Roots3.Value}, {" (NFSv4)", a.NFS.Roots4.Value, b.NFS.Roots4.Value}} {
		for _, path := range slices.Sorted(maps.Keys(v.a)) {
			if h, ok := v.b[path]; ok && h != v.a[path] {
				differ = append(differ, path+v.name)
			}
		}
	}
	if len(differ) > 0 {
		j.find(model.FindHandles, fmt.Sprintf("the root file handle of %s on %s is another one than on %s", strings.Join(differ, ", "), b.Name, a.Name),
			"A client keeps the handle that it mounted with: after a failover every access ends in \"stale file handle\".",
			"give each export one fsid on both servers: in /etc/exports fsid=N, in nfs-ganesha Export_Id and Filesystem_id; then exportfs -ra, or restart the server that serves no clients")
	}
}

// identity compares leases, and who the servers say that they are.
func (j *judge) identity(a, b *Server) {
	if a.NFS.Lease.Known && b.NFS.Lease.Known && a.NFS.Lease.Value != b.NFS.Lease.Value {
		j.find(model.FindLease, fmt.Sprintf("the lease of %s is %v, that of %s is %v", b.Name, b.NFS.Lease.Value.Round(time.Second), a.Name, a.NFS.Lease.Value.Round(time.Second)),
			"After a failover clients renew by the lease that they learnt: with a shorter one their locks are lost.",
			"make both equal in /etc/nfs.conf, section [nfsd]: lease-time=, grace-time=; and restart nfs-server")
	}
	if !a.NFS.Identity.Known || !b.NFS.Identity.Known || a.NFS.Identity.Value == b.NFS.Identity.Value {
		return
	}
	x, y := a.NFS.Identity.Value, b.NFS.Identity.Value
	what := fmt.Sprintf("the server scope of NFSv4.1 is %q on %s and %q on %s", text(y.Scope), b.Name, text(x.Scope), a.Name)
	if x.Scope == y.Scope {
		what = fmt.Sprintf("the server owner of NFSv4.1 is %q on %s and %q on %s", text(y.Owner), b.Name, text(x.Owner), a.Name)
	}
	j.find(model.FindIdentity, what,
		"After a failover clients think that they met a server that knows nothing of their opens and locks, and do not reclaim them.",
		"give both one scope: for the kernel's server with nfs-utils 2.6 or newer scope= in /etc/nfs.conf, section [nfsd]; in nfs-ganesha Server_Scope and Server_Owner; and restart the server that serves no clients")
}

// text is a name without the zeros that some servers end it with.
func text(name string) string { return strings.TrimRight(name, "\x00") }
