package announce

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"fairlead/internal/arp"
	"fairlead/internal/model"
)

var start = time.Unix(1_000_000, 0)

// diary plays a claim and writes down what it sends and what it becomes, each
// with the milliseconds since the start.
type diary struct {
	claim
	now   time.Time
	lines []string
}

func play(w Want) *diary {
	d := &diary{now: start}
	d.becomes(begin(w, d.now), nil)
	return d
}

func (d *diary) becomes(c claim, sent []arp.Packet) {
	ms := d.now.Sub(start).Milliseconds()
	for _, a := range sent {
		kind := "reply"
		switch a {
		case probeOf(vip, c.want.MAC):
			kind = "probe"
		case announcementOf(vip, c.want.MAC):
			kind = "announcement"
		}
		d.lines = append(d.lines, fmt.Sprintf("%d %s", ms, kind))
	}
	if c.state != d.state || c.why != d.why {
		d.lines = append(d.lines, strings.TrimSpace(fmt.Sprintf("%d %s %s", ms, c.state, c.why)))
	}
	d.claim = c
}

// until lets time pass, from one deadline to the next.
func (d *diary) until(ms int) *diary {
	end := start.Add(time.Duration(ms) * time.Millisecond)
	for {
		next := d.deadline()
		if next.IsZero() || next.After(end) {
			break
		}
		if next.After(d.now) {
			d.now = next
		}
		d.becomes(d.tick(d.now))
	}
	d.now = end
	return d
}

func (d *diary) hears(a arp.Packet) *diary {
	d.becomes(d.hear(a, d.now))
	return d
}

func (d *diary) wants(w Want) *diary {
	d.becomes(d.revise(w, d.now), nil)
	return d
}

func (d *diary) loses(gone bool) *diary {
	d.becomes(d.lose("interface eth0 is away", gone, d.now), nil)
	return d
}

func (d *diary) regains() *diary {
	d.becomes(d.regain(d.now), nil)
	return d
}

func (d *diary) expect(t *testing.T, want string) {
	t.Helper()
	if got := strings.Join(d.lines, "\n"); got != strings.TrimSpace(want) {
		t.Errorf("got\n%s\nwant\n%s", got, strings.TrimSpace(want))
	}
}

var (
	fresh     = Want{Addr: vip, Iface: "eth0", MAC: ours}
	answering = Want{Addr: vip, Iface: "eth0", MAC: ours, Answering: true}
	held      = Want{Addr: vip, Iface: "eth0", MAC: ours, Held: true}
)

// claimed is a rival's answer to a probe, asked a rival's own question.
var (
	claimed = arp.Packet{Op: arp.Reply, SenderMAC: other, Sender: vip, TargetMAC: ours}
	used    = arp.Packet{Op: arp.Request, SenderMAC: other, Sender: vip, Target: vip.Next()}
)

func TestFreeAddressIsTaken(t *testing.T) {
	play(fresh).until(5000).wants(answering).until(20000).expect(t, `
0 probing
0 probe
200 probe
400 probe
600 announced
5000 announcement
5000 reply
6000 announcement
6000 reply
7000 announcement
7000 reply`)
}

func TestNothingHappensEarly(t *testing.T) {
	c, sent := begin(fresh, start).tick(start)
	if len(sent) != 1 {
		t.Fatalf("sent %d packets, want the first question", len(sent))
	}
	if again, more := c.tick(start.Add(spacing - 1)); again != c || more != nil {
		t.Errorf("a nanosecond early it sent %v and became %+v", more, again)
	}
}

func TestHeldAddressIsNotAskedFor(t *testing.T) {
	play(held).until(5000).expect(t, "0 announced")
}

func TestTakenAddressIsAnsweredUntilConflict(t *testing.T) {
	spread := begin(fresh, start).spread().Milliseconds()
	d := play(fresh).until(300).hears(claimed)
	// Somebody answers all rounds until he falls silent.
	d.until(300 + 10000 + int(spread) + 10).hears(claimed).until(60000)
	second := 310 + 10000 + spread
	free := second + 10000 + spread
	d.expect(t, fmt.Sprintf(`
0 probing
0 probe
200 probe
300 conflict 192.168.10.50 is answered by 02:00:00:00:00:02
%d probe
%d probe
%d probe
%d probe
%d announced`, second-10, free, free+200, free+400, free+600))
}

func TestSimultaneousProbe(t *testing.T) {
	rival := probeOf(vip, other)
	play(fresh).until(100).hears(rival).expect(t, `
0 probing
0 probe
100 conflict 192.168.10.50 is asked for by 02:00:00:00:00:02, which is about to take it`)
	play(held).until(100).hears(rival).expect(t, "0 announced") // the data plane answers it
	if a, b := begin(fresh, start), begin(Want{Addr: vip, Iface: "eth0", MAC: other}, start); a.spread() == b.spread() {
		t.Error("two hosts would ask again at the same time")
	}
}

func TestOthersDoNotMatter(t *testing.T) {
	d := play(fresh)
	for _, a := range []arp.Packet{
		probeOf(vip, ours), announcementOf(vip, ours), // our own, reflected
		probeOf(vip.Next(), other), announcementOf(vip.Next(), other),
		{Op: arp.Request, SenderMAC: other, Sender: vip.Next(), Target: vip}, // a client asks for it
	} {
		d.hears(a)
	}
	d.expect(t, "0 probing")
}

func TestDefence(t *testing.T) {
	d := play(held).wants(answering).until(3000)
	d.lines = nil
	d.until(20000).hears(used)
	d.until(25000).hears(used) // within the truce
	d.until(30001).hears(used)
	d.lines = drop(d.lines, "probe")
	d.until(89000)
	d.lines = drop(d.lines, "probe")
	d.until(120000)
	d.lines = drop(d.lines, "probe")
	if n := len(d.lines); n != 10 {
		t.Fatalf("got %d lines: %q", n, d.lines)
	}
	if want := "20000 announcement|20000 conflict 192.168.10.50 is claimed by 02:00:00:00:00:02|30001 announcement"; strings.Join(d.lines[:3], "|") != want {
		t.Errorf("got %q, want %q", d.lines[:3], want)
	}
	// The rival is forgotten a minute after it was last seen, by an unanswered
	// round, and then the neighbours are told again.
	var ms int
	if _, err := fmt.Sscanf(d.lines[3], "%d announced", &ms); err != nil || ms < 90001 || ms > 103000 {
		t.Errorf("got %q, want the address announced again after 90 to 103 s", d.lines[3])
	}
	if !strings.HasSuffix(d.lines[4], "announcement") || !strings.HasSuffix(d.lines[9], "reply") {
		t.Errorf("got %q, want a burst", d.lines[4:])
	}
}

// drop leaves out the lines that end so.
func drop(lines []string, end string) (left []string) {
	for _, l := range lines {
		if !strings.HasSuffix(l, end) {
			left = append(left, l)
		}
	}
	return left
}

func TestNoDefenceOfWhatIsNotAnswered(t *testing.T) {
	d := play(held).until(1000).hears(used)
	d.expect(t, "0 announced\n1000 conflict 192.168.10.50 is claimed by 02:00:00:00:00:02")
	d.lines = nil
	d.until(14000)
	if d.state != model.VIPAnnounced {
		t.Errorf("state %s: an address that nobody answers for must be taken by the next round", d.state)
	}
}

func TestConflictEndsABurst(t *testing.T) {
	play(held).wants(answering).until(500).hears(used).until(5000).expect(t, `
0 announced
0 announcement
0 reply
500 announcement
500 conflict 192.168.10.50 is claimed by 02:00:00:00:00:02`)
}

func TestEndOfAnsweringEndsABurst(t *testing.T) {
	play(held).wants(answering).until(500).wants(held).until(5000).wants(answering).until(5500).expect(t, `
0 announced
0 announcement
0 reply
5000 announcement
5000 reply`)
	d := play(held).wants(answering).until(500).wants(held)
	if next := d.deadline(); !next.IsZero() {
		t.Errorf("something is due at %v", next.Sub(start))
	}
}

func TestRevise(t *testing.T) {
	heldAndAnswering := held
	heldAndAnswering.Answering = true
	moved := heldAndAnswering
	moved.Held, moved.Iface = false, "eth1"
	renewed := heldAndAnswering
	renewed.MAC = other
	silent := heldAndAnswering
	silent.Answering = false
	for name, tt := range map[string]struct {
		want  Want
		lines string
	}{
		"the same":          {heldAndAnswering, ""},
		"another interface": {moved, "9000 probing\n9000 probe\n9200 probe\n9400 probe\n9600 announced\n" + burst("9600", "10600", "11600")},
		"another MAC":       {renewed, burst("9000", "10000", "11000")},
		"no longer answers": {silent, ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := play(heldAndAnswering).until(9000)
			d.lines = nil
			d.wants(tt.want).until(20000).expect(t, tt.lines)
		})
	}
}

func burst(at ...string) string {
	var lines []string
	for _, ms := range at {
		lines = append(lines, ms+" announcement", ms+" reply")
	}
	return strings.Join(lines, "\n")
}

func TestUnknownMAC(t *testing.T) {
	nameless := fresh
	nameless.MAC = model.MAC{}
	play(nameless).until(1000).loses(false).regains().until(2000).wants(fresh).until(9000).expect(t, `
0 probing the MAC of eth0 is not known
1000 probing interface eth0 is away
2000 probing
2000 probe
2200 probe
2400 probe
2600 announced`)
}

func TestInterfaceLost(t *testing.T) {
	for name, tt := range map[string]struct {
		gone  bool
		at    int
		want  Want
		lines string
	}{
		"down while asking": {false, 300, fresh, `
0 probing
0 probe
200 probe
300 probing interface eth0 is away
5000 probing
5000 probe
5200 probe
5400 probe
5600 announced`},
		"down when taken": {false, 1000, held, "0 announced"},
		"gone when taken": {true, 1000, held, `
0 announced
1000 probing interface eth0 is away
5000 probing
5000 probe
5200 probe
5400 probe
5600 announced`},
	} {
		t.Run(name, func(t *testing.T) {
			play(tt.want).until(tt.at).loses(tt.gone).until(3000).loses(tt.gone).until(5000).regains().until(9000).expect(t, tt.lines)
		})
	}
	d := play(held).wants(answering).until(3000).loses(false).until(5000)
	d.lines = nil
	d.regains().until(9000).expect(t, burst("5000", "6000", "7000"))
}

func TestTell(t *testing.T) {
	d := play(held).wants(answering).until(5000)
	d.lines = nil
	d.becomes(d.tell(d.now), nil)
	d.until(9000).expect(t, burst("5000", "6000", "7000"))
	d = play(held).until(5000)
	d.becomes(d.tell(d.now), nil)
	d.until(9000).expect(t, "0 announced") // nobody answers for it yet
}
