package realserver

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Manager is what gives interfaces their addresses at boot.
type Manager string

const (
	Networkd Manager = "networkd" // systemd-networkd
	Ifupdown Manager = "ifupdown"
	Unit     Manager = "unit" // a small unit of systemd that calls ip
)

// Managers are all of them.
func Managers() []Manager { return []Manager{Networkd, Ifupdown, Unit} }

// found is the manager that is in use, and how that was seen.
type found struct {
	manager Manager
	because string
}

// detect finds out what gives this system its addresses.
func detect(d disk) (found, error) {
	for _, sign := range []string{"/run/systemd/netif/state", "/etc/systemd/system/multi-user.target.wants/systemd-networkd.service",
		"/etc/systemd/system/dbus-org.freedesktop.network1.service"} {
		if there(d, sign) {
			return found{Networkd, "systemd-networkd is in use: there is " + sign}, nil
		}
	}
	if reason := noIfupdown(d); reason == nil {
		return found{Ifupdown, "ifupdown is in use: it is installed, and /etc/network/interfaces reads interfaces.d"}, nil
	}
	if noUnit(d) == nil {
		return found{Unit, "neither systemd-networkd nor ifupdown is in use, so a unit of systemd does it"}, nil
	}
	return found{}, errors.New("neither systemd-networkd, nor ifupdown that reads /etc/network/interfaces.d, nor systemd was found here. " +
		"Leave out --persist, and let this system give the address to the interface at boot by its own means")
}

// usable says why a manager that was named cannot be used.
func usable(d disk, m Manager) error {
	switch m {
	case Ifupdown:
		return noIfupdown(d)
	case Unit:
		return noUnit(d)
	}
	if !hasSystemd(d) {
		return errors.New("systemd-networkd is not installed here")
	}
	return nil
}

func there(d disk, path string) bool {
	v, err := d.read(path)
	return err == nil && v.There
}

func hasSystemd(d disk) bool {
	return slices.ContainsFunc([]string{"/usr/lib/systemd/systemd", "/lib/systemd/systemd"}, func(p string) bool { return there(d, p) })
}

const interfaces = "/etc/network/interfaces"

func noIfupdown(d disk) error {
	if !there(d, "/sbin/ifup") && !there(d, "/usr/sbin/ifup") {
		return errors.New("ifupdown is not installed here")
	}
	text, err := d.text(interfaces)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("ifupdown is not in use here: there is no %s", interfaces)
	}
	if err != nil {
		return fmt.Errorf("read what ifupdown does: %w", err)
	}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) != 2 || words[0] != "source" && words[0] != "source-directory" {
			continue
		}
		pattern := words[1]
		if words[0] == "source-directory" {
			pattern = strings.TrimSuffix(pattern, "/") + "/*"
		}
		if !path.IsAbs(pattern) {
			pattern = path.Join(path.Dir(interfaces), pattern)
		}
		if ok, err := path.Match(pattern, ifupdownFile); err == nil && ok {
			return nil
		}
	}
	return fmt.Errorf("%s does not read interfaces.d: add the line `source /etc/network/interfaces.d/*` to it", interfaces)
}

// ipPlaces are where iproute2 has its command.
var ipPlaces = []string{"/usr/sbin/ip", "/sbin/ip", "/usr/bin/ip", "/bin/ip"}

func findIP(d disk) (string, bool) {
	i := slices.IndexFunc(ipPlaces, func(p string) bool { return there(d, p) })
	if i < 0 {
		return "", false
	}
	return ipPlaces[i], true
}

func noUnit(d disk) error {
	if !hasSystemd(d) {
		return errors.New("systemd is not installed here")
	}
	if _, ok := findIP(d); !ok {
		return errors.New("the command ip is not installed here; it is in the package iproute2")
	}
	return nil
}

// networkDirs are where systemd-networkd reads; a file in a former one replaces
// that of its name in a later one.
var networkDirs = []string{"/etc/systemd/network", "/run/systemd/network", "/usr/local/lib/systemd/network", "/usr/lib/systemd/network", "/lib/systemd/network"}

// networkdFile is where the addresses of an interface go. Only the first file that
// fits an interface counts. One for this interface alone gets a drop-in; one that
// fits others too would give the address to all of them, so that a file of its own
// has to come before it.
func networkdFile(d disk, dev string) (file string, dropIn bool, err error) {
	own := "00-fairlead-realserver-" + dev + ".network"
	files, err := layered(d, networkDirs, ".network")
	if err != nil {
		return "", false, err
	}
	for _, f := range files {
		text, err := d.text(f)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", false, fmt.Errorf("read what systemd-networkd does: %w", err)
		}
		fits, alone := matches(text, dev)
		switch name := path.Base(f); {
		case name == own || !fits:
		case alone:
			return networkdDir + name + ".d/50-fairlead-realserver.conf", true, nil
		case name < own:
			return "", false, fmt.Errorf("%s is about %s and other interfaces, and comes before %s: rename it so that it comes later", f, dev, own)
		}
	}
	return networkdDir + own, false, nil
}

// layered lists the files with that suffix in several directories, by their
// names; of several with the same name only the one in the first directory.
func layered(d disk, dirs []string, suffix string) ([]string, error) {
	at := map[string]string{}
	var names []string
	for _, dir := range dirs {
		entries, err := d.list(dir)
		if err != nil {
			return nil, fmt.Errorf("read the configuration of this system: %w", err)
		}
		for _, name := range entries {
			if strings.HasSuffix(name, suffix) && at[name] == "" {
				at[name] = dir + "/" + name
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	var files []string
	for _, n := range names {
		files = append(files, at[n])
	}
	return files, nil
}

// matches tells whether a file of systemd-networkd fits an interface, as far as
// that can be seen from names, and whether it is about that one alone. Other
// conditions are about hardware, which the loopback is not.
func matches(text, dev string) (fits, alone bool) {
	section, others := "", false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			section = line
		}
		key, value, ok := strings.Cut(line, "=")
		if section != "[Match]" || !ok || strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") {
			continue
		}
		hit := false
		switch strings.TrimSpace(key) {
		case "Name":
			hit = anyMatches(value, dev)
			alone = strings.TrimSpace(value) == dev
		case "Type":
			hit = dev == "lo" && anyMatches(value, "loopback")
			alone = alone || hit
		}
		fits, others = fits || hit, others || !hit
	}
	return fits && !others, alone
}

// anyMatches tries a list of patterns; "!" before the first turns the answer.
func anyMatches(patterns, name string) bool {
	patterns, not := strings.CutPrefix(strings.TrimSpace(patterns), "!")
	hit := slices.ContainsFunc(strings.Fields(patterns), func(p string) bool {
		ok, err := path.Match(p, name)
		return err == nil && ok
	})
	return hit != not
}
