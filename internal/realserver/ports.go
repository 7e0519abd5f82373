package realserver

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"fairlead/internal/rpc"
)

// programRquotad is not among those that a director asks for.
const programRquotad = 100011

// pinned is where a service listens that was given its port.
type pinned struct {
	name     string
	program  uint32
	tcp, udp int
	restart  string
}

func pinnedPorts() []pinned {
	p := nfsPorts
	return []pinned{
		{"mountd", rpc.ProgramMount, p.mountd, p.mountd, "systemctl restart nfs-mountd"},
		{"statd", rpc.ProgramStatus, p.statd, p.statd, "systemctl restart rpc-statd"},
		{"lockd", rpc.ProgramNLM, p.lockd, p.lockdUDP, "systemctl restart rpc-statd nfs-server, with no NFS file system mounted here"},
		{"rquotad", programRquotad, p.rquotad, p.rquotad, "systemctl restart quotarpc (rpc-rquotad in Red Hat's kin)"},
	}
}

// askTime limits what rpcbind on this machine may take.
const askTime = 2 * time.Second

// services asks rpcbind here who listens where.
func (running) services() ([]rpc.Mapping, error) {
	ctx, cancel := context.WithTimeout(context.Background(), askTime)
	defer cancel()
	at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), rpc.PortPortmap)
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", at.String())
	if err != nil {
		return nil, err
	}
	c := rpc.New(conn, rpc.Credential{}, 1<<20)
	defer c.Close()
	return rpc.Do(ctx, c, rpc.Dump())
}

// judgePorts tells whether the NFS services have the ports that they were given.
func judgePorts(list []rpc.Mapping, err error) []Finding {
	const why = "after a switch a client asks the new server on the old one's port; and they take their ports only when they start"
	if err != nil {
		return []Finding{{"ports", Warning, fmt.Sprintf("no rpcbind answers here, so the ports of the NFS services are not known (%v)", err),
			"NFSv3 clients find nothing here", "start the NFS server: systemctl start rpcbind nfs-server"}}
	}
	var wrong []Finding
	right := 0
	for _, p := range pinnedPorts() {
		for _, way := range []struct {
			name     string
			protocol uint32
			want     int
		}{{"TCP", rpc.TCP, p.tcp}, {"UDP", rpc.UDP, p.udp}} {
			var ports []int // one for each, whatever the versions
			for _, m := range list {
				if m.Program == p.program && m.Protocol == way.protocol && !slices.Contains(ports, int(m.Port)) {
					ports = append(ports, int(m.Port))
				}
			}
			for _, port := range ports {
				if port == way.want {
					right++
					continue
				}
				wrong = append(wrong, Finding{"ports", Wrong, fmt.Sprintf("%s listens on %s port %d, not on %d", p.name, way.name, port, way.want), why, p.restart})
			}
		}
	}
	if len(wrong) == 0 {
		return []Finding{{Check: "ports", What: fmt.Sprintf("NFS services that listen on the ports that they were given: %d", right)}}
	}
	return wrong
}
