package nfsd

import (
	"context"
	"net"
	"os"
	"path"
	"strings"

	"github.com/go-git/go-billy/v5"
	"github.com/willscott/go-nfs"
	"golang.org/x/sys/unix"
)

// export is the one directory that a server shows to its clients.
type export struct {
	files   directory
	handles *handles
	port    int // of NFS and MOUNT
}

func newExport(tree *os.Root, number uint32, port int) *export {
	return &export{directory{tree}, newHandles(tree.FS(), number), port}
}

// Mount gives the export's root, and nothing else.
func (e *export) Mount(_ context.Context, _ net.Conn, r nfs.MountRequest) (nfs.MountStatus, billy.Filesystem, []nfs.AuthFlavor) {
	if path.Clean("/"+string(r.Dirpath)) != ExportPath {
		return nfs.MountStatusErrNoEnt, e.files, nil
	}
	return nfs.MountStatusOk, e.files, []nfs.AuthFlavor{nfs.AuthFlavorUnix, nfs.AuthFlavorNull}
}

// Change gives access to attributes.
func (e *export) Change(billy.Filesystem) billy.Change { return e.files }

// FSStat tells the room on the file system.
func (e *export) FSStat(_ context.Context, _ billy.Filesystem, s *nfs.FSStat) error {
	var st unix.Statfs_t
	if err := unix.Statfs(e.files.Root(), &st); err != nil {
		return err
	}
	size := uint64(st.Bsize)
	s.TotalSize, s.FreeSize, s.AvailableSize = st.Blocks*size, st.Bfree*size, st.Bavail*size
	s.TotalFiles, s.FreeFiles, s.AvailableFiles = st.Files, st.Ffree, st.Ffree
	return nil
}

// ToHandle names a path.
func (e *export) ToHandle(_ billy.Filesystem, elems []string) []byte {
	return e.handles.handle(strings.Join(elems, "/"))
}

// FromHandle finds the path that a handle names. The file must exist.
func (e *export) FromHandle(b []byte) (billy.Filesystem, []string, error) {
	name, err := e.handles.path(b)
	if err != nil {
		return nil, nil, &nfs.NFSStatusError{NFSStatus: nfs.NFSStatusStale, WrappedErr: err}
	}
	if name == "" {
		return e.files, []string{}, nil
	}
	if _, err := e.files.Lstat(name); err != nil {
		return nil, nil, &nfs.NFSStatusError{NFSStatus: nfs.NFSStatusStale, WrappedErr: err}
	}
	return e.files, strings.Split(name, "/"), nil
}

// InvalidateHandle has nothing to do: nothing is cached by handle.
func (e *export) InvalidateHandle(billy.Filesystem, []byte) error { return nil }

// HandleLimit is how many handles live at once: any number. The library sizes
// its READDIR replies by it.
func (e *export) HandleLimit() int { return 1 << 30 }
