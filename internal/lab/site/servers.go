package site

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"fairlead/internal/lab/outcome"
	"fairlead/internal/lab/workload"
	"fairlead/internal/nfs"
	"fairlead/internal/nfsd"
	"fairlead/internal/topology"
)

// exportID is the same on both servers: it is part of every file handle.
const exportID = "77"

// startServers starts an NFS server on both hosts, over one directory, and
// waits until they answer.
func (s *Site) startServers(ctx context.Context) error {
	s.Serving = make([]*topology.Process, len(s.Servers))
	for i := range s.Servers {
		if err := s.serve(i); err != nil {
			return err
		}
	}
	for i := range s.Servers {
		if err := s.served(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// served waits until a host's NFS server answers.
func (s *Site) served(ctx context.Context, i int) error {
	h := s.Servers[i]
	return s.ready(ctx, h, s.Serving[i], func(ctx context.Context) error { return s.answers(ctx, h) })
}

// Restart ends a host's NFS server, if it runs, and starts another one.
func (s *Site) Restart(ctx context.Context, i int) error {
	if err := s.Serving[i].Stop(stopTime); err != nil {
		return err
	}
	if err := s.serve(i); err != nil {
		return err
	}
	return s.served(ctx, i)
}

// serve starts a host's NFS server.
func (s *Site) serve(i int) (err error) {
	h, cmd := s.Servers[i], s.embedded()
	if s.opts.NFS == outcome.Ganesha {
		if cmd, err = s.ganesha(h); err != nil {
			return err
		}
	}
	s.Serving[i], err = s.start(h, cmd)
	return err
}

// embedded is this programme as an NFS server.
func (s *Site) embedded() *exec.Cmd {
	return exec.Command(s.opts.Program, "lab-server", "--root", s.Share(), "--export", exportID,
		"--listen", fmt.Sprintf(":%d", nfs.PortNFS), "--portmap", fmt.Sprintf(":%d", nfs.PortPortmap))
}

// answers mounts a server's export, from the client, without the director.
func (s *Site) answers(ctx context.Context, h *topology.Host) error {
	server := netip.AddrPortFrom(h.Addr.Addr(), nfs.PortPortmap)
	c, err := s.dial(ctx, netip.AddrPort{}, server)
	if err != nil { // ask again soon, not after a client's back-off
		return err
	}
	c.Close()
	_, err = s.mount(ctx, h.Addr.Addr())
	return err
}

// dial connects from the client's host.
func (s *Site) dial(ctx context.Context, local, server netip.AddrPort) (c net.Conn, err error) {
	err = s.Client.Do(func() (err error) {
		c, err = nfs.Dial(ctx, local, server)
		return err
	})
	return c, err
}

// mount asks a server's portmapper for MOUNT and mounts the export.
func (s *Site) mount(ctx context.Context, server netip.Addr) (nfs.Handle, error) {
	portmap := s.NFSClient(netip.AddrPortFrom(server, nfs.PortPortmap), nil)
	defer portmap.Close()
	port, err := portmap.Port(ctx, nfs.ProgramMount, 3)
	if err != nil {
		return "", err
	}
	mount := s.NFSClient(netip.AddrPortFrom(server, port), nil)
	defer mount.Close()
	return mount.Mount(ctx, s.exportPath())
}

// Load mounts a server, or the virtual IP, and connects the client's work to it.
func (s *Site) Load(ctx context.Context, server netip.Addr) (*workload.Load, error) {
	root, err := s.mount(ctx, server)
	if err != nil {
		return nil, fmt.Errorf("mount %v: %w", server, err)
	}
	return workload.New(ctx, root, func(event func(nfs.Event)) *nfs.Client {
		return s.NFSClient(netip.AddrPortFrom(server, nfs.PortNFS), event)
	})
}

// exportPath is what clients mount: ganesha exports NFSv3 under the real path.
func (s *Site) exportPath() string {
	if s.opts.NFS == outcome.Ganesha {
		return s.Share()
	}
	return nfsd.ExportPath
}

// NFSClient is a client on the client's host.
func (s *Site) NFSClient(server netip.AddrPort, event func(nfs.Event)) *nfs.Client {
	return nfs.New(nfs.Options{Server: server, Dial: s.dial, Event: event, Machine: s.Client.Name})
}

// ganeshaConfig is the configuration of one nfs-ganesha; the arguments are the
// directory of its state and the exported one. Both servers have the same
// export number and file system ID, hence the same file handles.
const ganeshaConfig = `NFS_CORE_PARAM {
  Protocols = 3; NFS_Port = 2049; MNT_Port = 20048; NLM_Port = 32803; Rquota_Port = 875;
  Enable_RQUOTA = false; Enable_NLM = false; Bind_addr = 0.0.0.0;
}
NFSv4 { Grace_Period = 5; Lease_Lifetime = 5; RecoveryBackend = fs; RecoveryRoot = %q; }
EXPORT_DEFAULTS { SecType = sys; Squash = No_Root_Squash; Protocols = 3; Transports = TCP, UDP; Access_Type = RW; }
EXPORT { Export_Id = 77; Path = %q; Pseudo = /export; Filesystem_id = 77.77; Attr_Expiration_Time = 0; FSAL { Name = VFS; } }
`

// ganeshaScript starts rpcbind and becomes the server. /run is private, since
// rpcbind's socket there is not kept apart by network namespaces. Arguments:
// rpcbind, ganesha.nfsd, and the server's directory.
const ganeshaScript = `set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/ganesha /run/rpcbind
"$1" -w -f &
until [ -S /run/rpcbind.sock ]; do sleep 0.02; done
exec "$2" -F -f "$3/ganesha.conf" -p "$3/pid" -L "$3/log" -C
`

// ganesha is nfs-ganesha for one host, in a mount namespace of its own.
func (s *Site) ganesha(h *topology.Host) (*exec.Cmd, error) {
	programs, err := FindGanesha()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(s.dir, h.Name)
	if err := os.MkdirAll(filepath.Join(dir, "recovery"), 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of %s: %w", h.Name, err)
	}
	conf := fmt.Sprintf(ganeshaConfig, filepath.Join(dir, "recovery"), s.Share())
	if err := os.WriteFile(filepath.Join(dir, "ganesha.conf"), []byte(conf), 0o600); err != nil {
		return nil, fmt.Errorf("write the configuration of %s: %w", h.Name, err)
	}
	cmd := exec.Command("/bin/sh", "-c", ganeshaScript, "sh", programs[0], programs[1], dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	return cmd, nil
}

// FindGanesha finds rpcbind and ganesha.nfsd, which an administrator's path has.
func FindGanesha() (paths []string, err error) {
	for _, name := range []string{"rpcbind", "ganesha.nfsd"} {
		path, err := lookAdmin(name)
		if err != nil {
			return nil, fmt.Errorf("%s is not installed: install the packages nfs-ganesha, nfs-ganesha-vfs and rpcbind: %w", name, err)
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// lookAdmin looks a programme up, also where only root's path leads.
func lookAdmin(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil {
		return path, nil
	}
	for _, dir := range strings.Fields("/usr/sbin /sbin /usr/bin") {
		if path := filepath.Join(dir, name); !errors.Is(exists(path), fs.ErrNotExist) {
			return path, nil
		}
	}
	return "", err
}

func exists(path string) error {
	_, err := os.Stat(path)
	return err
}
