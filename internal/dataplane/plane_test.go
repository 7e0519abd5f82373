package dataplane

import (
	"log/slog"
	"os"
	"testing"

	"fairlead/internal/model"
)

func TestMain(m *testing.M) {
	if os.Geteuid() != 0 {
		println("the tests of the data plane need root")
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// newPlane is a data plane without pins and interfaces.
func newPlane(t testing.TB, connections int) *Plane {
	t.Helper()
	m, err := newMaps(connections)
	if err != nil {
		t.Fatal(err)
	}
	p := &Plane{options: Options{Attach: model.AttachAuto, Log: slog.New(slog.DiscardHandler)}, maps: m, links: map[int]*attachment{}}
	p.names.Store(&map[key]string{})
	if p.programs, err = loadPrograms(m, false); err != nil {
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
