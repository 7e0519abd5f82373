package realserver

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Kind is a kind of thing that a set-up changes.
type Kind uint8

const (
	Directory Kind = iota
	File           // or a symbolic link
	Setting        // of the running kernel
	Interface      // whether it is up
	Address        // of an interface
)

var kinds = [...]string{"directory", "file", "setting", "interface", "address"}

func (k Kind) String() string {
	if int(k) < len(kinds) {
		return kinds[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

func (k *Kind) UnmarshalText(b []byte) error {
	i := slices.Index(kinds[:], string(b))
	if i < 0 {
		return fmt.Errorf("unknown kind %q", b)
	}
	*k = Kind(i)
	return nil
}

// Key names one thing. The name of a file is its path below the root, that of a
// setting its path below /proc/sys: names of interfaces may have dots in them.
type Key struct {
	Kind Kind   `json:"kind"`
	Name string `json:"name"`
}

const device = " dev " // between the address and the interface, as ip writes it

func addressKey(p netip.Prefix, dev string) Key { return Key{Address, p.String() + device + dev} }

// address is what addressKey was made of.
func (k Key) address() (p netip.Prefix, dev string, err error) {
	text, dev, _ := strings.Cut(k.Name, device)
	p, err = netip.ParsePrefix(text)
	return p, dev, err
}

// String names the thing as its administrator does.
func (k Key) String() string {
	switch k.Kind {
	case Setting:
		return dotted(k.Name)
	case Interface, Address:
		return k.Kind.String() + " " + k.Name
	}
	return k.Name
}

// dotted is the name that sysctl knows a setting by. It swaps dots and slashes.
func dotted(path string) string {
	return strings.NewReplacer("/", ".", ".", "/").Replace(path)
}

// Value is what a thing is. The zero value is a thing that is not there.
type Value struct {
	There    bool
	Text     string      // content, target of a link, value of a setting, up or down
	Mode     fs.FileMode // of a file or directory: its type and permissions
	UID, GID int
}

// same compares what a thing is, not whose it is.
func (v Value) same(w Value) bool {
	return v.There == w.There && v.Text == w.Text && v.Mode.Type() == w.Mode.Type()
}

func (v Value) link() bool { return v.Mode.Type() == fs.ModeSymlink }

// plain is the value of a setting, an interface or an address.
func plain(text string) Value { return Value{There: true, Text: text} }

// ours is a file of the given content that belongs to root.
func ours(text string) Value { return Value{There: true, Text: text, Mode: 0o644} }

// savedValue is a Value in the record. An original need not be text.
type savedValue struct {
	Text  *string `json:"text,omitempty"`
	Bytes []byte  `json:"base64,omitempty"`
	Type  string  `json:"type,omitempty"` // link, dir
	Mode  string  `json:"mode,omitempty"`
	UID   int     `json:"uid,omitempty"`
	GID   int     `json:"gid,omitempty"`
}

var types = map[fs.FileMode]string{0: "", fs.ModeSymlink: "link", fs.ModeDir: "dir"}

func (v Value) MarshalJSON() ([]byte, error) {
	if !v.There {
		return []byte("null"), nil
	}
	s := savedValue{Type: types[v.Mode.Type()], UID: v.UID, GID: v.GID}
	if v.Mode != 0 {
		s.Mode = fmt.Sprintf("%04o", v.Mode.Perm())
	}
	if utf8.ValidString(v.Text) {
		s.Text = &v.Text
	} else {
		s.Bytes = []byte(v.Text)
	}
	return json.Marshal(s)
}

func (v *Value) UnmarshalJSON(b []byte) error {
	*v = Value{}
	if string(b) == "null" {
		return nil
	}
	var s savedValue
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	v.There, v.Text, v.UID, v.GID = true, string(s.Bytes), s.UID, s.GID
	if s.Text != nil {
		v.Text = *s.Text
	}
	if s.Mode != "" {
		perm, err := strconv.ParseUint(s.Mode, 8, 32)
		if err != nil {
			return fmt.Errorf("mode %q: %w", s.Mode, err)
		}
		v.Mode = fs.FileMode(perm).Perm()
	}
	for mode, name := range types {
		if name == s.Type {
			v.Mode |= mode
			return nil
		}
	}
	return fmt.Errorf("unknown type %q", s.Type)
}
