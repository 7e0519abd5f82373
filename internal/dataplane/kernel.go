package dataplane

import (
	"fmt"
	"io"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// version makes a kernel version comparable, as the kernel's own macro does.
func version(major, minor uint32) uint32 { return major<<16 | minor<<8 }

// setMultiBuffer lets XDP see jumbo frames in several buffers where the kernel
// can (5.18 and newer); older ones attach up to the page's size.
func setMultiBuffer(spec *ebpf.CollectionSpec) error {
	running, err := features.LinuxVersionCode()
	if err != nil {
		return fmt.Errorf("read the kernel's version: %w", err)
	}
	if running < version(5, 15) {
		return fmt.Errorf("the kernel %d.%d is too old: 5.15 is the oldest that works", running>>16, running>>8&0xff)
	}
	if running < version(5, 18) {
		spec.Programs[directorProgFairleadXdp].Flags &^= unix.BPF_F_XDP_HAS_FRAGS
		return nil
	}
	if err := spec.Variables[directorVarMultiBuffer].Set(uint8(1)); err != nil {
		return fmt.Errorf("set the multi-buffer option: %w", err)
	}
	return nil
}

// membarrierGlobal is MEMBARRIER_CMD_GLOBAL of linux/membarrier.h.
const membarrierGlobal = 1

// gracePeriod waits until every packet that was on its way when it was called
// has left the programme. MEMBARRIER_CMD_GLOBAL waits for an RCU grace period
// (membarrier(2)), and the programme runs inside an RCU read-side section.
func gracePeriod() error {
	if _, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, membarrierGlobal, 0, 0); errno != 0 {
		return fmt.Errorf("wait for an RCU grace period: membarrier: %w", errno)
	}
	return nil
}

// AttachPass attaches a programme that lets everything pass to an interface, in
// the driver. The far end of a veth needs one, or frames that XDP sends back
// never arrive.
func AttachPass(ifindex int) (io.Closer, error) {
	spec, err := loadDirector()
	if err != nil {
		return nil, fmt.Errorf("read the embedded programme: %w", err)
	}
	prog, err := ebpf.NewProgram(spec.Programs[directorProgFairleadPass])
	if err != nil {
		return nil, fmt.Errorf("load the passing programme: %w", err)
	}
	defer prog.Close()
	l, err := link.AttachXDP(link.XDPOptions{Program: prog, Interface: ifindex, Flags: link.XDPDriverMode})
	if err != nil {
		return nil, fmt.Errorf("attach the passing programme to interface %d: %w", ifindex, err)
	}
	return l, nil
}

// AttachUnwrap attaches a programme that unwraps what comes to an interface in a
// tunnel, IP in IP, for servers of the lab: not every kernel can.
func AttachUnwrap(ifindex int) (io.Closer, error) {
	spec, err := loadDirector()
	if err != nil {
		return nil, fmt.Errorf("read the embedded programme: %w", err)
	}
	prog, err := ebpf.NewProgram(spec.Programs[directorProgFairleadUnwrap])
	if err != nil {
		return nil, fmt.Errorf("load the unwrapping programme: %w", err)
	}
	defer prog.Close()
	l, err := link.AttachTCX(link.TCXOptions{Program: prog, Interface: ifindex, Attach: ebpf.AttachTCXIngress})
	if err != nil {
		return nil, fmt.Errorf("attach the unwrapping programme to interface %d: %w", ifindex, err)
	}
	return l, nil
}
