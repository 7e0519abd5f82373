package topology

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ethtoolValue is the kernel's struct ethtool_value.
type ethtoolValue struct{ cmd, data uint32 }

// ethtoolRequest is the kernel's struct ifreq with its data pointer.
type ethtoolRequest struct {
	name [unix.IFNAMSIZ]byte
	data unsafe.Pointer
	_    [16]byte // the rest of the kernel's union
}

// checksumOff makes the kernel complete transport checksums before it hands
// frames to the interface, as "ethtool -K NAME tx off" does.
func checksumOff(name string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open a socket for ethtool: %w", err)
	}
	defer unix.Close(fd)
	value := &ethtoolValue{cmd: unix.ETHTOOL_STXCSUM}
	var pin runtime.Pinner
	pin.Pin(value)
	defer pin.Unpin()
	request := &ethtoolRequest{data: unsafe.Pointer(value)}
	copy(request.name[:unix.IFNAMSIZ-1], name)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(request)))
	if errno != 0 {
		return fmt.Errorf("switch checksum offload of %s off: %w", name, errno)
	}
	return nil
}
