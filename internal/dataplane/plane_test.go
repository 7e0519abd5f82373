package dataplane

import (
	"log/slog"
	"os"
	"strings"
	"testing"
	"unsafe"

	"fairlead/internal/model"
)

// TestMain also finds file descriptors that the data plane left open.
func TestMain(m *testing.M) {
	if os.Geteuid() != 0 {
		println("the tests of the data plane need root")
		os.Exit(1)
	}
	before := mapsAndProgrammes()
	code := m.Run()
	if left := mapsAndProgrammes() - before; code == 0 && left > 0 {
		println("the tests left", left, "maps, programmes or links open")
		code = 1
	}
	os.Exit(code)
}

// mapsAndProgrammes counts the open file descriptors of bpf(2): the runtime's
// and the test's own come and go.
func mapsAndProgrammes() int {
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		panic(err)
	}
	n := 0
	for _, fd := range open {
		to, _ := os.Readlink("/proc/self/fd/" + fd.Name()) // gone: the directory's own
		if strings.HasPrefix(to, "anon_inode:bpf") {
			n++
		}
	}
	return n
}

// newPlane is a data plane without pins and interfaces, and without some programmes.
func newPlane(t testing.TB, connections int, without ...string) *Plane {
	t.Helper()
	m, err := newMaps(connections)
	if err != nil {
		t.Fatal(err)
	}
	p := &Plane{options: Options{Attach: model.AttachAuto, Log: slog.New(slog.DiscardHandler)}, maps: m, links: map[int]*attachment{}}
	p.names.Store(&map[key]string{})
	if p.programs, err = loadPrograms(m, false, without...); err != nil {
		t.Fatal(err)
	}
	if p.clock, err = newClock(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func TestLoad(t *testing.T) {
	newPlane(t, 1000)
}

// Kernels before 6.8 allow no more for one value (KMALLOC_MAX_SIZE).
func TestSizeOfValues(t *testing.T) {
	for name, size := range map[string]uintptr{"state": unsafe.Sizeof(directorState{}), "lists": unsafe.Sizeof(directorRuleLists{})} {
		if t.Logf("%s has %d bytes", name, size); size > 4<<20 {
			t.Errorf("%s has %d bytes, more than 4 MiB", name, size)
		}
	}
}
