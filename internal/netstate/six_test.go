package netstate

import (
	"net/netip"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"fairlead/internal/model"
)

// A neighbour of IPv6 is found, kept, lost when nobody answers for it, and found again.
func TestNeighbourOfSix(t *testing.T) {
	s := newScene(t)
	within(t, s.ns, func() error {
		return os.WriteFile("/proc/sys/net/ipv6/neigh/eth0/retrans_time_ms", []byte("50"), 0)
	})
	near, home := address(t, "2001:db8::1/64"), address(t, "2001:db8::100/64")
	near.Flags, home.Flags = unix.IFA_F_NODAD, unix.IFA_F_NODAD
	do(t, s.handle.AddrAdd(s.eth0, near))
	nfs := netip.MustParseAddr("2001:db8::100")
	s.Keep([]netip.Addr{nfs}, nil)
	s.run(t)
	s.until(t, "that nobody answers", aNeighbour(model.Neighbour{Addr: nfs, Iface: "eth0", Failed: true}))
	do(t, s.peer.AddrAdd(s.farEth0, home))
	found := aNeighbour(model.Neighbour{Addr: nfs, Iface: "eth0", MAC: s.mac(t)})
	s.until(t, "its MAC", found)
	do(t, s.peer.AddrDel(s.farEth0, home))
	s.until(t, "that it fails", aNeighbour(model.Neighbour{Addr: nfs, Iface: "eth0", MAC: s.mac(t), Failed: true}))
	s.until(t, "that it is lost", aNeighbour(model.Neighbour{Addr: nfs, Iface: "eth0", Failed: true}))
	do(t, s.peer.AddrAdd(s.farEth0, home))
	s.until(t, "its MAC again", found)
}
