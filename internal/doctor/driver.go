package doctor

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"fairlead/internal/model"
)

// What the kernel says of a driver and XDP: the generic netlink family netdev, of
// Linux 6.3 and later (include/uapi/linux/netdev.h).
const (
	netdevGet      = 1 // NETDEV_CMD_DEV_GET
	netdevIfindex  = 1 // NETDEV_A_DEV_IFINDEX
	netdevFeatures = 3 // NETDEV_A_DEV_XDP_FEATURES

	xdpBasic   = 1 << 0 // NETDEV_XDP_ACT_BASIC
	xdpBuffers = 1 << 5 // NETDEV_XDP_ACT_RX_SG: frames in several buffers
)

// pageMost is the longest MTU that most drivers run XDP with where a frame must be in one
// page of 4 KiB with its room.
const pageMost = 3498

// Driver is what a driver can do with XDP.
type Driver struct {
	Native bool // it runs XDP
	Long   bool // also on frames longer than a page
}

// driverOf asks the kernel what the driver of an interface can do with XDP.
func driverOf(index int) (Driver, error) {
	family, err := netlink.GenlFamilyGet("netdev")
	if err != nil {
		return Driver{}, fmt.Errorf("this kernel does not say it (Linux 6.3 does): %w", err)
	}
	req := nl.NewNetlinkRequest(int(family.ID), 0)
	// Command, version, and two bytes that this family wants to be 0: nl.Genlmsg leaves them to chance.
	req.AddRawData([]byte{netdevGet, 1, 0, 0})
	req.AddRawData(nl.NewRtAttr(netdevIfindex, binary.NativeEndian.AppendUint32(nil, uint32(index))).Serialize())
	answers, err := req.Execute(unix.NETLINK_GENERIC, 0)
	if err != nil {
		return Driver{}, fmt.Errorf("ask the kernel: %w", err)
	}
	for _, b := range answers {
		if len(b) < nl.SizeofGenlmsg {
			continue
		}
		attrs, err := nl.ParseRouteAttr(b[nl.SizeofGenlmsg:])
		if err != nil {
			return Driver{}, fmt.Errorf("read the kernel's answer: %w", err)
		}
		for _, a := range attrs {
			if a.Attr.Type == netdevFeatures && len(a.Value) >= 8 {
				features := binary.NativeEndian.Uint64(a.Value)
				return Driver{features&xdpBasic != 0, features&xdpBuffers != 0}, nil
			}
		}
	}
	return Driver{}, errors.New("the kernel does not say it of this interface")
}

// xdp says what is slow, or will be once the data plane is attached, for want of the
// driver.
func (j *judge) xdp(l Link) {
	if l.Virtual {
		return
	}
	lower := fmt.Sprintf("lower the MTU (most drivers run XDP up to %d): ip link set dev %s mtu 1500; or use another card", pageMost, l.Name)
	switch can := l.XDP.Value; {
	case l.Generic:
		j.find(model.FindXDP, fmt.Sprintf("XDP runs in generic mode on %s (driver %s, MTU %d)", l.Name, l.Driver, l.MTU),
			"Every packet costs several times as much: the driver lacks XDP, or not for this MTU.", lower)
	case !l.XDP.Known:
		j.miss(l.XDP.Because, "whether the driver of %s runs XDP with an MTU of %d", l.Name, l.MTU)
	case !can.Native:
		j.find(model.FindXDP, fmt.Sprintf("the driver of %s (%s) does not run XDP", l.Name, l.Driver),
			"The data plane runs in a mode in which every packet costs several times as much.", "use another card")
	case !can.Long && l.MTU > pageMost:
		j.find(model.FindXDP, fmt.Sprintf("the driver of %s (%s) runs XDP on frames of one page only, and its MTU is %d", l.Name, l.Driver, l.MTU),
			"It will refuse the data plane, which then runs in a mode in which every packet costs several times as much.", lower)
	}
}
