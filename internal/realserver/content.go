package realserver

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// The files that a set-up writes.
const (
	sysctlDir    = "/etc/sysctl.d/"
	sysctlFile   = sysctlDir + "90-fairlead-realserver.conf"
	networkdDir  = "/etc/systemd/network/"
	ifupdownFile = "/etc/network/interfaces.d/fairlead-realserver"
	unitName     = "fairlead-realserver.service"
	unitFile     = "/etc/systemd/system/" + unitName
	unitWanted   = "/etc/systemd/system/multi-user.target.wants/" + unitName
	nfsFile      = "/etc/nfs.conf.d/fairlead-realserver.conf"
)

// header begins every file.
const header = "# Written by fairlead realserver setup; `fairlead realserver undo` takes it away.\n"

// sysctlText keeps the settings at boot.
func sysctlText(all []item) string {
	var b strings.Builder
	b.WriteString(header + "# Nobody answers ARP for the virtual IPs here: that is the director's part.\n")
	for _, i := range all {
		fmt.Fprintf(&b, "%s = %s\n", dotted(i.key.Name), i.want.Text)
	}
	return b.String()
}

// networkdText is a file of systemd-networkd for one interface; a drop-in adds to
// the file that the interface has already.
func networkdText(dev string, vips []VIP, dropIn bool) string {
	var b strings.Builder
	b.WriteString(header)
	if !dropIn {
		// KeepConfiguration: the addresses of others stay, whatever the version.
		fmt.Fprintf(&b, "[Match]\nName=%s\n\n[Link]\nRequiredForOnline=no\n\n[Network]\nKeepConfiguration=static\n", dev)
	}
	for _, v := range vips {
		fmt.Fprintf(&b, "\n[Address]\nAddress=%s\n", v.prefix())
		if v.Addr.Is6() {
			b.WriteString("DuplicateAddressDetection=none\n")
		}
	}
	return b.String()
}

// ifupdownText adds to the stanzas that the interfaces have already.
func ifupdownText(wish Wish) string {
	var b strings.Builder
	b.WriteString(header)
	for _, v := range wish.VIPs {
		family := "inet"
		if v.Addr.Is6() {
			family = "inet6"
		}
		fmt.Fprintf(&b, "\niface %s %s manual\n    up %s\n    down ip address del %s dev %s || true\n",
			v.Dev, family, ipCommand("ip", v), v.prefix(), v.Dev)
	}
	return b.String()
}

// ipCommand gives an interface the address, whether it has it already or not.
func ipCommand(ip string, v VIP) string {
	command := fmt.Sprintf("%s address replace %s dev %s", ip, v.prefix(), v.Dev)
	if v.Addr.Is6() {
		command += " nodad"
	}
	return command
}

// unitText is for systems whose network neither systemd-networkd nor ifupdown
// keeps.
func unitText(ip string, wish Wish) string {
	var b strings.Builder
	b.WriteString(header + `[Unit]
Description=Virtual IPs of a director, for Direct Server Return
After=systemd-sysctl.service network.target
Before=nfs-server.service

[Service]
Type=oneshot
RemainAfterExit=yes
`)
	for _, v := range wish.VIPs {
		fmt.Fprintf(&b, "ExecStart=%s\n", ipCommand(ip, v))
	}
	b.WriteString("\n[Install]\nWantedBy=multi-user.target\n")
	return b.String()
}

// nfsPorts are the ports of the services that have random ones. nfsd has 2049
// anyway. mountd's is the registered one; the others are those that distributions
// write in their examples.
var nfsPorts = struct{ mountd, statd, statdOut, lockd, lockdUDP, rquotad int }{20048, 32765, 32766, 32803, 32769, 875}

func nfsText() string {
	p := nfsPorts
	return fmt.Sprintf(header+`
[mountd]
port=%d

[statd]
port=%d
outgoing-port=%d

[lockd]
port=%d
udp-port=%d
`, p.mountd, p.statd, p.statdOut, p.lockd, p.lockdUDP)
}

// quotaFiles have the options of rpc.rquotad: in Debian, and in Red Hat's kin.
var quotaFiles = []string{"/etc/default/quota", "/etc/sysconfig/rpc-rquotad"}

const quotaOption = "RPCRQUOTADOPTS="

// quotaText gives rquotad its port. What else the file says stays; false: it has
// options already, which are its administrator's.
func quotaText(text string) (string, bool) {
	line := fmt.Sprintf("%s\"-p %d\"", quotaOption, nfsPorts.rquotad)
	lines := strings.SplitAfter(text, "\n")
	for i, l := range lines {
		value, ok := strings.CutPrefix(strings.TrimSpace(l), quotaOption)
		if !ok {
			continue
		}
		if value = strings.Trim(value, `"'`); value != "" {
			return text, value == fmt.Sprintf("-p %d", nfsPorts.rquotad)
		}
		lines[i] = strings.Replace(l, strings.TrimSpace(l), line, 1)
		return strings.Join(lines, ""), true
	}
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return text + line + "\n", true
}

// ancestors are the directories above a file, the highest first.
func ancestors(path string) []string {
	var all []string
	for dir := filepath.Dir(path); dir != "/"; dir = filepath.Dir(dir) {
		all = append(all, dir)
	}
	slices.Reverse(all)
	return all
}
