package nfsd

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
)

// A handle is, in bytes: version (1), number of the export (4), kind (1), and
// then the path itself, padded with zeros (kind inline), or its SHA-256 and two
// zeros (kind hashed). Its length is always a multiple of 4, since the library
// does not skip XDR padding in every procedure.
const (
	handleVersion = 1
	kindInline    = 0
	kindHashed    = 1
	headLen       = 6
	inlineMax     = 58 // 64 bytes, the most that NFSv3 allows, less the head
	hashedLen     = headLen + sha256.Size + 2
)

var (
	errForeign  = errors.New("handle of another export or version")
	errVanished = errors.New("no file has this handle")
)

// handles turns paths into handles and back.
type handles struct {
	tree   fs.FS
	number uint32

	mu    sync.Mutex // guards index
	index map[[sha256.Size]byte]string
}

func newHandles(tree fs.FS, number uint32) *handles {
	return &handles{tree: tree, number: number, index: map[[sha256.Size]byte]string{}}
}

// handle names a path relative to the root; "" is the root itself.
func (h *handles) handle(path string) []byte {
	b := binary.BigEndian.AppendUint32([]byte{handleVersion}, h.number)
	if len(path) > inlineMax {
		sum := h.learn(path)
		return append(append(append(b, kindHashed), sum[:]...), 0, 0)
	}
	b = append(append(b, kindInline), path...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

// path finds the path of a handle. It may no longer exist.
func (h *handles) path(b []byte) (string, error) {
	if len(b) < headLen || b[0] != handleVersion || binary.BigEndian.Uint32(b[1:]) != h.number {
		return "", errForeign
	}
	switch {
	case b[5] == kindInline && len(b) <= headLen+inlineMax:
		p := strings.TrimRight(string(b[headLen:]), "\x00")
		if p != "" && !filepath.IsLocal(p) {
			return "", errForeign
		}
		return p, nil
	case b[5] == kindHashed && len(b) == hashedLen:
		return h.lookup([sha256.Size]byte(b[headLen : headLen+sha256.Size]))
	}
	return "", errForeign
}

// lookup finds a hashed path. A server that never gave the handle itself walks
// the directory once to learn it.
func (h *handles) lookup(sum [sha256.Size]byte) (string, error) {
	if p, ok := h.known(sum); ok {
		return p, nil
	}
	err := fs.WalkDir(h.tree, ".", func(p string, _ fs.DirEntry, err error) error {
		if err != nil {
			return nil // a file that vanished meanwhile
		}
		if len(p) > inlineMax {
			h.learn(p)
		}
		return nil
	})
	if p, ok := h.known(sum); ok {
		return p, nil
	}
	return "", errors.Join(errVanished, err)
}

func (h *handles) learn(path string) [sha256.Size]byte {
	sum := sha256.Sum256([]byte(path))
	h.mu.Lock()
	defer h.mu.Unlock()
	h.index[sum] = path
	return sum
}

func (h *handles) known(sum [sha256.Size]byte) (string, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p, ok := h.index[sum]
	return p, ok
}
