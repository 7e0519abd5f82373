package config

import (
	"fmt"
	"net/netip"
	"path"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"fairlead/internal/model"
)

// Limits of names, numbers and times.
const (
	maxName     = 27
	maxIface    = 15 // IFNAMSIZ without its NUL
	maxPort     = 65535
	maxWeight   = 256
	maxRiseFall = 255
	minTime     = 10 * time.Millisecond
	maxTime     = time.Hour
	longTime    = 24 * time.Hour // of what waits for people, or for a server's repair
	maxPath     = 255            // characters
)

// name reads a name of a flow, director or server; extra are the characters
// allowed beside letters, digits, - and _.
func (r *report) name(w Word, what, extra string) bool {
	for i, c := range w.Text {
		if c < 128 && (isLetter(c) || isDigit(c) || strings.ContainsRune("-_"+extra, c)) {
			continue
		}
		allowed := "allowed are letters, digits, - and _"
		if extra != "" {
			allowed = "allowed are letters, digits, -, _ and " + extra
		}
		shown := fmt.Sprintf("%q", c)
		if c >= 128 { // it may look like an allowed one
			shown += fmt.Sprintf(" (%U)", c)
		}
		r.fail(w.cut(i, i+utf8.RuneLen(c)), allowed, "%s name %s has the character %s", what, quote(w.Text), shown)
		return false
	}
	if n := len(w.Text); n > maxName {
		r.fail(w, "at most 27 are allowed", "%s name %s has %d characters", what, quote(w.Text), n)
		return false
	}
	return true
}

func isLetter(c rune) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
func isDigit(c rune) bool  { return '0' <= c && c <= '9' }

// number reads a decimal number from least to most.
func (r *report) number(w Word, what string, least, most int) (int, bool) {
	hint := "expected a number from " + strconv.Itoa(least) + " to " + strconv.Itoa(most)
	digits := strings.TrimPrefix(w.Text, "-")
	if digits == "" || strings.TrimFunc(digits, isDigit) != "" {
		r.fail(w, hint, "%s %s is not a number", what, quote(w.Text))
		return 0, false
	}
	n, err := strconv.Atoi(w.Text)
	if err != nil || n < least || n > most {
		r.fail(w, hint, "%s %s is out of range", what, w.Text)
		return 0, false
	}
	return n, true
}

// duration reads a time: a bare number is in seconds, a unit may follow.
func (r *report) duration(w Word, what string, most time.Duration) (time.Duration, bool) {
	text := w.Text
	if strings.TrimFunc(text, func(c rune) bool { return isDigit(c) || c == '.' }) == "" {
		text += "s"
	}
	d, err := time.ParseDuration(text)
	if err != nil || !isDigit(rune(text[0])) {
		r.fail(w, "expected seconds, or a number with a unit: 10, 4s, 200ms or 2m", "%s %s is not a time", what, quote(w.Text))
		return 0, false
	}
	if d < minTime || d > most {
		r.fail(w, "expected a time from 10ms to "+spell(most), "%s %s is out of range", what, w.Text)
		return 0, false
	}
	return d, true
}

// spell is a time as people write it: 5m, not 5m0s.
func spell(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// wait reads a time that may also be none: off, or 0 in any unit.
func (r *report) wait(w Word, what string) (time.Duration, bool) {
	if d, err := time.ParseDuration(w.Text); w.Text == "off" || err == nil && d == 0 {
		return 0, true
	}
	return r.duration(w, what, longTime)
}

// path reads the absolute path of a file; dir, for messages, is where such files usually are.
func (r *report) path(w Word, what, dir string) bool {
	switch clean := path.Clean(w.Text); {
	case !path.IsAbs(w.Text):
		r.fail(w, "write where it is, for example "+dir+strings.TrimPrefix(clean, "./"), "%s %s is not an absolute path", what, quote(w.Text))
	case len(w.Text) > maxPath:
		r.fail(w, "at most 255 are allowed", "%s %s has %d characters", what, quote(w.Text), len(w.Text))
	case clean == "/":
		r.fail(w, "name the file in it", "%s %s is a directory", what, quote(w.Text))
	case clean != w.Text:
		r.fail(w, "write "+clean, "%s %s is not the shortest form of its path", what, quote(w.Text))
	default:
		return true
	}
	return false
}

// address reads an IPv4 or IPv6 address.
func (r *report) address(w Word, what string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(w.Text)
	switch {
	case err == nil && addr.Zone() != "":
		r.fail(w, "write it without "+quote("%"+addr.Zone()), "%s %s names an interface", what, w.Text)
	case err == nil && addr.Is4In6():
		r.fail(w, "write "+addr.Unmap().String(), "%s %s is an IPv4 address in the form of IPv6", what, w.Text)
	case err == nil:
		return addr, true
	default:
		r.fail(w, "expected for example 192.168.10.50 or 2001:db8::50",
			"%s %s is not an IP address", what, quote(w.Text))
	}
	return netip.Addr{}, false
}

// host reads the address of one machine.
func (r *report) host(w Word, what string) (netip.Addr, bool) {
	addr, ok := r.address(w, what)
	if !ok {
		return addr, false
	}
	var kind string
	switch first := addr.AsSlice()[0]; {
	case addr.IsLoopback():
		kind = "a loopback address"
	case addr.IsMulticast():
		kind = "a multicast address"
	case addr.Is6() && addr.IsLinkLocalUnicast():
		kind = "a link-local address, which every interface has"
	case addr.Is4() && (first == 0 || first >= 240), addr.IsUnspecified():
		kind = "reserved"
	default:
		return addr, true
	}
	r.fail(w, "expected the address of one machine", "%s %s is %s", what, w.Text, kind)
	return addr, false
}

// hostPort reads an address and an optional port. Port 0 is the same as none. An
// IPv6 address with a port stands in brackets.
func (r *report) hostPort(w Word, what string) (addr netip.Addr, port uint16, ok bool) {
	host, rest := w, Word{}
	if end := strings.IndexByte(w.Text, ']'); strings.HasPrefix(w.Text, "[") && end > 0 {
		host, rest = w.cut(1, end), w.cut(end+1, len(w.Text))
	} else if i := strings.LastIndexByte(w.Text, ':'); i >= 0 && strings.IndexByte(w.Text, ':') == i {
		host, rest = w.cut(0, i), w.cut(i, len(w.Text))
	}
	addr, ok = r.host(host, what)
	if rest.Text == "" {
		return addr, 0, ok
	}
	if rest.Text[0] != ':' {
		r.fail(rest, "write [ADDRESS]:PORT", "unexpected %s after the %s", quote(rest.Text), what)
		return addr, 0, false
	}
	n, okPort := r.number(rest.cut(1, len(rest.Text)), "port", 0, maxPort)
	return addr, uint16(n), ok && okPort
}

// prefix reads an address with an optional mask: 24 or 255.255.255.0, of IPv6 a
// length such as 64. Host bits are kept: the caller knows whether they matter.
func (r *report) prefix(w Word, what string) (netip.Prefix, bool) {
	text, mask, masked := strings.Cut(w.Text, "/")
	addr, ok := r.address(w.cut(0, len(text)), what)
	if !ok || !masked {
		return netip.PrefixFrom(addr, addr.BitLen()), ok
	}
	at := w.cut(len(text)+1, len(w.Text))
	if addr.Is6() {
		p, err := netip.ParsePrefix("::/" + mask)
		if err != nil {
			r.fail(at, "expected 0 to 128", "%s is not the length of an IPv6 network", quote(mask))
		}
		return netip.PrefixFrom(addr, p.Bits()), err == nil
	}
	bits, ok := maskBits(mask)
	if !ok {
		r.fail(at, "expected 0 to 32, or for example 255.255.255.0", "%s is not a mask", quote(mask))
	}
	return netip.PrefixFrom(addr, bits), ok
}

// maskBits is the length of an IPv4 mask.
func maskBits(mask string) (int, bool) {
	if addr, err := netip.ParseAddr(mask); err == nil && addr.Is4() {
		b := addr.As4()
		v := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
		bits := 0
		for ; v&(1<<31) != 0; v <<= 1 {
			bits++
		}
		return bits, v == 0
	}
	p, err := netip.ParsePrefix("0.0.0.0/" + mask)
	return p.Bits(), err == nil
}

// ports reads a port or a range of ports.
func (r *report) ports(w Word, what string) (model.Ports, bool) {
	i := strings.IndexByte(w.Text, ':')
	if i < 0 {
		n, ok := r.number(w, what, 1, maxPort)
		return model.Ports{First: uint16(n), Last: uint16(n)}, ok
	}
	first, ok1 := r.number(w.cut(0, i), what, 1, maxPort)
	last, ok2 := r.number(w.cut(i+1, len(w.Text)), what, 1, maxPort)
	if ok1 && ok2 && last < first {
		r.fail(w, "write the lower port first", "%s range %s is upside down", what, w.Text)
		return model.Ports{}, false
	}
	return model.Ports{First: uint16(first), Last: uint16(last)}, ok1 && ok2
}

// iface reads the name of a network interface.
func (r *report) iface(w Word) bool {
	if len(w.Text) > maxIface || strings.ContainsAny(w.Text, "/:") || w.Text == "." || w.Text == ".." {
		r.fail(w, "at most 15 characters, without / and :", "%s cannot be the name of an interface", quote(w.Text))
		return false
	}
	return true
}
