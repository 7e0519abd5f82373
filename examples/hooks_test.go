package examples

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const (
	old = "192.168.10.100"
	new = "192.168.10.101"
)

// stage is a PATH of fake commands, which note how they were called.
type stage struct{ dir, log string }

// newStage makes the commands. One named in broken fails; "ssh 192.168.10.100"
// stands for a server that does not answer. The fake ssh runs what it is given
// with the same fake commands.
func newStage(t *testing.T, broken ...string) stage {
	t.Helper()
	s := stage{dir: t.TempDir()}
	s.log = filepath.Join(s.dir, "log")
	for _, name := range []string{"ssh", "systemctl", "exportfs", "umount", "mount", "mountpoint", "drbdadm", "sm-notify", "ipmitool", "sleep"} {
		text := "#!/bin/sh\necho \"" + name + " $*\" >>" + s.log + "\n"
		if name == "ssh" {
			text = "#!/bin/sh\nfor at; do case $at in root@*) break ;; esac; done\n"
			text += "case \" " + strings.Join(broken, " ") + " \" in *\" ${at#root@} \"*) exit 255 ;; esac\n"
			text += "echo \"on ${at#root@}\" >>" + s.log + "\nexec sh -eu\n"
		}
		for _, b := range broken {
			if b == name {
				text += "exit 1\n"
			}
		}
		s.write(t, name, text)
	}
	return s
}

func (s stage) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

// run runs an example as the daemon does, and returns what it did.
func (s stage) run(t *testing.T, hook, server string) (did []string, ok bool) {
	t.Helper()
	if err := os.WriteFile(s.log, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "hooks/"+hook)
	kind := hook[strings.LastIndexByte(hook, '-')+1:]
	cmd.Env = []string{"PATH=" + s.dir + ":/usr/bin:/bin", "LANG=C", "FAIRLEAD_HOOK=" + kind, "FAIRLEAD_DIRECTOR=nfs",
		"FAIRLEAD_VIPS=192.168.10.50 192.168.10.51", "FAIRLEAD_OLD=" + server, "FAIRLEAD_OLD_ADDR=" + old,
		"FAIRLEAD_NEW=nfs-02", "FAIRLEAD_NEW_ADDR=" + new, "FAIRLEAD_EPOCH=2", "FAIRLEAD_REASON=server-failed",
		"FAIRLEAD_WHY=connection refused", "FAIRLEAD_TIMEOUT=4"}
	cmd.Stdin = strings.NewReader("{}\n")
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if len(out) == 0 && err == nil {
		t.Errorf("%s says nothing of what it did", hook)
	}
	log, err2 := os.ReadFile(s.log)
	if err2 != nil {
		t.Fatal(err2)
	}
	return strings.Split(strings.TrimSpace(string(log)), "\n"), err == nil
}

func TestHooks(t *testing.T) {
	letGo := []string{"on " + old, "systemctl stop nfs-server", "mountpoint -q /srv/share", "umount /srv/share", "drbdadm secondary nfs"}
	for _, tt := range []struct {
		hook   string
		broken []string
		did    []string
		ok     bool
	}{
		{"drbd-fence", nil, letGo, true},
		{"drbd-fence", []string{"mountpoint"}, append(letGo[:3:3], letGo[4]), true}, // done before
		{"drbd-fence", []string{"umount"}, append(letGo[:4:4], "on "+new, "drbdadm disconnect nfs"), true},
		{"drbd-fence", []string{old}, []string{"on " + new, "drbdadm disconnect nfs"}, true},
		{"drbd-fence", []string{old, "drbdadm"}, []string{"on " + new, "drbdadm disconnect nfs"}, false},
		{"drbd-fence", []string{old, new}, []string{""}, false},
		{"drbd-promote", nil, []string{"on " + new, "drbdadm primary nfs", "mountpoint -q /srv/share",
			"systemctl restart nfs-server", "sm-notify -f -v 192.168.10.50"}, true},
		{"drbd-promote", []string{"mountpoint"}, []string{"on " + new, "drbdadm primary nfs", "mountpoint -q /srv/share",
			"mount /dev/drbd0 /srv/share", "systemctl restart nfs-server", "sm-notify -f -v 192.168.10.50"}, true},
		{"drbd-promote", []string{"drbdadm"}, []string{"on " + new, "drbdadm primary nfs"}, false},
		{"drbd-promote", []string{new}, []string{""}, false},
		{"exportfs-fence", nil, []string{"on " + old, "exportfs -ua", "exportfs -f"}, true},
		{"exportfs-fence", []string{"exportfs"}, []string{"on " + old, "exportfs -ua"}, false},
		{"exportfs-fence", []string{old}, []string{""}, false},
		{"nfs-promote", nil, []string{"on " + new, "systemctl restart nfs-server", "exportfs -ra", "sm-notify -f -v 192.168.10.50"}, true},
		{"nfs-promote", []string{"systemctl"}, []string{"on " + new, "systemctl restart nfs-server"}, false},
	} {
		s := newStage(t, tt.broken...)
		for range 2 { // a hook may be run again
			did, ok := s.run(t, tt.hook, "nfs-01")
			if strings.Join(did, "\n") != strings.Join(tt.did, "\n") || ok != tt.ok {
				t.Errorf("%s, broken %q: did %q, ok %t; want %q, %t", tt.hook, tt.broken, did, ok, tt.did, tt.ok)
			}
		}
	}
}

// TestPowerFence: only the controller's word counts.
func TestPowerFence(t *testing.T) {
	s := newStage(t)
	const call = " -I lanplus -H 192.168.20.100 -U fairlead -f /etc/fairlead/ipmi-password chassis power "
	controller := "#!/bin/sh\necho \"ipmitool $*\" >>" + s.log + "\n" +
		"case $* in *off) touch " + s.dir + "/off ;; *) if [ -e " + s.dir + "/off ]; then echo Chassis Power is off; else echo Chassis Power is on; fi ;; esac\n"
	s.write(t, "ipmitool", controller)
	want := "ipmitool" + call + "status\nipmitool" + call + "off\nsleep 1\nipmitool" + call + "status"
	if did, ok := s.run(t, "power-fence", "nfs-01"); !ok || strings.Join(did, "\n") != want {
		t.Errorf("did %q, ok %t", did, ok)
	}
	if did, ok := s.run(t, "power-fence", "nfs-01"); !ok || len(did) != 1 {
		t.Errorf("again: did %q, ok %t", did, ok)
	}
	if did, ok := s.run(t, "power-fence", "nfs-03"); ok || did[0] != "" {
		t.Errorf("a server without a controller: did %q, ok %t", did, ok)
	}
	s = newStage(t, "ipmitool")
	if did, ok := s.run(t, "power-fence", "nfs-01"); ok || len(did) != 3*4 {
		t.Errorf("a controller that fails: did %q, ok %t", did, ok)
	}
}

// TestHooksAreDocumented: what the examples read of their environment is in
// the guide, and so is each example.
func TestHooksAreDocumented(t *testing.T) {
	guide, err := os.ReadFile("../docs/how-to/fencing.md")
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir("hooks")
	if err != nil || len(entries) < 4 {
		t.Fatalf("%d examples, %v", len(entries), err)
	}
	for _, e := range entries {
		text, err := os.ReadFile("hooks/" + e.Name())
		if err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), "sh", "-n", "hooks/"+e.Name()).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", e.Name(), err, out)
		}
		for _, word := range append(regexp.MustCompile(`FAIRLEAD_[A-Z_]+`).FindAllString(string(text), -1), e.Name()) {
			if !strings.Contains(string(guide), "`"+word+"`") && !strings.Contains(string(guide), "["+word+"]") {
				t.Errorf("%s: the guide does not mention %s", e.Name(), word)
			}
		}
	}
}
