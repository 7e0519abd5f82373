package dataplane

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"fairlead/internal/model"
)

// slots is the number of connections of a bucket.
const slots = len(directorBucket{}.Slots)

// pinned maps and their names in the object and in the directory; bpffs allows
// no dot in a name.
var pinned = []struct{ object, file string }{
	{".bss", "state"},
	{directorMapBuckets, "buckets"},
	{directorMapTuples, "tuples"},
	{directorMapUppers, "uppers"},
	{directorMapCounters, "counters"},
	{directorMapCaptures, "captures"},
	{directorMapSightings, "sightings"},
	{directorMapLocalities, "localities"},
	{directorMapTemplates, "templates"},
	{directorMapNames, "names"},
	{directorMapLists, "lists"},
}

// tables are the shared maps; those that the programme writes at packet rate are
// mapped into memory.
type tables struct {
	byName  map[string]*ebpf.Map // by name in the object
	state   *directorState
	lists   []directorRuleLists // of the two copies of the settings
	buckets []directorBucket
	tuples  []directorTuples
	uppers  []directorUppers
	memory  [][]byte
}

// openMaps loads the maps pinned in dir, or makes and pins new ones for that
// many connections. They appear in dir all together or not at all.
func openMaps(dir string, connections int) (tables, error) {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		if err := pinNew(dir, connections); err != nil {
			return tables{}, err
		}
	}
	m := tables{byName: map[string]*ebpf.Map{}}
	for _, pin := range pinned {
		loaded, err := ebpf.LoadPinnedMap(filepath.Join(dir, pin.file), nil)
		if err != nil {
			return tables{}, errors.Join(fmt.Errorf("adopt the pinned map %s: %w (fairlead detach clears the directory)", pin.file, err), m.Close())
		}
		m.byName[pin.object] = loaded
	}
	if err := m.mapMemory(); err != nil {
		return tables{}, errors.Join(err, m.Close())
	}
	return m, nil
}

// bucketsFor keeps the table at most 72 % full: that is 79 bytes for a connection,
// 33 of which only those of IPv6 use. In a fuller one too many find no room.
func bucketsFor(connections int) uint32 {
	return uint32(max(connections*25/18/slots+1, 64))
}

func pinNew(dir string, connections int) error {
	building := dir + "-building"
	if err := os.RemoveAll(building); err != nil {
		return fmt.Errorf("clear an unfinished start: %w", err)
	}
	if err := os.Mkdir(building, 0o700); err != nil {
		return fmt.Errorf("make the directory of the pins: %w", err)
	}
	made, err := newMaps(connections)
	if err != nil {
		return err
	}
	defer made.Close()
	for _, pin := range pinned {
		if err := made.byName[pin.object].Pin(filepath.Join(building, pin.file)); err != nil {
			return fmt.Errorf("pin the map %s: %w", pin.file, err)
		}
	}
	if err := os.Rename(building, dir); err != nil {
		return fmt.Errorf("put the pins in place: %w", err)
	}
	return nil
}

// newMaps makes the maps, empty, in memory only.
func newMaps(connections int) (tables, error) {
	spec, err := loadDirector()
	if err != nil {
		return tables{}, fmt.Errorf("read the embedded programme: %w", err)
	}
	n := bucketsFor(connections)
	spec.Maps[directorMapBuckets].MaxEntries = n
	spec.Maps[directorMapTuples].MaxEntries = n
	spec.Maps[directorMapUppers].MaxEntries = n
	spec.Maps[".bss"].Flags |= unix.BPF_F_MMAPABLE
	m := tables{byName: map[string]*ebpf.Map{}}
	for _, pin := range pinned {
		made, err := ebpf.NewMap(spec.Maps[pin.object])
		if err != nil {
			return tables{}, errors.Join(fmt.Errorf("make the map %s: %w", pin.file, err), m.Close())
		}
		m.byName[pin.object] = made
	}
	if err := m.mapMemory(); err != nil {
		return tables{}, errors.Join(err, m.Close())
	}
	var seed [8]byte
	if _, err := rand.Read(seed[:]); err != nil {
		return tables{}, errors.Join(fmt.Errorf("draw the hash's seed: %w", err), m.Close())
	}
	m.state.Table.Seed = binary.NativeEndian.Uint64(seed[:])
	m.state.Table.Buckets = n
	for i := range m.state.Settings {
		m.copyOfSettings(uint32(i)).Flows = *emptyFlowSet()
	}
	return m, nil
}

func (m *tables) mapMemory() error {
	state, err := m.mmap(".bss", int(unsafe.Sizeof(directorState{})))
	if err != nil {
		return err
	}
	m.state = (*directorState)(unsafe.Pointer(&state[0]))
	lists, err := m.mmap(directorMapLists, 2*int(unsafe.Sizeof(directorRuleLists{})))
	if err != nil {
		return err
	}
	m.lists = unsafe.Slice((*directorRuleLists)(unsafe.Pointer(&lists[0])), 2)
	n := int(m.byName[directorMapBuckets].MaxEntries())
	buckets, err := m.mmap(directorMapBuckets, n*int(unsafe.Sizeof(directorBucket{})))
	if err != nil {
		return err
	}
	m.buckets = unsafe.Slice((*directorBucket)(unsafe.Pointer(&buckets[0])), n)
	tuples, err := m.mmap(directorMapTuples, n*int(unsafe.Sizeof(directorTuples{})))
	if err != nil {
		return err
	}
	m.tuples = unsafe.Slice((*directorTuples)(unsafe.Pointer(&tuples[0])), n)
	uppers, err := m.mmap(directorMapUppers, n*int(unsafe.Sizeof(directorUppers{})))
	if err != nil {
		return err
	}
	m.uppers = unsafe.Slice((*directorUppers)(unsafe.Pointer(&uppers[0])), n)
	return nil
}

func (m *tables) mmap(name string, size int) ([]byte, error) {
	b, err := unix.Mmap(m.byName[name].FD(), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %s into memory: %w", name, err)
	}
	m.memory = append(m.memory, b)
	return b, nil
}

// replace makes a collection use these maps.
func (m tables) replace(spec *ebpf.CollectionSpec) map[string]*ebpf.Map {
	with := map[string]*ebpf.Map{}
	for _, pin := range pinned {
		with[pin.object] = m.byName[pin.object]
		spec.Maps[pin.object].MaxEntries = m.byName[pin.object].MaxEntries()
	}
	return with
}

// The generated state holds an unnamed type; this gives it its name.

func (m tables) copyOfSettings(i uint32) *directorSettings {
	return (*directorSettings)(unsafe.Pointer(&m.state.Settings[i&1]))
}

// settings are those in force.
func (m tables) settings() *directorSettings {
	return m.copyOfSettings(atomic.LoadUint32(&m.state.Current))
}

// server is a server of a director.
func (s *directorSettings) server(director, server uint8) *directorServer {
	return &s.Servers[int(director)%maxDirectors*maxServers+int(server)%maxServers]
}

// remote is how a server of a director is reached.
func (s *directorSettings) remote(director, server uint8) *directorRemote {
	return &s.Remotes[int(director)%maxDirectors*maxServers+int(server)%maxServers]
}

// tunnel is the tunnel to a server of a director, nil if there is none.
func (s *directorSettings) tunnel(director, server uint8) *model.Tunnel {
	r := s.remote(director, server)
	if r.Mode != uint8(directorModeMODE_TUNNEL) {
		return nil
	}
	return &model.Tunnel{Source: unbe(r.Source), Server: unbe(r.Server)}
}

// generation is that of the connections of a server, in force.
func (m tables) generation(director, server uint8) uint16 {
	now := m.settings()
	choice := now.Choices[int(director)%maxDirectors]
	if choice.Flags&uint16(directorChoiceFlagsCHOICE_BALANCED) != 0 {
		return now.server(director, server).Generation
	}
	return choice.Generation
}

// Close unmaps and closes; pins stay.
func (m tables) Close() error {
	var errs []error
	for _, b := range m.memory {
		errs = append(errs, unix.Munmap(b))
	}
	for _, one := range m.byName {
		errs = append(errs, one.Close())
	}
	return errors.Join(errs...)
}

// The kinds of names.
const (
	kindFlow = iota + 1
	kindDirector
	kindServer
)

// key is what a name stands for: an index in the programme's tables.
type key struct {
	kind, director uint8
	index          uint16
}

func (m tables) readNames() (map[key]string, error) {
	names := map[key]string{}
	var k directorNameKey
	var v directorName
	entries := m.byName[directorMapNames].Iterate()
	for entries.Next(&k, &v) {
		text, _, _ := bytes.Cut(v.Text[:], []byte{0})
		names[key{k.Kind, k.Director, k.Index}] = string(text)
	}
	if err := entries.Err(); err != nil {
		return nil, fmt.Errorf("read the pinned names: %w", err)
	}
	return names, nil
}

func (m tables) writeName(k key, name string) error {
	var v directorName
	if copy(v.Text[:len(v.Text)-1], name) < len(name) {
		return fmt.Errorf("the name %q is longer than %d bytes", name, len(v.Text)-1)
	}
	at := directorNameKey{Kind: k.kind, Director: k.director, Index: k.index}
	if err := m.byName[directorMapNames].Put(at, v); err != nil {
		return fmt.Errorf("write the name %q: %w", name, err)
	}
	return nil
}
