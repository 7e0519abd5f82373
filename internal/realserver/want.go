package realserver

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"path"
	"slices"
	"strings"
)

const (
	whyIgnore   = "so that nobody here answers ARP for the virtual IP"
	whyAnnounce = "so that this server never says in an ARP request of its own that the virtual IP is here"
	whyBoot     = "so that it is so after a boot too"
	whyPorts    = "so that both servers have the same ports, and a firewall can name them"
)

func confSetting(dev, name string) string { return "net/ipv4/conf/" + dev + "/" + name }

// quiet are the values of arp_ignore with which a server that has the virtual IP
// on another interface is silent about it, and still answers for its own address.
var quiet = []string{"1", "2"}

// wantedSettings are those of the kernel. The maximum of "all" and the interface
// counts, so those of an interface itself only matter where they are higher.
func wantedSettings(was record, wish Wish, links []Link, setting func(string) (string, bool, error)) ([]item, error) {
	devs := wish.devs(true)
	if len(devs) == 0 {
		return nil, nil
	}
	var all []item
	for _, dev := range append([]string{"all"}, devs...) {
		all = append(all, item{Key{Setting, confSetting(dev, "arp_ignore")}, plain("1"), quiet, whyIgnore},
			item{Key{Setting, confSetting(dev, "arp_announce")}, plain("2"), nil, whyAnnounce})
	}
	for _, l := range links {
		if l.silent() {
			continue
		}
		name := confSetting(l.Name, "arp_ignore")
		text, there, err := setting(name)
		if err != nil {
			return nil, fmt.Errorf("read a setting of the kernel: %w", err)
		}
		if _, changed := was.find(Key{Setting, name}); changed || there && text != "0" && !slices.Contains(quiet, text) {
			all = append(all, item{Key{Setting, name}, plain("1"), quiet, whyIgnore})
		}
	}
	return all, nil
}

// wantedKernel are the running network's things.
func wantedKernel(was record, wish Wish, settings []item, links []Link) []item {
	all := slices.Clone(settings)
	up := map[string]bool{}
	for _, v := range wish.VIPs {
		if !up[v.Dev] {
			up[v.Dev] = true
			all = append(all, item{Key{Interface, v.Dev}, plain("up"), nil, "an interface that is down accepts nothing"})
			all = append(all, firstAddress(was, v.Dev, links)...)
		}
	}
	for _, v := range wish.VIPs {
		all = append(all, item{addressKey(v.prefix(), v.Dev), plain(""), nil, "so that packets for the virtual IP are accepted"})
	}
	return all
}

// firstAddress is the one that the kernel gives to the loopback when it goes up
// for the first time. It is an item, so that undo takes it away.
func firstAddress(was record, dev string, links []Link) []item {
	key := addressKey(netip.MustParsePrefix("127.0.0.1/8"), dev)
	_, given := was.find(key)
	if given || slices.ContainsFunc(links, func(l Link) bool {
		return l.Name == dev && l.Loopback && !l.Up && len(l.Addresses) == 0
	}) {
		return []item{{key, plain(""), nil, "the loopback's own, which comes when it goes up"}}
	}
	return nil
}

// wantedFiles are the files, with the directories that they need, and what the
// administrator has to know of them. The settings that a file keeps are those
// that every such server has, not what this one happens to run with.
func wantedFiles(d disk, was record, wish Wish, settings []item) ([]item, []string, error) {
	var files []item
	var notes []string
	if wish.Persist != "" {
		if len(settings) > 0 {
			files = append(files, file(sysctlFile, sysctlText(settings), whyBoot))
		}
		more, err := managedFiles(d, wish)
		if err != nil {
			return nil, nil, err
		}
		files = append(files, more...)
	}
	if wish.NFSPorts {
		more, told, err := nfsFiles(d, was)
		if err != nil {
			return nil, nil, err
		}
		files, notes = append(files, more...), told
	}
	var all []item
	made := map[string]bool{}
	for _, f := range files {
		for _, dir := range ancestors(f.key.Name) {
			if !made[dir] {
				made[dir] = true
				all = append(all, item{Key{Directory, dir}, Value{There: true, Mode: fs.ModeDir | 0o755}, nil, "for the file in it"})
			}
		}
		all = append(all, f)
	}
	return all, notes, nil
}

func file(path, text, why string) item { return item{Key{File, path}, ours(text), nil, why} }

// managedFiles make the system's manager give the addresses at boot.
func managedFiles(d disk, wish Wish) ([]item, error) {
	switch wish.Persist {
	case Ifupdown:
		return []item{file(ifupdownFile, ifupdownText(wish), whyBoot)}, nil
	case Unit:
		ip, ok := findIP(d)
		if !ok {
			return nil, noUnit(d)
		}
		link := Value{There: true, Text: unitFile, Mode: fs.ModeSymlink}
		return []item{file(unitFile, unitText(ip, wish), whyBoot), {Key{File, unitWanted}, link, nil, "so that the unit is started at boot"}}, nil
	}
	var all []item
	for _, dev := range append(wish.devs(true), wish.devs(false)...) {
		path, dropIn, err := networkdFile(d, dev)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(all, func(i item) bool { return i.key.Name == path }) {
			continue // it has addresses of both families
		}
		vips := slices.DeleteFunc(slices.Clone(wish.VIPs), func(v VIP) bool { return v.Dev != dev })
		all = append(all, file(path, networkdText(dev, vips, dropIn), whyBoot))
	}
	return all, nil
}

// nfsFiles pin the ports of the kernel's NFS server.
func nfsFiles(d disk, was record) ([]item, []string, error) {
	if !there(d, "/etc/nfs.conf") && !there(d, "/usr/etc/nfs.conf") && !d.isDir(path.Dir(nfsFile)) {
		return nil, nil, errors.New("--nfs-ports is for the kernel's NFS server of nfs-utils 2.1 or newer, which has a file /etc/nfs.conf; " +
			"there is none here. Give another NFS server its ports in its own configuration")
	}
	all := []item{file(nfsFile, nfsText(), whyPorts)}
	var notes []string
	for _, name := range quotaFiles {
		v, err := d.read(name)
		if err != nil {
			return nil, nil, fmt.Errorf("read the options of rquotad: %w", err)
		}
		if k, ok := was.find(Key{File, name}); ok && k.known(v) {
			v = k.Before // what was put there says nothing of what its owner wants
		}
		switch text, ok := quotaText(v.Text); {
		case !v.There:
		case v.link():
			notes = append(notes, fmt.Sprintf("%s is a symbolic link, which is not written through: give rpc.rquotad the option -p %d there yourself", name, nfsPorts.rquotad))
		case !ok:
			notes = append(notes, fmt.Sprintf("%s has options of rpc.rquotad already, which stay: add -p %d to them yourself", name, nfsPorts.rquotad))
		case text != v.Text:
			want := v
			want.Text = text
			all = append(all, item{Key{File, name}, want, nil, whyPorts})
		}
	}
	return all, notes, nil
}

// restarts are the services that read what a plan writes only when they begin.
func restarts(ops []Op) []string {
	var all []string
	for _, op := range ops {
		name := op.Key.Name
		switch {
		case op.Key.Kind != File:
		case name == nfsFile:
			all = append(all, "the NFS services read their ports when they start: systemctl restart rpc-statd nfs-mountd nfs-server "+
				"(clients wait for that moment; drain the server first)")
		case slices.Contains(quotaFiles, name):
			all = append(all, "rquotad reads its port when it starts: systemctl restart quotarpc (rpc-rquotad in Red Hat's kin)")
		case strings.HasPrefix(name, networkdDir):
			all = append(all, "systemd-networkd reads its files at the next boot, or now: networkctl reload")
		case name == unitFile:
			all = append(all, "systemd reads its units at the next boot, or now: systemctl daemon-reload")
		}
	}
	return all
}
