package doctor

import (
	"net"
	"net/netip"
	"os"
	"testing"

	"fairlead/internal/topology"
)

// TestDriver asks the kernel of the drivers of a virtual cable, which runs XDP on frames
// of any length, and of the loopback interface, which does not run it.
func TestDriver(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("this test makes network namespaces and must run as root")
	}
	s, err := topology.Build("fairlead-doctor-driver")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	host, err := s.Add(topology.Spec{Name: "director", Addr: netip.MustParsePrefix("192.168.10.10/24")})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]Driver{topology.HostIface: {Native: true, Long: true}, "lo": {}} {
		var got Driver
		err := host.Do(func() error {
			ifi, err := net.InterfaceByName(name)
			if err == nil {
				got, err = driverOf(ifi.Index)
			}
			return err
		})
		if err != nil || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, err, want)
		}
	}
}
