package lab

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"fairlead/internal/config"
	"fairlead/internal/model"
)

// ErrNeedsRoot tells that the lab cannot run for an ordinary user.
var ErrNeedsRoot = errors.New("the lab makes network namespaces and loads BPF programmes: run it as root, for example with sudo")

// Fault is what the lab does to nfs-01.
type Fault uint8

const (
	Kill    Fault = iota // the server's process is killed
	Link                 // its cable is cut
	Hang                 // the process is stopped; a TCP check cannot see that
	Planned              // nothing breaks: an operator orders the switch
)

var faults = [...]string{"kill", "link", "hang", "planned"}

func (f Fault) String() string               { return nameOf("fault", faults[:], uint8(f)) }
func (f Fault) MarshalText() ([]byte, error) { return []byte(f.String()), nil }
func (f *Fault) UnmarshalText(b []byte) error {
	v, err := valueOf("fault", faults[:], string(b))
	*f = Fault(v)
	return err
}

// Backend is the kind of NFS servers.
type Backend uint8

const (
	Embedded Backend = iota // this programme's own
	Ganesha                 // nfs-ganesha, from the distribution's packages
)

var backends = [...]string{"embedded", "ganesha"}

func (b Backend) String() string               { return nameOf("NFS server", backends[:], uint8(b)) }
func (b Backend) MarshalText() ([]byte, error) { return []byte(b.String()), nil }
func (b *Backend) UnmarshalText(text []byte) error {
	v, err := valueOf("NFS server", backends[:], string(text))
	*b = Backend(v)
	return err
}

func nameOf(kind string, names []string, v uint8) string {
	if int(v) < len(names) {
		return names[v]
	}
	return fmt.Sprintf("%s(%d)", kind, v)
}

func valueOf(kind string, names []string, name string) (int, error) {
	i := slices.Index(names, name)
	if i < 0 {
		return 0, fmt.Errorf("unknown %s %q: it is one of %s", kind, name, strings.Join(names, ", "))
	}
	return i, nil
}

// Options say what the lab does.
type Options struct {
	Fault Fault
	NFS   Backend
	XDP   model.AttachMode
	JSON  bool // print one JSON object instead of lines and a table
	Keep  bool // stay up afterwards until the context ends

	// Config is the director's configuration: file name to text.
	Config map[string]string
	// Program is the fairlead programme; "": the one that runs.
	Program string
	// AttachPass attaches an XDP programme that lets everything pass to an
	// interface of the calling thread's network namespace.
	AttachPass func(ifindex int) (io.Closer, error)
}

// director is the name of the one director of the note's configuration.
const director = "nfs"

// checkOf is the check of the configuration's director.
func checkOf(files map[string]string) (model.Check, error) {
	var sources []config.Source
	for _, name := range slices.Sorted(maps.Keys(files)) {
		sources = append(sources, config.Source{Name: name, Text: []byte(files[name])})
	}
	cfg, found := config.Load(sources)
	if config.Failed(found) {
		return model.Check{}, fmt.Errorf("read the director's configuration: %v", found[0])
	}
	for _, d := range cfg.Directors {
		if d.Name == director {
			return d.Check, nil
		}
	}
	return model.Check{}, fmt.Errorf("read the director's configuration: no director %q", director)
}

// detectionLimit is the longest time from a fault to the decision that the
// check allows: the fault may come right after a probe, the next one fails by its
// time-out, and each confirmation takes at most its own. See package decide.
func detectionLimit(c model.Check) time.Duration {
	const confirmAfter, confirmTimeout = 50 * time.Millisecond, time.Second
	return c.Interval + c.Timeout + time.Duration(c.Fall-1)*(confirmAfter+min(c.Timeout, confirmTimeout))
}
