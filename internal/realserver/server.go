package realserver

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Server is this machine, or an image of one.
type Server struct {
	disk   disk
	kernel kernel // nil for an image: only its files are prepared
	state  string // the state directory, below the root
	made   bool   // it was made for the record
	lock   *os.File
}

// Options say which machine it is.
type Options struct {
	Root     string // of its files; "/" for this machine's own
	StateDir string // below it
	Image    bool   // the files belong to a system that does not run here
	Read     bool   // nothing will be changed: no lock is needed
}

// ErrBusy: somebody else changes the same machine.
var ErrBusy = errors.New("another `fairlead realserver` is at work here: wait for its end")

// Open takes the lock, until Close. It is on the root itself, so that nothing has
// to be made for it.
func Open(o Options) (*Server, error) {
	root, err := os.Open(o.Root)
	if err != nil {
		return nil, fmt.Errorf("open the root: %w", err)
	}
	if !o.Read {
		err = unix.Flock(int(root.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = ErrBusy
		}
		if err != nil {
			return nil, errors.Join(err, root.Close())
		}
	}
	s := &Server{disk: tree{o.Root}, kernel: running{}, state: filepath.Join("/", o.StateDir), lock: root}
	if o.Image {
		s.kernel = nil
	}
	if !o.Read {
		if err := s.tidy(); err != nil {
			return nil, errors.Join(fmt.Errorf("take away what an interrupted run left: %w", advised(err)), s.Close())
		}
	}
	return s, nil
}

// Close gives the lock up.
func (s *Server) Close() error { return s.lock.Close() }

// Request is what a set-up is asked for. It adds to what earlier ones were.
type Request struct {
	VIPs     []netip.Addr
	Dev      string
	Persist  bool
	Manager  Manager // "": the one that is in use
	NFSPorts bool
}

// PlanSetup says what a set-up has to change. It changes nothing.
func (s *Server) PlanSetup(r Request) (Plan, error) {
	was, err := s.load()
	if err != nil {
		return Plan{}, err
	}
	for _, a := range r.VIPs {
		if err := CheckVIP(a); err != nil {
			return Plan{}, err
		}
	}
	wish := was.Wish.with(r.VIPs, r.Dev)
	wish.NFSPorts = wish.NFSPorts || r.NFSPorts
	if len(wish.VIPs) == 0 {
		return Plan{}, errors.New("nothing was set up here yet: name the virtual IP with --vip ADDR")
	}
	var notes []string
	if r.Persist {
		f, err := choose(s.disk, wish.Persist, r.Manager)
		if err != nil {
			return Plan{}, fmt.Errorf("keep it at boot: %w", err)
		}
		wish.Persist, notes = f.manager, append(notes, f.because)
	}
	if s.kernel == nil && wish.Persist == "" && !wish.NFSPorts {
		return Plan{}, errors.New("an image has only files: add --persist")
	}
	p, err := s.plan(was, wish)
	p.Notes = append(notes, p.Notes...)
	return p, err
}

// choose is the manager that was named, or was chosen before, or is in use.
func choose(d disk, before, named Manager) (found, error) {
	if named == "" && before != "" {
		return found{before, "the addresses are kept by " + string(before) + ", as before"}, nil
	}
	if named == "" {
		return detect(d)
	}
	return found{named, "the addresses are kept by " + string(named) + ", as ordered"}, usable(d, named)
}

// PlanUndo says what has to be restored: of some virtual IPs, or everything.
func (s *Server) PlanUndo(vips []netip.Addr) (Plan, error) {
	was, err := s.load()
	if err != nil {
		return Plan{}, err
	}
	if was.empty() {
		return Plan{}, fmt.Errorf("nothing was set up here: there is no record %s", s.recordPath())
	}
	for _, a := range vips {
		if !slices.ContainsFunc(was.Wish.VIPs, func(v VIP) bool { return v.Addr == a }) {
			return Plan{}, fmt.Errorf("%s was not set up here; these were: %s", a, was.Wish.names())
		}
	}
	wish := was.Wish.without(vips)
	if len(vips) == 0 || len(wish.VIPs) == 0 {
		wish = Wish{}
	}
	p, err := s.plan(was, wish)
	p.pending.Wish = was.Wish // until it is undone
	return p, err
}

func (w Wish) names() string {
	var all []string
	for _, v := range w.VIPs {
		all = append(all, v.Addr.String())
	}
	return strings.Join(all, ", ")
}

// plan finds out what there is, and compares.
func (s *Server) plan(was record, wish Wish) (Plan, error) {
	links, setting, err := s.look(wish)
	if err != nil {
		return Plan{}, err
	}
	sysctls, err := wantedSettings(was, wish, links, setting)
	if err != nil {
		return Plan{}, err
	}
	want, notes, err := wantedFiles(s.disk, was, wish, sysctls)
	if err != nil {
		return Plan{}, err
	}
	if s.kernel != nil {
		want = append(want, wantedKernel(was, wish, sysctls, links)...)
	}
	keys := make([]Key, 0, len(want)+len(was.Items))
	for _, w := range want {
		keys = append(keys, w.key)
	}
	theirs := record{} // what an image's record has of a running kernel stays as it is
	for _, k := range was.Items {
		if s.kernel == nil && k.Key.Kind > File {
			theirs.add(k)
			continue
		}
		keys = append(keys, k.Key)
	}
	have, err := s.have(keys, links)
	if err != nil {
		return Plan{}, err
	}
	for _, k := range theirs.Items {
		have[k.Key] = k.Before
	}
	p := plan(was, wish, want, have)
	for _, k := range theirs.Items {
		p.next.add(k)
		p.pending.add(k)
	}
	p.Notes = append(notes, restarts(p.Ops)...)
	return p, nil
}

// look reads what the kernel has, and refuses what cannot be done with it.
func (s *Server) look(wish Wish) ([]Link, func(string) (string, bool, error), error) {
	if s.kernel == nil {
		return nil, nil, nil
	}
	links, err := s.kernel.links()
	if err != nil {
		return nil, nil, err
	}
	noV6, err := s.noV6(wish)
	if err != nil {
		return nil, nil, err
	}
	return links, s.kernel.setting, refuse(wish, links, noV6)
}

// noV6 are the wanted interfaces without IPv6.
func (s *Server) noV6(wish Wish) ([]string, error) {
	var off []string
	for _, dev := range wish.devs(false) {
		text, there, err := s.kernel.setting("net/ipv6/conf/" + dev + "/disable_ipv6")
		if err != nil {
			return nil, fmt.Errorf("ask whether IPv6 is on: %w", err)
		}
		if !there || text != "0" {
			off = append(off, dev)
		}
	}
	return off, nil
}

// have reads what the things are now.
func (s *Server) have(keys []Key, links []Link) (map[Key]Value, error) {
	have := map[Key]Value{}
	for _, key := range keys {
		var v Value
		var err error
		switch key.Kind {
		case File:
			v, err = s.disk.read(key.Name)
		case Directory:
			if s.disk.isDir(key.Name) {
				v = Value{There: true, Mode: fs.ModeDir}
			}
		case Setting:
			var text string
			if text, v.There, err = s.kernel.setting(key.Name); v.There {
				v.Text = text
			}
		default:
			v, err = ofLinks(key, links)
		}
		if err != nil {
			return nil, fmt.Errorf("read what there is: %s: %w", key, err)
		}
		have[key] = v
	}
	return have, nil
}

// ofLinks is the state of an interface, or whether there is an address.
func ofLinks(key Key, links []Link) (Value, error) {
	dev, prefix := key.Name, netip.Prefix{}
	if key.Kind == Address {
		var err error
		if prefix, dev, err = key.address(); err != nil {
			return Value{}, err
		}
	}
	i := slices.IndexFunc(links, func(l Link) bool { return l.Name == dev })
	switch {
	case i < 0:
		return Value{}, nil
	case key.Kind == Address:
		if slices.ContainsFunc(links[i].Addresses, func(a Addr) bool { return a.Prefix == prefix }) {
			return plain(""), nil
		}
		return Value{}, nil
	case links[i].Up:
		return plain("up"), nil
	}
	return plain("down"), nil
}

func (s *Server) recordPath() string { return filepath.Join(s.state, recordName) }

// load reads the record; without one it is empty.
func (s *Server) load() (record, error) {
	v, err := s.disk.read(s.recordPath())
	if err != nil {
		return record{}, fmt.Errorf("read the record of earlier set-ups: %w", err)
	}
	if !v.There {
		return record{}, nil
	}
	r, err := decodeRecord(v.Text)
	if err != nil {
		return record{}, fmt.Errorf("the record %s cannot be read: %w. It says what was here before: restore it from a copy, "+
			"or move it away and go on by hand", s.recordPath(), err)
	}
	s.made = r.Made
	return r, nil
}
