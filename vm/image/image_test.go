package image

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// member is what a reader of the archive finds.
type member struct {
	mode int
	data string
}

// read reads a cpio archive by its description, independently of the writer.
func read(t *testing.T, text []byte) map[string]member {
	t.Helper()
	found := map[string]member{}
	for at := 0; ; {
		if string(text[at:at+6]) != "070701" {
			t.Fatalf("no header at byte %d", at)
		}
		field := func(i int) int {
			n, err := strconv.ParseInt(string(text[at+6+8*i:at+14+8*i]), 16, 64)
			if err != nil {
				t.Fatal(err)
			}
			return int(n)
		}
		size, length := field(6), field(11)
		name := string(text[at+110 : at+110+length-1])
		begin := (at + 110 + length + 3) / 4 * 4
		if name == "TRAILER!!!" {
			if rest := len(bytes.TrimRight(text[begin:], "\x00")); rest != 0 || len(text)%512 != 0 {
				t.Errorf("%d bytes after the end, %d in all", rest, len(text))
			}
			return found
		}
		found[name] = member{field(1), string(text[begin : begin+size])}
		at = (begin + size + 3) / 4 * 4
	}
}

func TestArchive(t *testing.T) {
	from := filepath.Join(t.TempDir(), "tool")
	if err := os.WriteFile(from, []byte("copied"), 0o750); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	a := newArchive(&b)
	a.file("etc/deep/text", 0o644, []byte("five5"))
	a.file("etc/deep/text", 0o644, []byte("once only"))
	a.link("bin/sh", "bash")
	a.copy("bin/tool", from)
	a.directory("run")
	if err := a.close(); err != nil {
		t.Fatal(err)
	}
	got := read(t, b.Bytes())
	want := map[string]member{
		"etc": {0o040755, ""}, "etc/deep": {0o040755, ""}, "etc/deep/text": {0o100644, "five5"},
		"bin": {0o040755, ""}, "bin/sh": {0o120777, "bash"}, "bin/tool": {0o100750, "copied"}, "run": {0o040755, ""},
	}
	for name, m := range want {
		if got[name] != m {
			t.Errorf("%s: got %o %q, want %o %q", name, got[name].mode, got[name].data, m.mode, m.data)
		}
	}
	if len(got) != len(want) {
		t.Errorf("got %d members, want %d", len(got), len(want))
	}
}

func TestArchiveOfMissingFile(t *testing.T) {
	var b bytes.Buffer
	a := newArchive(&b)
	a.copy("bin/tool", filepath.Join(t.TempDir(), "missing"))
	if err := a.close(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want that the file does not exist", err)
	}
}

func TestOverlay(t *testing.T) {
	var b bytes.Buffer
	if err := Overlay(&b, map[string][]byte{"init": []byte("first"), "bin/a": []byte("second")}); err != nil {
		t.Fatal(err)
	}
	got := read(t, b.Bytes())
	if got["init"] != (member{0o100755, "first"}) || got["bin/a"] != (member{0o100755, "second"}) {
		t.Errorf("got %v", got)
	}
}

func TestWithDependencies(t *testing.T) {
	const text = `kernel/fs/nfs/nfs.ko: kernel/fs/lockd/lockd.ko kernel/net/sunrpc/sunrpc.ko
kernel/fs/lockd/lockd.ko: kernel/net/sunrpc/sunrpc.ko
kernel/net/sunrpc/sunrpc.ko:
kernel/drivers/net/veth.ko.xz:
kernel/fs/other.ko:
`
	got := withDependencies(text, []string{"lockd", "nfs", "veth", "built_in"})
	want := []string{"kernel/fs/lockd/lockd.ko", "kernel/net/sunrpc/sunrpc.ko", "kernel/fs/nfs/nfs.ko", "kernel/drivers/net/veth.ko.xz"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFirstDependency(t *testing.T) {
	got, err := firstDependency("linux-image-cloud-amd64\n  Depends: linux-image-6.1.0-9-cloud-amd64\n  Recommends: x\n")
	if got != "linux-image-6.1.0-9-cloud-amd64" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := firstDependency("linux-image-cloud-amd64\n"); err == nil {
		t.Error("a package without dependencies is taken")
	}
}

func TestFind(t *testing.T) {
	tree := t.TempDir()
	if err := os.MkdirAll(filepath.Join(tree, "usr/sbin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(tree, "usr/sbin/tool"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if got, err := find(tree, programDirs, "tool"); got != "usr/sbin/tool" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := find(tree, programDirs, "missing"); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "missing") {
		t.Errorf("got %v", err)
	}
}

func TestLibraries(t *testing.T) {
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n# long enough for the header of an ELF file, which it is not\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if got, err := libraries(script); len(got) != 0 || err != nil {
		t.Errorf("a script loads %q, %v", got, err)
	}
	got, err := libraries("/bin/sh")
	if err != nil || !slices.Contains(got, "libc.so.6") {
		t.Errorf("/bin/sh loads %q, %v; want libc.so.6", got, err)
	}
}
