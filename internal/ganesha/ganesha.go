// Package ganesha prepares nfs-ganesha, the NFS server of the distribution's
// packages, for one host of the lab or of a test: rpcbind beside it, fixed ports,
// one export, short leases.
//
// It starts nothing: it makes the command, which the host starts in its own
// network namespace. It does not install the packages.
package ganesha

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// MountPort is where MOUNT listens.
const MountPort = 20048

// Options say what one server is like. Two servers with equal Root, ExportID and
// Filesystem give equal file handles.
type Options struct {
	Dir      string // of the server's own files; it is made
	Root     string // the exported directory; also its path in NFSv3
	Pseudo   string // its path in NFSv4; "": /export
	ExportID int    // 0: 77
	Versions string // "": 3
	Port     int    // 0: 2049
	Mount    int    // MOUNT's port; 0: MountPort
	Scope    string // in NFSv4.1; "": the server's own choice
	Lease    int    // seconds, and the grace period's; 0: 5
	Clients  string // who may mount; "": all
}

// config is the configuration of a server. Its arguments come from values.
const config = `NFS_CORE_PARAM {
  Protocols = %[1]s; NFS_Port = %[2]d; MNT_Port = %[11]d; NLM_Port = 32803; Rquota_Port = 875;
  Enable_RQUOTA = false; Enable_NLM = false; Bind_addr = 0.0.0.0;
}
NFSv4 { Grace_Period = %[3]d; Lease_Lifetime = %[3]d; RecoveryBackend = fs; RecoveryRoot = %[4]q;
  Minor_Versions = 0, 1, 2; Only_Numeric_Owners = true; %[5]s}
EXPORT_DEFAULTS { SecType = sys; Squash = No_Root_Squash; Protocols = %[1]s; Transports = TCP, UDP; Access_Type = %[6]s; }
EXPORT { Export_Id = %[7]d; Path = %[8]q; Pseudo = %[9]q; Filesystem_id = %[7]d.%[7]d; Attr_Expiration_Time = 0; FSAL { Name = VFS; }%[10]s }
`

// script starts rpcbind and becomes the server. /run is private, since rpcbind's
// socket there is not kept apart by network namespaces. Arguments: rpcbind,
// ganesha.nfsd, and the server's directory.
const script = `set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/ganesha /run/rpcbind
"$1" -w -f &
until [ -S /run/rpcbind.sock ]; do sleep 0.02; done
exec "$2" -F -f "$3/ganesha.conf" -p "$3/pid" -L "$3/log" -C
`

// Command is a server in a mount namespace of its own. Ended with SIGTERM, it
// takes some seconds.
func Command(o Options) (*exec.Cmd, error) {
	programs, err := Find()
	if err != nil {
		return nil, err
	}
	recovery := filepath.Join(o.Dir, "recovery")
	if err := os.MkdirAll(recovery, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of nfs-ganesha: %w", err)
	}
	scope := ""
	if o.Scope != "" {
		scope = fmt.Sprintf("Server_Scope = %q; ", o.Scope)
	}
	access, clients := "RW", ""
	if o.Clients != "" {
		access, clients = "None", fmt.Sprintf("\n  CLIENT { Clients = %s; Access_Type = RW; }", o.Clients)
	}
	text := fmt.Sprintf(config, cmp.Or(o.Versions, "3"), cmp.Or(o.Port, 2049), cmp.Or(o.Lease, 5), recovery, scope, access,
		cmp.Or(o.ExportID, 77), o.Root, cmp.Or(o.Pseudo, "/export"), clients, cmp.Or(o.Mount, MountPort))
	if err := os.WriteFile(filepath.Join(o.Dir, "ganesha.conf"), []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("write the configuration of nfs-ganesha: %w", err)
	}
	cmd := exec.Command("/bin/sh", "-c", script, "sh", programs[0], programs[1], o.Dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	return cmd, nil
}

// Find finds rpcbind and ganesha.nfsd, which an administrator's path has.
func Find() (paths []string, err error) {
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
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			return path, nil
		}
	}
	return "", err
}
