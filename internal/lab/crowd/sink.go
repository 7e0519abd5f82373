package crowd

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// sink is a listener's descriptor.
type sink int

// Listen takes connections to a port, in the network namespace of the calling
// thread, until it is closed. They stand in the kernel's queue and are never
// taken out of it, so they cost no descriptor; net.core.somaxconn limits them.
func Listen(port, connections int) (io.Closer, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("listen on port %d: %w", port, err)
	}
	err = unix.Bind(fd, &unix.SockaddrInet4{Port: port})
	if err == nil {
		err = unix.Listen(fd, connections)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listen on port %d: %w", port, err), unix.Close(fd))
	}
	return sink(fd), nil
}

func (s sink) Close() error { return unix.Close(int(s)) }
