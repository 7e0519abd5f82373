package main

import (
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"fairlead/internal/model"
)

func TestMain(m *testing.M) {
	if os.Geteuid() != 0 {
		println("the tests of the benchmark need root")
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// TestFrame lets an independent reader look at each kind of packet.
func TestFrame(t *testing.T) {
	for _, p := range []packet{syn, ack, shortACK, datagram} {
		f := p.frame()
		read := gopacket.NewPacket(f, layers.LayerTypeEthernet, gopacket.Default)
		if err := read.ErrorLayer(); err != nil {
			t.Errorf("%v: %v", p, err.Error())
		}
		ip, ok := read.NetworkLayer().(*layers.IPv4)
		if !ok || len(f) != p.length || int(ip.Length) != p.length-14 || ip.DstIP.String() != vip.String() {
			t.Errorf("%v: got %d bytes: %v", p, len(f), read)
		}
		switch l := read.TransportLayer().(type) {
		case *layers.TCP:
			if l.SYN != (p.flags&flagSYN != 0) || l.ACK != (p.flags&flagACK != 0) || l.DstPort != 2049 || len(l.Payload) != 0 {
				t.Errorf("%v: got %v", p, l)
			}
		case *layers.UDP:
			if p.protocol != protocolUDP || int(l.Length) != p.length-34 || l.DstPort != 2049 {
				t.Errorf("%v: got %v", p, l)
			}
		default:
			t.Errorf("%v: no transport layer", p)
		}
	}
}

func TestTimes(t *testing.T) {
	for _, test := range []struct {
		times       times
		min, median float64
	}{
		{times{3}, 3, 3},
		{times{9, 1, 4}, 1, 4},
		{times{8, 2, 4, 1}, 1, 3},
	} {
		if test.times.min() != test.min || test.times.median() != test.median {
			t.Errorf("%v: got %v and %v, want %v and %v", test.times, test.times.min(), test.times.median(), test.min, test.median)
		}
	}
}

func TestGrouped(t *testing.T) {
	for n, want := range map[uint64]string{0: "0", 999: "999", 1000: "1,000", 1_020_003: "1,020,003"} {
		if got := grouped(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
}

// TestQuick runs the whole benchmark briefly, as the checks of a change do.
func TestQuick(t *testing.T) {
	var out, errs strings.Builder
	if code := run([]string{"--quick"}, &out, &errs, true); code != 0 || errs.Len() > 0 {
		t.Fatalf("exit code %d: %s", code, &errs)
	}
	for line := range strings.Lines(out.String()) {
		if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	document, err := os.ReadFile("../docs/performance.md")
	if err != nil {
		t.Fatal(err)
	}
	_, sample, _ := strings.Cut(string(document), "```\n")
	sample, _, _ = strings.Cut(sample, "```")
	if got, want := words(out.String()), words(sample); got != want {
		t.Errorf("the sample in docs/performance.md has the words\n%s\nbut the benchmark prints\n%s", want, got)
	}
	for _, want := range []string{"\nACK                  1,000,000 ", "\nfairlead ", "≤ 1.10", "≤ 80"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, &out)
		}
	}
}

// words are the lines of a text without figures and blanks.
func words(text string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("0123456789.,/- ", r) {
			return -1
		}
		return r
	}, text)
}

func TestCall(t *testing.T) {
	for _, test := range []struct {
		args []string
		root bool
		want string
	}{
		{nil, false, "bench needs root"},
		{[]string{"--quick", "all"}, true, `"all" is not expected`},
		{[]string{"--fast"}, true, "not defined"},
	} {
		var out, errs strings.Builder
		if code := run(test.args, &out, &errs, test.root); code != 2 || !strings.Contains(errs.String(), test.want) || out.Len() > 0 {
			t.Errorf("%v: exit code %d, %s", test.args, code, &errs)
		}
	}
}

// TestWrongVerdict puts a director into a state where the packets get another
// verdict than the wanted one.
func TestWrongVerdict(t *testing.T) {
	inBench(t, func(d *director) {
		if err := d.enter(10); err != nil {
			t.Fatal(err)
		}
		l := load{packet: shortACK, draw: rigDrawDRAW_RANDOM, connections: 10}
		send := func() error { _, _, _, err := d.harness.run(l, 100); return err }
		if err := d.expect("forward", l, send); err != nil {
			t.Error(err)
		}
		if err := d.doSwitch(); err != nil {
			t.Fatal(err)
		}
		if err := d.expect("forward", l, send); err == nil || !strings.Contains(err.Error(), "100 packets") {
			t.Errorf("old connections: got %v, want 100 packets with another verdict", err)
		}
		if err := d.expect("forward", l, func() error { return nil }); err == nil {
			t.Error("no packet at all was no error")
		}
	})
}

// TestSentTo lets a frame go to each of the servers and back to the client.
func TestSentTo(t *testing.T) {
	inBench(t, func(d *director) {
		l := load{packet: shortACK, draw: rigDrawDRAW_RANDOM, connections: 1}
		if err := d.enter(1); err != nil {
			t.Fatal(err)
		}
		for _, want := range []model.MAC{serverMACs[0], clientMAC} {
			_, code, frame, err := d.harness.run(l, 1)
			if err != nil {
				t.Fatal(err)
			}
			if err := sentTo(want, code, frame); err != nil {
				t.Error(err)
			}
			if sentTo(serverMACs[1], code, frame) == nil || sentTo(want, 1, frame) == nil {
				t.Error("a frame to another one, or not sent at all, was no error")
			}
			if err := d.doSwitch(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// inBench runs f with a small director as the benchmark runs.
func inBench(t *testing.T, f func(*director)) {
	t.Helper()
	d, err := newDirector(1000, plain())
	if err != nil {
		t.Fatal(err)
	}
	f(d)
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}
