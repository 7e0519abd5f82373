package freshness

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path"
	"syscall"

	"golang.org/x/sys/unix"

	"fairlead/internal/model"
	"fairlead/internal/nfswalk"
	"fairlead/internal/nfswire"
	"fairlead/internal/rpc"
)

// files are the heartbeat files of servers.
type files interface {
	read(ctx context.Context, t Target, s model.Server) (size uint64, held []byte, err error)
	update(ctx context.Context, t Target, s model.Server, next nfswalk.Next) error
}

// network reaches them by NFS.
type network struct{ machine string }

func (n network) read(ctx context.Context, t Target, s model.Server) (size uint64, held []byte, err error) {
	r := nfswalk.Walk(ctx, dialer{s.Addr, t.Source}.dial, n.target(t))
	return r.FileSize, r.Data, explain(r.Err(), t)
}

func (n network) update(ctx context.Context, t Target, s model.Server, next nfswalk.Next) error {
	return explain(nfswalk.Update(ctx, dialer{s.Addr, t.Source}.dial, n.target(t), next).Err(), t)
}

func (n network) target(t Target) nfswalk.Target {
	w := nfswalk.Target{Version: nfswalk.VersionOf(t.Sync.Version), Export: t.Sync.Export, File: t.Sync.File, Port: t.Sync.Port, Machine: n.machine}
	if w.Export == "" {
		w.Export, w.File = path.Split(t.Sync.File)
		w.Export = path.Clean(w.Export)
	}
	return w
}

// explain says what to do where the cause is usual.
func explain(err error, t Target) error {
	var refused *rpc.Refusal
	switch {
	case errors.As(err, &refused) && refused.Low > 0:
		return fmt.Errorf("%w: say which with synccheck version", err)
	case errors.Is(err, nfswire.StatusNoEntry) && nfswalk.VersionOf(t.Sync.Version) != nfswalk.V3:
		return fmt.Errorf("%w: with version %s it must be made once on the active server: install -o nobody -g nogroup -m 644 /dev/null FILE", err, t.Sync.Version)
	case errors.Is(err, nfswire.StatusReadOnly):
		return fmt.Errorf("%w: the director needs a directory that it may write to", err)
	case errors.Is(err, nfswire.StatusAccess), errors.Is(err, nfswire.StatusNotOwner):
		return fmt.Errorf("%w: with root_squash the director is nobody there: install -d -o nobody -g nogroup %s", err, path.Join(t.Sync.Export, path.Dir(t.Sync.File)))
	}
	return err
}

// dialer opens connections to one server, from ports that only root may take: many
// servers believe no other one. They are ended by a reset, so that no such port waits in
// TIME_WAIT.
type dialer struct{ to, from netip.Addr }

func (d dialer) dial(ctx context.Context, network string, port uint16) (net.Conn, error) {
	return rpc.Privileged(func(local uint16) (net.Conn, error) {
		from := netip.AddrPortFrom(netip.IPv4Unspecified(), local)
		if d.from.IsValid() {
			from = netip.AddrPortFrom(d.from, local)
		}
		dial := net.Dialer{KeepAlive: -1, LocalAddr: net.TCPAddrFromAddrPort(from), Control: linger}
		return dial.DialContext(ctx, network, netip.AddrPortFrom(d.to, port).String())
	})
}

func linger(_, _ string, raw syscall.RawConn) error {
	var failed error
	err := raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptLinger(int(fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	})
	return errors.Join(err, failed)
}
