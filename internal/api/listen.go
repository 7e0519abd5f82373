package api

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// ErrBusy means that another daemon answers on the socket.
var ErrBusy = errors.New("another daemon answers there")

// Listen opens the control socket, readable and writable for its owner only. A
// socket that a dead daemon left is replaced; a live one is an ErrBusy.
func Listen(path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("make the directory of the control socket: %w", err)
	}
	if err := checkFree(path); err != nil {
		return nil, err
	}
	// The socket gets its mode under another name: at no instant could
	// somebody else have opened it under its own.
	fresh := fmt.Sprintf("%s.%d", path, os.Getpid())
	if err := os.Remove(fresh); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove the leftover socket %s: %w", fresh, err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: fresh, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen on the control socket %s: %w", path, err)
	}
	l.SetUnlinkOnClose(false)
	if err := place(fresh, path); err != nil {
		return nil, errors.Join(err, l.Close(), os.Remove(fresh))
	}
	return &listener{UnixListener: l, path: path}, nil
}

func place(fresh, path string) error {
	if err := os.Chmod(fresh, 0o600); err != nil {
		return fmt.Errorf("restrict the control socket to its owner: %w", err)
	}
	if err := os.Rename(fresh, path); err != nil {
		return fmt.Errorf("place the control socket: %w", err)
	}
	return nil
}

// checkFree tells whether the path may be taken: nothing is there, or a socket
// on which nobody listens.
func checkFree(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at the control socket: %w", err)
	}
	if info.Mode()&os.ModeSocket == 0 {
		return fmt.Errorf("take %s for the control socket: it is something else; remove it, or choose another path with --socket", path)
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		return errors.Join(fmt.Errorf("take the control socket %s: %w; stop it first, or choose another path with --socket", path, ErrBusy), conn.Close())
	}
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return fmt.Errorf("ask who listens on the control socket: %w", err)
}

// A listener removes its socket when it is closed.
type listener struct {
	*net.UnixListener
	path string
}

func (l *listener) Close() error {
	if err := l.UnixListener.Close(); err != nil {
		return err // closed before: the path may be another daemon's by now
	}
	if err := os.Remove(l.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
