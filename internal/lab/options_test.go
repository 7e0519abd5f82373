package lab

import (
	"strings"
	"testing"
	"time"

	"fairlead/internal/lab/outcome"
)

// note is the application note's configuration.
var note = map[string]string{
	"flow.cfg": "flow nfs director nfs\nmatch iface eth0 dst 192.168.10.50\n",
	"l4.cfg": "director nfs\nbalance roundrobin\nmode gateway\ncheck interval 10 port 2049 timeout 2\noption tcpcheck\n" +
		"server nfs-01 192.168.10.100:2049 weight 10 check\nserver nfs-02 192.168.10.101:2049 sorry\n",
	"services.cfg": "sysctl expire_nodest_conn=1\nsysctl expire_quiescent_template=1\n",
}

func TestLimits(t *testing.T) {
	c, err := checkOf(note)
	if err != nil {
		t.Fatal(err)
	}
	got := limitsOf(c)
	if want := (limits{3 * time.Second, time.Second, 12*time.Second + time.Duration(c.Fall-1)*1050*time.Millisecond}); got != want || c.Fall < 1 {
		t.Errorf("got %v, want %v with fall %d", got, want, c.Fall)
	}
	if _, err := checkOf(map[string]string{"a.cfg": "directr x\n"}); err == nil {
		t.Error("a broken configuration is accepted")
	}
}

func TestConfigured(t *testing.T) {
	for _, tt := range []struct {
		opts Options
		want string
	}{
		{Options{Config: note}, "check interval 10 port 2049 timeout 2\n"},
		{Options{Config: note, Check: outcome.Fast}, "check interval 1s port 2049 timeout 500ms\n"},
		{Options{Config: note, Fault: outcome.Double}, "2049 sorry check\n"},
		{Options{Config: note, Mode: outcome.Tunnel}, "server nfs-02 10.9.0.101:2049 sorry\n"},
		{Options{Config: note, Mode: outcome.Tunnel}, "mode tunnel\n"},
	} {
		files, err := tt.opts.configured()
		if err != nil || !strings.Contains(files["l4.cfg"], tt.want) {
			t.Errorf("%q, %v: want %q", files["l4.cfg"], err, tt.want)
		}
		if _, err := checkOf(files); err != nil {
			t.Error(err)
		}
	}
	if strings.Contains(note["l4.cfg"], "500ms") {
		t.Error("the example itself was changed")
	}
	other := Options{Config: map[string]string{"l4.cfg": "director x\n"}, Check: outcome.Fast}
	if _, err := other.configured(); err == nil {
		t.Error("another configuration is taken for the note's")
	}
}

// TestScripts: every scenario has one.
func TestConfiguredOfSix(t *testing.T) {
	o := Options{Config: note, Check: outcome.Fast, Six: true}
	files, err := o.configured()
	if err != nil {
		t.Fatal(err)
	}
	all := ""
	for _, text := range files {
		all += text
	}
	for _, want := range []string{"match iface eth0 dst fd00:192:168:10::50", "server nfs-01 [fd00:192:168:10::100]:2049 ", "server nfs-02 [fd00:192:168:10::101]:2049 ", "check interval 1s "} {
		if !strings.Contains(all, want) {
			t.Errorf("it lacks %q:\n%s", want, all)
		}
	}
	if strings.Contains(all, "192.168.10.") {
		t.Errorf("an IPv4 address is left:\n%s", all)
	}
}

func TestScripts(t *testing.T) {
	for _, f := range outcome.Faults() {
		if scripts[f] == nil {
			t.Errorf("%v: nothing would happen", f)
		}
	}
}
