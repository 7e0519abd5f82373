package dataplane

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"fairlead/internal/model"
)

// ErrOtherLayout means that a data plane is pinned which this version cannot read.
var ErrOtherLayout = errors.New("another version of fairlead has pinned it")

// Seen is what a pinned data plane does, as somebody finds it who does not open it.
type Seen struct {
	Applied model.Applied
	Targets map[netip.Addr][]string // the directors of each virtual IP
	Beaten  bool                    // a daemon said once that it lives
	Silence time.Duration           // since it last did
}

// Look reads what is pinned in the directory: for when no daemon answers. It takes
// no lock and changes nothing, so it may be called while a daemon runs; then what
// it tells may be of two instants. fs.ErrNotExist: nothing is pinned there.
func Look(dir string) (Seen, error) {
	pins := layoutDir(dir)
	if _, err := os.Stat(pins); err != nil {
		if errors.Is(err, fs.ErrNotExist) && len(linkPins(otherLayouts(dir)...)) > 0 {
			return Seen{}, fmt.Errorf("look at %s: %w", dir, ErrOtherLayout)
		}
		return Seen{}, fmt.Errorf("look at the pinned data plane: %w", err)
	}
	names, err := lookAtNames(pins)
	if err != nil {
		return Seen{}, err
	}
	s, err := lookAtState(pins, names)
	if err != nil {
		return Seen{}, err
	}
	s.Applied.Ifaces, err = lookAtLinks(pins)
	return s, err
}

func lookAtMap(pins, file string) (*ebpf.Map, error) {
	m, err := ebpf.LoadPinnedMap(filepath.Join(pins, file), &ebpf.LoadPinOptions{ReadOnly: true})
	if err != nil {
		return nil, fmt.Errorf("look at the pinned map %s: %w", file, err)
	}
	return m, nil
}

func lookAtNames(pins string) (map[key]string, error) {
	m, err := lookAtMap(pins, "names")
	if err != nil {
		return nil, err
	}
	defer m.Close()
	return tables{byName: map[string]*ebpf.Map{directorMapNames: m}}.readNames()
}

// lookAt copies an entry of a pinned array. A map that is open for reading only
// cannot be mapped into memory.
func lookAt[T any](pins, file string, index uint32) (*T, error) {
	m, err := lookAtMap(pins, file)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	raw, err := m.LookupBytes(index)
	if err != nil {
		return nil, fmt.Errorf("read the pinned map %s: %w", file, err)
	}
	v := new(T)
	if n := int(unsafe.Sizeof(*v)); len(raw) < n {
		return nil, fmt.Errorf("read the pinned map %s: it has %d bytes instead of %d", file, len(raw), n)
	}
	copy(unsafe.Slice((*byte)(unsafe.Pointer(v)), unsafe.Sizeof(*v)), raw)
	return v, nil
}

// lookAtLists reads the lists of the rules in force.
func lookAtLists(pins string, current uint32) (*directorRuleLists, error) {
	return lookAt[directorRuleLists](pins, "lists", current)
}

// lookAtState reads the choices, the virtual IPs and the daemon's last sign.
func lookAtState(pins string, names map[key]string) (Seen, error) {
	state, err := lookAt[directorState](pins, "state", 0)
	if err != nil {
		return Seen{}, err
	}
	now := tables{state: state}.settings()
	lists, err := lookAtLists(pins, state.Current&1)
	if err != nil {
		return Seen{}, err
	}
	s := Seen{Applied: choicesOf(now, lists, names), Targets: targetsOf(&now.Flows, lists, names)}
	s.Applied.Flows = readFlows(&now.Flows, lists, names)
	if beat := state.Watch.AliveNs; beat != 0 {
		s.Beaten, s.Silence = true, time.Duration(monotonic()-beat)
	}
	return s, nil
}

// targetsOf are the directors that the packets of each virtual IP may go to, those
// that no list leads to first.
func targetsOf(set *directorFlowSet, lists *directorRuleLists, names map[key]string) map[netip.Addr][]string {
	all := map[netip.Addr][]string{}
	add := func(addr netip.Addr, director uint8) {
		name := names[key{kind: kindDirector, index: uint16(director)}]
		if !slices.Contains(all[addr], name) {
			all[addr] = append(all[addr], name)
		}
	}
	const direct = uint8(directorVipFlagsVIP_DIRECT)
	for i := range set.Services {
		if s := &set.Services[i]; s.Flags&direct != 0 {
			add(lists.addrOf(s.Addr, s.Protocol), s.Director)
		}
	}
	for addr, v := range vipsOf(set, lists) {
		if v.Flags&uint8(directorVipFlagsVIP_CLAIMED) == 0 {
			continue
		}
		if v.Flags&direct != 0 {
			add(addr, v.Director)
		}
		// The list's order is that of the rules, that of the others is not.
		slices.Sort(all[addr])
		for _, r := range lists.of(lists.OfVip[v.place]) {
			if r.Policy == uint8(directorPolicyPOLICY_DIRECTOR) {
				add(addr, r.Director)
			}
		}
	}
	return all
}

// addrOf is the destination of a service.
func (l *directorRuleLists) addrOf(addr uint32, protocol uint8) netip.Addr {
	if protocol&serviceOfSix == 0 {
		return unbe(addr)
	}
	v := &l.Vips6[int(addr)%vip6Slots]
	return unwords([4]uint32{v.Upper[0], v.Upper[1], v.Upper[2], v.Vip.Addr})
}

// lookAtLinks are the interfaces where the programme really hangs: a pinned link
// outlives its interface.
func lookAtLinks(pins string) (map[string]model.Attached, error) {
	all := map[string]model.Attached{}
	for _, pin := range linkPins(pins) {
		mode, ifindex, err := parseLinkPin(pin)
		if err != nil {
			return nil, err
		}
		hangs, err := hangsOn(pin)
		if err != nil {
			return nil, err
		}
		if i, err := net.InterfaceByIndex(ifindex); err == nil && hangs == ifindex {
			all[i.Name] = model.Attached{Mode: mode, Why: "pinned by an earlier run"}
		}
	}
	return all, nil
}

// hangsOn is the interface of a pinned link, 0 when it is gone.
func hangsOn(pin string) (int, error) {
	l, err := link.LoadPinnedLink(pin, nil)
	if err != nil {
		return 0, fmt.Errorf("look at the attachment %s: %w", pin, err)
	}
	info, err := l.Info()
	if err := errors.Join(err, l.Close()); err != nil {
		return 0, fmt.Errorf("look at the attachment %s: %w", pin, err)
	}
	if xdp := info.XDP(); xdp != nil {
		return int(xdp.Ifindex), nil
	}
	if tcx := info.TCX(); tcx != nil {
		return int(tcx.Ifindex), nil
	}
	return 0, nil
}
