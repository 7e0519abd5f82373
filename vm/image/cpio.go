package image

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
)

// archive writes the cpio format that the kernel reads ("new ASCII",
// Documentation/driver-api/early-userspace/buffer-format.rst). Parents of an entry
// are added when they are missing. The first error stays.
type archive struct {
	w    io.Writer
	n    int64 // bytes written
	ino  int
	made map[string]bool
	err  error
}

func newArchive(w io.Writer) *archive { return &archive{w: w, made: map[string]bool{".": true}} }

// The kinds of an entry, of stat(2).
const (
	kindFile      = 0o100000
	kindDirectory = 0o040000
	kindLink      = 0o120000
	kindCharacter = 0o020000
)

func (a *archive) directory(name string) { a.entry(name, kindDirectory|0o755, nil) }

func (a *archive) file(name string, perm fs.FileMode, data []byte) {
	a.entry(name, kindFile|int(perm.Perm()), data)
}

func (a *archive) link(name, target string) { a.entry(name, kindLink|0o777, []byte(target)) }

// copy adds a file of the machine; a symbolic link is followed.
func (a *archive) copy(name, from string) {
	if a.err != nil {
		return
	}
	info, err := os.Stat(from)
	if err == nil {
		var data []byte
		if data, err = os.ReadFile(from); err == nil {
			a.file(name, info.Mode(), data)
		}
	}
	if err != nil {
		a.err = err
	}
}

// entry adds one entry, unless it is there already.
func (a *archive) entry(name string, mode int, data []byte) {
	if a.err != nil || a.made[name] {
		return
	}
	if parent := path.Dir(name); !a.made[parent] {
		a.directory(parent)
	}
	a.made[name] = true
	a.write(name, mode, 0, 0, data)
}

// write writes one entry: a header of fields of 8 hexadecimal digits, the name and
// the data, both padded to 4 bytes.
func (a *archive) write(name string, mode, major, minor int, data []byte) {
	a.ino++
	fields := []int{a.ino, mode, 0, 0, 1, 0, len(data), 0, 0, major, minor, len(name) + 1, 0}
	var header strings.Builder
	header.WriteString("070701")
	for _, f := range fields {
		fmt.Fprintf(&header, "%08X", f)
	}
	a.bytes([]byte(header.String() + name + "\x00"))
	a.pad(4)
	a.bytes(data)
	a.pad(4)
}

func (a *archive) bytes(data []byte) {
	if a.err == nil {
		var n int
		n, a.err = a.w.Write(data)
		a.n += int64(n)
	}
}

func (a *archive) pad(to int64) {
	if rest := a.n % to; rest != 0 {
		a.bytes(make([]byte, to-rest))
	}
}

// close ends the archive. Another one may follow in the same file.
func (a *archive) close() error {
	a.write("TRAILER!!!", 0, 0, 0, nil)
	a.pad(512)
	return a.err
}

// Overlay writes an archive of programmes and other files, by their names in the
// guest. Appended to Initrd it adds them, and replaces what has the same name.
func Overlay(w io.Writer, files map[string][]byte) error {
	a := newArchive(w)
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		a.file(name, 0o755, files[name])
	}
	if err := a.close(); err != nil {
		return fmt.Errorf("write the overlay: %w", err)
	}
	return nil
}
