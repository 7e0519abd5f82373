package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/pcapgo"

	"fairlead/internal/api"
	"fairlead/internal/model"
)

// shell runs command lines as a user would.
type shell struct {
	in             string
	terminal, root bool
	release        string
}

type result struct {
	code     int
	out, err string
}

func (s shell) run(ctx context.Context, args ...string) result {
	var out, err bytes.Buffer
	code := run(ctx, args, &surroundings{in: strings.NewReader(s.in), out: &out, err: &err, terminal: s.terminal, colour: s.terminal, root: s.root, release: s.release})
	return result{code, out.String(), err.String()}
}

// fakeDaemon answers over a real socket.
type fakeDaemon struct {
	api.Daemon // nil: nothing else is asked for
	status     model.Status
	refuse     error
	packets    []api.Packet
	events     []model.Event
}

func (d *fakeDaemon) Status() model.Status { return d.status }

func (d *fakeDaemon) Reload(context.Context, model.Actor) (api.Reloaded, error) {
	return api.Reloaded{Generation: 3, Warnings: []api.Diagnostic{{Rendered: "a.cfg:1:1: warning: careful\n"}}}, d.refuse
}

func (d *fakeDaemon) Order(_ context.Context, _ model.Actor, order api.Order) (api.Ordered, error) {
	verb, ref, force := order.Verb, model.ServerRef{Director: order.Director, Server: order.Server}, order.Force
	if verb != model.VerbSwitch {
		return api.Ordered{Text: fmt.Sprintf("%s %s, force %t", verb, ref, force)}, d.refuse
	}
	return api.Ordered{Switch: &model.Switch{From: "nfs-01", To: ref.Server, Epoch: 8}}, d.refuse
}

func (d *fakeDaemon) Events(ctx context.Context, since api.Since, follow bool, emit func(model.Event) error) error {
	for _, e := range d.events {
		if e.Seq <= since.Seq || e.At.Before(since.At) {
			continue
		}
		if err := emit(e); err != nil {
			return err
		}
	}
	if follow {
		return errors.New("read the journal: the disk is gone")
	}
	return d.refuse
}

func (d *fakeDaemon) Capture(ctx context.Context, _ int, emit func(api.Packet) error) error {
	for _, p := range d.packets {
		if err := emit(p); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return ctx.Err()
}

// serve returns the socket of a daemon that lives as long as the test.
func serve(t *testing.T, d api.Daemon) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "control.sock")
	l, err := api.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- api.New(l, slog.New(slog.DiscardHandler)).Run(ctx, d) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return path
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
	return path
}

const good = `flow nfs director nfs
  match iface eth0 dst 192.168.10.50
director nfs
  balance roundrobin
  mode gateway
  check interval 10 port 2049 timeout 2
  option tcpcheck
  hook fence /usr/bin/true
  server nfs-01 192.168.10.100:2049 weight 10 check
  server nfs-02 192.168.10.101:2049 sorry
`

// TestOutcomes holds what a user sees, and the exit code, of command lines that
// need no daemon.
func TestOutcomes(t *testing.T) {
	dir := t.TempDir()
	fine := write(t, dir, "fine.cfg", good)
	bad := write(t, dir, "bad.conf", strings.Replace(good, "balance", "blance", 1))
	quiet := write(t, dir, "quiet.conf", good+"sysctl expire_nodest_conn=0\n")
	empty := t.TempDir()
	socket := filepath.Join(empty, "none.sock")
	for _, tt := range []struct {
		shell    shell
		args     string
		code     int
		out, err string // must be contained; "" means that nothing is printed
	}{
		{args: "version", out: "fairlead " + version},
		{args: "--help", out: "Usage: fairlead <command>"},
		{args: "check --help", out: "Usage: fairlead check"},
		{args: "", code: exitUnable, err: "see `fairlead --help`"},
		{args: "chekc", code: exitUnable, err: "unexpected argument chekc"},
		{args: "check", code: exitUnable, err: "missing flags: --file=PATH; see `fairlead check --help`"},
		{args: "check -f " + fine + " --wrong", code: exitUnable, err: "unknown flag --wrong; see `fairlead check --help`"},
		{args: "check -f " + fine, out: "ok: 1 flow, 1 director, 2 servers; no errors, no warnings\ndirector nfs: fails back by order only"},
		{args: "check -f " + dir, out: "ok: "},
		{args: "check -f -", shell: shell{in: good}, out: "ok: "},
		{args: "check -f " + quiet, out: "no errors, 1 warning", err: "quiet.conf:11:"},
		{args: "check -f " + bad, code: exitFailed, out: "1 error", err: "  4 |   blance roundrobin\n    |   ^^^^^^\n"},
		{args: "check --json -f " + fine, out: `"ok": true`},
		{args: "check --json -f " + bad, code: exitFailed, out: `"line": 4`},
		{args: "check -f " + fine + " -f " + fine, code: exitFailed, err: "fine.cfg is named twice"},
		{args: "check -f " + empty, code: exitFailed, err: "has no file whose name ends in .cfg"},
		{args: "check -f " + socket, code: exitFailed, err: "none.sock: no such file or directory"},
		{args: "fmt -f -", shell: shell{in: "# c\ndirector   nfs\nmode gateway"}, out: "# c\ndirector nfs\n  mode gateway\n"},
		{args: "fmt -f -", shell: shell{in: "mode gateway"}, code: exitFailed, err: "nothing was written"},
		{args: "fmt --write -f -", code: exitUnable, err: "standard input cannot be replaced"},
		{args: "status --socket " + socket + " --pin-dir " + empty, code: exitUnable, err: "no daemon answers on " + socket},
		{args: "reload --socket " + socket, code: exitUnable, err: "no daemon answers"},
		{args: "switch nfs/nfs-02 --socket " + socket, code: exitUnable, err: "no daemon answers"},
		{args: "drain nfs/nfs-02 --socket " + socket, code: exitUnable, err: "no daemon answers"},
		{args: "enable nfs/ --socket " + socket, code: exitUnable, err: "write DIRECTOR/SERVER"},
		{args: "enable nfs/nfs-01 --force", code: exitUnable, err: "unknown flag --force"},
		{args: "connections --socket " + socket, code: exitUnable, err: "no daemon answers"},
		{args: "events --socket " + socket, code: exitUnable, err: "no daemon answers"},
		{args: "events --since yesterday", code: exitUnable, err: "write a span of time such as 90m"},
		{args: "switch nfs-02", code: exitUnable, err: "write DIRECTOR/SERVER"},
		{args: "capture --socket " + socket, code: exitUnable, err: "no daemon answers"},
		{args: "capture --count x", code: exitUnable, err: "expected a valid 64 bit int"},
		{args: "capture --count=-1", code: exitUnable, err: "cannot be below zero"},
		{args: "capture --json -w x", code: exitUnable, err: "exclude each other"},
		{args: "capture -w -", shell: shell{terminal: true}, code: exitUnable, err: "not for a terminal"},
	} {
		got := tt.shell.run(t.Context(), strings.Fields(tt.args)...)
		if got.code != tt.code || !strings.Contains(got.out, tt.out) || !strings.Contains(got.err, tt.err) ||
			(tt.out == "") != (got.out == "") || (tt.err == "") != (got.err == "") {
			t.Errorf("fairlead %s: got %d\n out: %s\n err: %s\nwant %d\n out: %s\n err: %s", tt.args, got.code, got.out, got.err, tt.code, tt.out, tt.err)
		}
	}
}

func TestFmtWrite(t *testing.T) {
	dir := t.TempDir()
	messy := write(t, dir, "messy.cfg", "director   nfs\nmode gateway\n")
	tidy := write(t, dir, "tidy.cfg", "director web\n  mode gateway\n")
	link := filepath.Join(dir, "link")
	if err := os.Symlink("messy.cfg", link); err != nil {
		t.Fatal(err)
	}
	got := shell{}.run(t.Context(), "fmt", "--write", "-f", link, "-f", tidy)
	if got.code != exitDone || got.out != link+"\n" || got.err != "" {
		t.Errorf("got %+v", got)
	}
	text, err := os.ReadFile(messy)
	if err != nil || string(text) != "director nfs\n  mode gateway\n" {
		t.Errorf("got %q, %v", text, err)
	}
	if info, err := os.Lstat(messy); err != nil || info.Mode() != 0o640 {
		t.Errorf("mode: got %v, %v", info.Mode(), err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link was replaced: %v, %v", info.Mode(), err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 3 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if got := (shell{}).run(t.Context(), "fmt", "--write", "-f", dir); got.out != "" || got.code != exitDone {
		t.Errorf("a second time: got %+v", got)
	}
}

func TestReadSources(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b.cfg", "a.cfg", "c.cfg~", "d.txt"} {
		write(t, dir, name, name)
	}
	if err := os.Mkdir(filepath.Join(dir, "e.cfg"), 0o755); err != nil {
		t.Fatal(err)
	}
	other := write(t, t.TempDir(), "z.conf", "z")
	got, err := readSources([]string{other, dir, "-"}, strings.NewReader("stdin"))
	var texts []string
	for _, s := range got {
		texts = append(texts, string(s.Text))
	}
	if err != nil || strings.Join(texts, " ") != "z a.cfg b.cfg stdin" {
		t.Errorf("got %q, %v", texts, err)
	}
	if _, err := readSources([]string{"/dev/zero"}, nil); err == nil || !strings.Contains(err.Error(), "longer than 4 MiB") {
		t.Errorf("an endless file: got %v", err)
	}
}

func TestOrdersOverTheSocket(t *testing.T) {
	d := &fakeDaemon{status: quietStatus()}
	socket := serve(t, d)
	page, err := os.ReadFile("testdata/status.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args     []string
		out, err string
	}{
		{[]string{"status"}, string(page), ""},
		{[]string{"status", "--json"}, `"applied": "nfs-01"`, ""},
		{[]string{"switch", "nfs/nfs-02"}, "nfs: switched from nfs-01 to nfs-02, epoch 8\n", ""},
		{[]string{"switch", "nfs/nfs-02", "--json"}, `"epoch": 8`, ""},
		{[]string{"drain", "nfs/nfs-01"}, "drain nfs/nfs-01, force false\n", ""},
		{[]string{"disable", "nfs/nfs-01", "--force"}, "disable nfs/nfs-01, force true\n", ""},
		{[]string{"enable", "nfs/nfs-01", "--json"}, `"text": "enable nfs/nfs-01, force false"`, ""},
		{[]string{"reload"}, "reloaded: generation 3, 1 warning\n", "a.cfg:1:1: warning: careful\n"},
		{[]string{"reload", "--json"}, `"generation": 3`, ""},
	} {
		got := shell{}.run(t.Context(), append(tt.args, "--socket", socket)...)
		if got.code != exitDone || !strings.Contains(got.out, tt.out) || got.err != tt.err {
			t.Errorf("%q: got %+v", tt.args, got)
		}
	}
	d.refuse = &api.Error{Message: "not now", Diagnostics: []api.Diagnostic{{Rendered: "a.cfg:1:1: error: no\n", Line: 1}}}
	for _, tt := range []struct {
		args     []string
		out, err string
	}{
		{[]string{"switch", "nfs/nfs-02"}, "", "fairlead: not now\n"},
		{[]string{"reload"}, "", "a.cfg:1:1: error: no\nfairlead: not now\n"},
		{[]string{"reload", "--json"}, `"error": "not now"`, ""},
	} {
		got := shell{}.run(t.Context(), append(tt.args, "--socket", socket)...)
		if got.code != exitFailed || !strings.Contains(got.out, tt.out) || !strings.HasSuffix(got.err, tt.err) || (tt.err == "") != (got.err == "") {
			t.Errorf("%q refused: got %+v", tt.args, got)
		}
	}
}

func TestCapture(t *testing.T) {
	arp := make([]byte, 60)
	copy(arp[12:], []byte{8, 6, 0, 1, 8, 0, 6, 4, 0, 1})
	copy(arp[28:], []byte{192, 168, 10, 10})
	copy(arp[38:], []byte{192, 168, 10, 50})
	tcp := make([]byte, 54)
	copy(tcp[12:], []byte{8, 0, 0x45})
	tcp[23] = 6
	copy(tcp[26:], []byte{192, 168, 10, 10, 192, 168, 10, 50, 3, 232, 8, 1})
	tcp[47] = 0x14
	at := time.Unix(1000, 123456789)
	d := &fakeDaemon{packets: []api.Packet{
		{At: at, Iface: "eth0", Verdict: "arp-reply", Length: 60, Data: arp},
		{At: at, Iface: "eth0", Verdict: "reset", Length: 1514, Data: tcp},
		{At: at, Iface: "eth0", Verdict: "forward", Length: 2, Data: []byte{1, 2}},
	}}
	socket := serve(t, d)
	capture := func(args ...string) result {
		return shell{}.run(t.Context(), append([]string{"capture", "--count", "3", "--socket", socket}, args...)...)
	}
	got := capture()
	for _, want := range []string{
		".123456 eth0 arp-reply ARP request from 192.168.10.10 for 192.168.10.50, 60 bytes\n",
		".123456 eth0 reset TCP 192.168.10.10:1000 > 192.168.10.50:2049 [RA], 1514 bytes\n",
		".123456 eth0 forward short frame, 2 bytes\n",
	} {
		if got.code != exitDone || !strings.Contains(got.out, want) {
			t.Errorf("lines: got %+v, want %q", got, want)
		}
	}
	if got := capture("--json"); strings.Count(got.out, `"verdict":`) != 3 || got.code != exitDone {
		t.Errorf("JSON: got %+v", got)
	}
	name := filepath.Join(t.TempDir(), "x.pcap")
	if got := capture("-w", name); got.code != exitDone || got.err != "3 packets captured\n" || got.out != "" {
		t.Errorf("a file: got %+v", got)
	}
	file, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got := capture("-w", "-"); got.out != string(file) {
		t.Errorf("the output differs from the file: %q", got.out)
	}
	wantPcap(t, bytes.NewReader(file), d.packets)
	if got := capture("-w", filepath.Join(name, "no")); got.code != exitFailed || !strings.Contains(got.err, "not a directory") {
		t.Errorf("a bad path: got %+v", got)
	}
}

// wantPcap reads a capture with another's reader.
func wantPcap(t *testing.T, file io.Reader, want []api.Packet) {
	t.Helper()
	r, err := pcapgo.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	if r.LinkType().String() != "Ethernet" {
		t.Errorf("link type: got %v", r.LinkType())
	}
	for _, p := range want {
		data, info, err := r.ReadPacketData()
		if err != nil || !bytes.Equal(data, p.Data) || info.Length != p.Length || !info.Timestamp.Equal(p.At) {
			t.Errorf("got %x, %+v, %v", data, info, err)
		}
	}
	if _, _, err := r.ReadPacketData(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last packet: got %v", err)
	}
}

// TestDescribeIsSafe: a capture may hold anything, cut anywhere.
func TestDescribeIsSafe(t *testing.T) {
	frame := bytes.Repeat([]byte{0xff}, 80)
	for _, head := range [][]byte{{8, 6}, {8, 0, 0x45}, {8, 0, 0x4f}, {8, 0, 0x40}, {0x86, 0xdd}} {
		copy(frame[12:], head)
		for _, offset := range []byte{0, 0xff} {
			frame[20], frame[21] = offset, offset
			for _, proto := range []byte{1, 6, 17} {
				frame[23] = proto
				for n := range frame {
					if describe(frame[:n]) == "" {
						t.Errorf("nothing said of % x", frame[:n])
					}
				}
			}
		}
	}
}

func TestDescribeSix(t *testing.T) {
	head := []byte("\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02\x86\xdd\x60\x00\x00\x00\x00\x20")
	addrs := append(netip.MustParseAddr("2001:db8::7").AsSlice(), netip.MustParseAddr("2001:db8::50").AsSlice()...)
	target := append(make([]byte, 7), netip.MustParseAddr("2001:db8::50").AsSlice()...)
	for _, c := range []struct {
		proto byte
		rest  []byte
		want  string
	}{
		{6, append([]byte{2, 188, 8, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x12}, make([]byte, 6)...), "TCP [2001:db8::7]:700 > [2001:db8::50]:2049 [SA]"},
		{17, []byte{2, 188, 8, 1, 0, 8, 0, 0}, "UDP [2001:db8::7]:700 > [2001:db8::50]:2049"},
		{58, append([]byte{135}, target...), "neighbour solicitation from 2001:db8::7 for 2001:db8::50"},
		{58, append([]byte{136}, target...), "neighbour advertisement from 2001:db8::7 for 2001:db8::50"},
		{58, []byte{128, 0, 0, 0}, "IP 2001:db8::7 > 2001:db8::50 protocol 58"},
		{59, nil, "IP 2001:db8::7 > 2001:db8::50 protocol 59"},
	} {
		frame := slices.Concat(head, []byte{c.proto, 64}, addrs, c.rest)
		if got := describe(frame); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
		for n := range frame {
			if describe(frame[:n]) == "" {
				t.Errorf("nothing said of %d bytes", n)
			}
		}
	}
}

func TestKernelIsNewEnough(t *testing.T) {
	for release, ok := range map[string]bool{"5.15.0-91-generic": true, "6.1.0": true, "10.0": true, "5.14.21": false, "4.19": false, "": false, "what": false} {
		err := (&surroundings{release: release}).needKernel()
		if (err == nil) != ok {
			t.Errorf("%q: got %v", release, err)
		}
	}
}

func TestHostLinks(t *testing.T) {
	links, err := hostLinks()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if l.Name == "lo" && l.Index > 0 && len(l.Addrs) > 0 && l.Addrs[0] == netip.MustParsePrefix("127.0.0.1/8") {
			return
		}
	}
	t.Errorf("the loopback is not among them: %+v", links)
}
