package browser

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"fairlead/internal/api"
	"fairlead/internal/model"
)

var desk = view{"light", 1440, 900, false}

// TestSwitchIsSeen: a switch is on the page within a second, with its timeline.
func TestSwitchIsSeen(t *testing.T) {
	s := newSite(t, noteDaemon(time.Now()))
	p := open(t, s, model.RoleViewer, "/", desk)
	p.await("nfs-01 active", `document.querySelector('.d-server.d-active .d-name')?.textContent === 'nfs-01'`)
	eval[bool](p, `new Promise((done) => {
		window.seen = new Promise((tell) => new MutationObserver(() => {
			if (document.querySelector('.d-server.d-active .d-name')?.textContent === 'nfs-02' &&
				document.querySelector('[aria-label="Last switch"]').innerText.includes('nfs-01 → nfs-02')) tell(Date.now());
		}).observe(document.body, {subtree: true, childList: true, attributes: true, characterData: true}));
		done(true);
	})`)
	at := time.Now()
	s.change(func(s *model.Status) {
		switchTo(&s.Directors[0], "nfs-02", model.ReasonFailed, "connect: no answer within 1 s", at)
	})
	took := time.UnixMilli(eval[int64](p, `window.seen`)).Sub(at)
	t.Logf("a switch was seen after %v", took.Round(time.Millisecond))
	if took > time.Second {
		t.Errorf("the switch was seen after %v, want at most a second", took)
	}
	steps := eval[[]string](p, `[...document.querySelectorAll('.timeline tbody th')].map((e) => e.textContent)`)
	if want := []string{"flipped", "applied", "reset", "first client back"}; !slices.Equal(steps, want) {
		t.Errorf("the timeline has %q, want %q: only what was measured", steps, want)
	}
}

// TestTimeline: all instants of a switch stand in the order in which they were.
func TestTimeline(t *testing.T) {
	t.Parallel()
	s := newSite(t, noteDaemon(time.Now()))
	p := open(t, s, model.RoleViewer, "/", desk)
	p.await("the confirmation, which the journal tells", `[...document.querySelectorAll('.timeline tbody th')].some((e) => e.textContent === 'confirmed')`)
	rows := eval[[]string](p, `[...document.querySelectorAll('.timeline tbody tr')].map((r) => r.cells[0].textContent + ' ' + r.cells[1].textContent.replace('\u202f', ''))`)
	want := []string{"suspected 0 ms", "first failed check 124 ms", "confirmed 1202 ms", "held 1202 ms", "fenced 1349 ms", "promoted 1573 ms",
		"verified 1603 ms", "flipped 1604 ms", "applied 1605 ms", "reset 1608 ms", "first client back 1613 ms"}
	if !slices.Equal(rows, want) {
		t.Errorf("the timeline says\n%s\nwant\n%s", strings.Join(rows, "\n"), strings.Join(want, "\n"))
	}
}

// TestFirstChoice: what a first choice, or one that an earlier daemon made, did not do
// is not shown.
func TestFirstChoice(t *testing.T) {
	t.Parallel()
	s := newSite(t, noteDaemon(time.Now()))
	p := open(t, s, model.RoleViewer, "/", desk)
	const card = `document.querySelector('[aria-label="Last switch"]').innerText`
	s.change(func(s *model.Status) {
		s.Directors[0].LastSwitch = &model.Switch{To: "nfs-01", Reason: model.ReasonFirst, Why: "nfs-01 is up", Epoch: 1, At: time.Now(), DecidedMono: 5e12, AppliedMono: 5e12 + 1e6, ResetMono: 5e12 + 2e6}
	})
	p.await("that there was nothing to reset", card+`.includes('no server → nfs-01') && `+card+`.includes('no connection to reset')`)
	if eval[bool](p, `[...document.querySelectorAll('.timeline tbody th')].some((e) => e.textContent === 'reset')`) {
		t.Error("a reset is shown, and there was none")
	}
	s.change(func(s *model.Status) {
		s.Directors[0].LastSwitch = &model.Switch{To: "nfs-01", Reason: model.ReasonOperator, Why: "found in the kernel at start", Epoch: 7, At: time.Now()}
	})
	p.await("that an earlier daemon knew", card+`.includes('An earlier daemon made it') && !`+card+`.includes('no server')`)
}

// TestNothingYet: without a configuration the pages say where to begin.
func TestNothingYet(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := newSite(t, newDaemon(model.Status{Version: "1.0.0", Since: now, Generation: 1, Alarms: []model.Alarm{}}))
	for _, path := range []string{"/", "/servers"} {
		p := open(t, s, model.RoleAdmin, path, desk)
		p.await("where to begin", `[...document.querySelectorAll('.empty')].some((e) => e.checkVisibility() && /no (director|server) yet.*Begin with the Flow tab, then LB layer 4/s.test(e.innerText))`)
		if c := p.complaints(); len(c) > 0 {
			t.Errorf("%s complained: %q", path, c)
		}
	}
}

// TestUnderWay: a switch on hold and an alarm are shown in words.
func TestUnderWay(t *testing.T) {
	t.Parallel()
	s := newSite(t, noteDaemon(time.Now()))
	defer traffic(s.daemon)()
	s.change(func(s *model.Status) { onHold(s, time.Now()) })
	for _, v := range views {
		p := open(t, s, model.RoleViewer, "/", v)
		p.await("the step", `document.querySelector('.said.step')?.innerText.includes('17 SYNs are held')`)
		p.await("the held SYNs in the diagram", `document.querySelector('.d-director.d-hold')?.textContent.includes('17 SYNs held')`)
		p.await("that nothing is forwarded", `!document.querySelector(".d-active") && document.querySelector(".overview-main").innerText.includes("No packet is forwarded")`)
		p.await("the next server", `document.querySelector('.d-next')`)
		for _, words := range []string{"1 alarm", "the fence hook of nfs-01 failed", "exit status 1", "fairlead switch nfs/nfs-02 --force"} {
			p.await(words, fmt.Sprintf(`document.querySelector('.alarm-card').innerText.includes(%q)`, words))
		}
		p.shoot("hold-" + v.name)
	}
}

func onHold(s *model.Status, now time.Time) {
	d := &s.Directors[0]
	d.Step, d.StepSince, d.To, d.Held = model.StepFence, now.Add(-3*time.Second), "nfs-02", 17
	d.Servers[0].Health, d.Servers[0].Why, d.Servers[0].Since = model.HealthDown, "connect to 192.168.10.100:2049: no answer within 1 s", now.Add(-3*time.Second)
	d.Note = "the switch to nfs-02 is on hold: its fence hook failed: exit status 1"
	s.Alarms = []model.Alarm{{
		What: "director nfs is on hold: the fence hook of nfs-01 failed",
		Why:  "/etc/fairlead/hooks/fence: exit status 1: no answer of the power switch",
		Do:   "mend it, then try again: fairlead switch nfs/nfs-02; or go on without it: fairlead switch nfs/nfs-02 --force",
	}}
}

// TestDaemonGone: when the daemon is gone, or hangs, the page says so, and what that
// means for the service; and it finds the daemon again.
func TestDaemonGone(t *testing.T) {
	t.Parallel()
	s := newSite(t, noteDaemon(time.Now()))
	p := open(t, s, model.RoleViewer, "/", desk)
	p.await("live", `document.querySelector('.daemon').innerText === 'live'`)
	s.count(func(status *model.Status) { s.hung = true; status.Turned = time.Now().Add(-42 * time.Second) })
	p.await("a daemon that hangs", `/Daemon stuck\s+The daemon hangs: its heartbeat is old \(4\d s\).*data plane keeps forwarding.*nobody checks/s.test(document.querySelector('.banner').innerText)`)
	p.shoot("stuck-light")
	s.count(func(*model.Status) { s.hung = false })
	p.await("no banner", `document.querySelector('.banner').childElementCount === 0`)
	s.stop()
	p.await("a daemon that is gone", `/Daemon gone\s+The daemon does not answer since \d\d:\d\d:\d\d.*data plane keeps forwarding/s.test(document.querySelector('.banner').innerText)`)
	p.await("the sign in the bar", `document.querySelector('.daemon').innerText === 'no answer'`)
	p.await("that no alarm was known, not that there is none", `document.querySelector('.alarm-card').innerText === 'No alarm when the daemon was last heard'`)
	p.await("no rate", `/^– pkt.s/.test(document.querySelector('.d-rate').textContent)`)
	if got := eval[string](p, `document.querySelector('.d-server.d-active .d-name').textContent`); got != "nfs-01" {
		t.Errorf("the last picture shows %q, want nfs-01", got)
	}
	p.shoot("gone-light")
}

// TestOrderByKeyboard: the dialog of a switch is reached and worked with Tab, Enter
// and Escape alone.
func TestOrderByKeyboard(t *testing.T) {
	t.Parallel()
	s := newSite(t, noteDaemon(time.Now()))
	p := open(t, s, model.RoleOperator, "/servers", desk)
	p.await("the list", `document.querySelectorAll('.list tbody th').length === 2`)
	p.tabTo("the link of nfs-02", `document.activeElement.textContent === 'nfs/nfs-02'`)
	p.press(kb.Enter)
	p.await("the panel", `document.querySelector('.panel h2')?.textContent === 'nfs/nfs-02' && document.querySelector('[data-verb=switch]')`)
	p.tabTo("the order", `document.activeElement.dataset.verb === 'switch'`)
	p.press(kb.Enter)
	p.await("the dialog", `document.querySelector('dialog[open]')`)
	for _, words := range []string{"Make nfs-02 the active server of nfs?", "412 old connections of nfs-01 are reset, never moved", "nobody measured that it works"} {
		p.await(words, fmt.Sprintf(`document.querySelector('dialog').innerText.includes(%q)`, words))
	}
	p.shoot("dialog-light")
	p.press(kb.Escape)
	p.await("the dialog closed, and the focus back", `!document.querySelector('dialog') && document.activeElement.dataset.verb === 'switch'`)
	if got := s.given(); len(got) > 0 {
		t.Errorf("Escape gave the orders %+v", got)
	}
	p.press(kb.Enter)
	p.await("the button that changes nothing first", `document.activeElement.textContent === 'Cancel'`)
	p.tabTo("the button that orders", `document.activeElement.textContent === 'Switch to nfs-02'`)
	p.press(kb.Enter)
	p.await("the answer", `document.querySelector('.toast')?.innerText.includes('nfs-02 is active now')`)
	p.await("the switch in the panel", `/Applied\s+active/.test(document.querySelector('.three').innerText)`)
	if got, want := s.given(), []api.Order{{Verb: model.VerbSwitch, Director: "nfs", Server: "nfs-02"}}; !slices.Equal(got, want) {
		t.Errorf("the orders given are %+v, want %+v", got, want)
	}
	if c := p.complaints(); len(c) > 0 {
		t.Errorf("the page complained: %q", c)
	}
}

// tabTo presses Tab until something has the focus.
func (p *tab) tabTo(what, expression string) {
	p.t.Helper()
	for range 60 {
		if eval[bool](p, expression) {
			return
		}
		p.press(kb.Tab)
	}
	p.t.Fatalf("%s: not reached by 60 times Tab; the focus is on %s", what, eval[string](p, `document.activeElement.outerHTML.slice(0, 200)`))
}

// TestForce: force is offered after a refusal only, and says what it risks.
func TestForce(t *testing.T) {
	t.Parallel()
	s := newSite(t, noteDaemon(time.Now()))
	s.change(func(s *model.Status) {
		s.Directors[0].Servers[1].Health, s.Directors[0].Servers[1].Why = model.HealthDown, "connection refused"
	})
	p := open(t, s, model.RoleOperator, "/servers?director=nfs&server=nfs-02", desk)
	p.await("the order", `document.querySelector('[data-verb=switch]')`)
	if eval[bool](p, `/force/i.test(document.body.innerText)`) {
		t.Error("force is offered before a refusal")
	}
	p.do(chromedp.Click("[data-verb=switch]"))
	p.await("the dialog", `document.querySelector('dialog[open]')`)
	if eval[bool](p, `/force/i.test(document.querySelector('dialog').innerText)`) {
		t.Error("force is offered before a refusal")
	}
	p.do(chromedp.Click("dialog .danger"))
	p.await("the refusal", `document.querySelector('dialog .refusal')?.innerText.includes('nfs-02 is down (connection refused); not switched')`)
	p.shoot("force-light")
	p.do(chromedp.Click("dialog .danger"))
	p.await("the answer", `document.querySelector('.toast')?.innerText.includes('nfs-02 is active now')`)
	got := s.given()
	if len(got) != 2 || got[0].Force || !got[1].Force {
		t.Errorf("the orders given are %+v, want one without force and then one with it", got)
	}
}

// TestViewer: who may only see is offered no order, and told why.
func TestViewer(t *testing.T) {
	t.Parallel()
	s := newSite(t, noteDaemon(time.Now()))
	p := open(t, s, model.RoleViewer, "/servers?director=nfs&server=nfs-02", desk)
	p.await("the panel", `/standby/.test(document.querySelector('.three').innerText)`)
	p.await("why", `document.querySelector('.panel').innerText.includes('ask an operator')`)
	if n := eval[int](p, `document.querySelectorAll('[data-verb]').length`); n > 0 {
		t.Errorf("%d orders are offered to a viewer", n)
	}
}

// TestLogin: nobody sees anything without a login, and is led back afterwards.
func TestLogin(t *testing.T) {
	t.Parallel()
	s := newSite(t, noteDaemon(time.Now()))
	for _, v := range views[:3] {
		p := open(t, s, model.RoleNone, "/events", v)
		p.await("the login", `location.pathname === '/login' && document.querySelector('input[type=password]')`)
		p.shoot("login-" + v.name)
		if c := p.complaints(); len(c) > 0 {
			t.Errorf("the page complained before anything was done: %q", c)
		}
		if eval[bool](p, `document.querySelector('nav') !== null`) {
			t.Error("the pages are offered before the login")
		}
		p.do(chromedp.SendKeys("input[name=user]", "viewer"), chromedp.SendKeys("input[name=password]", "wrong"+kb.Enter))
		p.await("the refusal", `document.querySelector('.said').innerText.length > 10`)
		p.await("the password empty again, and with the focus", `document.activeElement.name === 'password' && document.activeElement.value === ''`)
		p.press(password + kb.Enter)
		p.await("the page that was wanted", `location.pathname === '/events' && document.querySelector('.list time')`)
		if c := p.complaints("401"); len(c) > 0 {
			t.Errorf("the page complained: %q", c)
		}
	}
}

// TestChecksOneByOne: the panel of a server tells what each of its checks found.
func TestChecksOneByOne(t *testing.T) {
	t.Parallel()
	s := newSite(t, noteDaemon(time.Now()))
	p := open(t, s, model.RoleViewer, "/servers?director=nfs&server=nfs-01", desk)
	p.await("the checks", `document.querySelectorAll('.tests > li').length === 2`)
	text := eval[string](p, `document.querySelector('.tests').innerText`)
	for _, want := range []string{"tcpcheck at 192.168.10.100:2049", "116 of 120 passed", "tcpcheck at 192.168.10.50:2049 on 192.168.10.100", "116 of 116 passed"} {
		if !strings.Contains(text, want) {
			t.Errorf("the panel says %q, which lacks %q", text, want)
		}
	}
	if c := p.complaints(); len(c) > 0 {
		t.Errorf("the page complained: %q", c)
	}
}

// TestCopies: how old the copy of a standby server is stands on Overview and Servers.
func TestCopies(t *testing.T) {
	t.Parallel()
	s := newSite(t, noteDaemon(time.Now()))
	s.change(func(s *model.Status) {
		s.Directors[0].Servers[1].Copy = &model.CopyStatus{Freshness: model.FreshnessFresh, Measured: time.Now()}
	})
	for _, v := range views {
		p := open(t, s, model.RoleViewer, "/", v)
		p.await("a fresh copy", `/Copy on nfs-02: fresh, 0 µs behind when it was measured \d+ s ago/.test(document.querySelector('.said.copies')?.innerText)`)
		p.await("it in the diagram", `document.querySelector('.d-line.tone-ok:not(.d-health)')?.textContent === 'copy fresh'`)
		if c := p.complaints(); len(c) > 0 {
			t.Errorf("the page complained: %q", c)
		}
	}
	const apart = `(() => { const [health, copy] = [...document.querySelectorAll('.d-server')].at(-1).querySelectorAll('.d-line:nth-last-of-type(-n+2)');
		return health.getBoundingClientRect().right < copy.getBoundingClientRect().left; })()`
	s.change(func(s *model.Status) {
		s.Directors[0].Servers[1].Copy = &model.CopyStatus{Freshness: model.FreshnessUnknown} // the longest words
	})
	for _, v := range views {
		p := open(t, s, model.RoleViewer, "/", v)
		p.await("the words apart from those of the health", `document.querySelector('.d-line.tone-warn')?.textContent === 'copy not known' && `+apart)
	}
	p := open(t, s, model.RoleViewer, "/", desk)
	s.change(func(s *model.Status) {
		s.Directors[0].Servers[1].Copy = &model.CopyStatus{Freshness: model.FreshnessTooOld, Lag: 754 * time.Second, Measured: time.Now(), Why: "the link is lost"}
	})
	p.await("an old copy", `/Copy on nfs-02: too old, 12 min 34 s behind when it was measured \d+ s ago: the link is lost/.test(document.querySelector('.said.copies')?.innerText)`)
	p.await("it in the diagram", `document.querySelector('.d-line.tone-bad')?.textContent === 'copy too old'`)
	p.shoot("copies")
	p = open(t, s, model.RoleViewer, "/servers?director=nfs&server=nfs-02", desk)
	p.await("it in the panel", `document.querySelector('.panel-facts')?.innerText.includes('too old, 12 min 34 s behind')`)
	p.await("it in the list", `[...document.querySelectorAll('.page-servers *')].some((e) => e.children.length === 0 && e.textContent.includes('copy too old, 12 min 34 s behind'))`)
	p.shoot("copies-servers")
	s.change(func(s *model.Status) { s.Directors[0].Servers[1].Copy = nil })
	p.await("no copy", `!document.querySelector('.page-servers').innerText.includes('copy')`)
}

// TestDoctor: what was found is shown, and a new look replaces it.
func TestDoctor(t *testing.T) {
	t.Parallel()
	s := newSite(t, noteDaemon(time.Now()))
	p := open(t, s, model.RoleViewer, "/doctor", desk)
	p.await("the findings", `document.querySelectorAll('.finding').length === 1`)
	if !eval[bool](p, `document.querySelector('.page-doctor button').disabled`) {
		t.Error("a viewer may let the doctor look")
	}
	p = open(t, s, model.RoleOperator, "/doctor", desk)
	p.await("the findings", `document.querySelectorAll('.finding').length === 1`)
	p.do(chromedp.Click(".page-doctor button"))
	p.await("the new look", `!document.querySelector('.finding') && /no findings/.test(document.querySelector('.page-doctor').innerText)`)
	if c := p.complaints(); len(c) > 0 {
		t.Errorf("the page complained: %q", c)
	}
}

// TestEvents: the list follows, is paused, and filters.
func TestEvents(t *testing.T) {
	t.Parallel()
	s := newSite(t, noteDaemon(time.Now()))
	p := open(t, s, model.RoleViewer, "/events", desk)
	p.await("the journal", `document.querySelectorAll('.list time').length === 15`)
	first := `document.querySelector('.list tbody tr:not(.space) .col-text').innerText`
	s.tell(model.Event{Kind: model.EventHealth, Director: "nfs", Text: "nfs-02 is down: refused", Err: "refused"})
	p.await("an error that the text says, said once", first+` === 'nfs-02 is down: refused'`)
	s.tell(model.Event{Kind: model.EventAlarm, Director: "nfs", Text: "nfs-02 <b>is</b> slow", Err: "2 s", By: "nobody"})
	p.await("a new event at the top, as text and not as markup", first+` === 'nfs-02 <b>is</b> slow – 2 s'`)
	p.do(chromedp.Click(".toolbar button"))
	s.tell(model.Event{Kind: model.EventAlarmOver, Director: "nfs", Text: "it came while the list stood"})
	p.await("that there is something new", `document.querySelector('.head p').innerText.includes('paused; 1 new')`)
	if got := eval[string](p, first); strings.Contains(got, "it came") {
		t.Errorf("the paused list shows %q", got)
	}
	p.do(chromedp.Click(".toolbar button"))
	p.await("it", first+` === 'it came while the list stood'`)
	p.do(chromedp.SendKeys(".toolbar input", "fence"))
	p.await("one that fits", `document.querySelectorAll('.list time').length === 1 && document.querySelector('.head p').innerText.includes('1 of 18 events')`)
	p.do(chromedp.Click(".list .plain-button"))
	p.await("it whole, with UTC", `/ UTC/.test(document.querySelector('dialog').innerText) && /147 ms/.test(document.querySelector('dialog').innerText)`)
	p.shoot("event-light")
	if c := p.complaints(); len(c) > 0 {
		t.Errorf("the page complained: %q", c)
	}
}

// TestConnectionSearch: a client is found by its address and by its network; what
// cannot be an address is refused in words.
func TestConnectionSearch(t *testing.T) {
	t.Parallel()
	s := newSite(t, noteDaemon(time.Now()))
	p := open(t, s, model.RoleViewer, "/connections?client=192.168.10.21", desk)
	p.await("the client", `document.querySelectorAll('.list tbody th').length === 1 && document.querySelector('.list tbody th').innerText === '192.168.10.21:701'`)
	p.await("the totals", `document.querySelector('.head p').innerText.includes('1 of 412 connections known')`)
	p.do(chromedp.SetValue(".toolbar input[type=search]", "192.168.11.0/24"), chromedp.Click(".toolbar .primary"))
	p.await("the network", `document.querySelector('.head p').innerText.includes('200 of 412')`)
	p.do(chromedp.SetValue(".toolbar input[type=search]", "nobody"), chromedp.Click(".toolbar .primary"))
	p.await("the refusal", `document.querySelector('.refusal:not([hidden])')?.innerText.includes('nobody')`)
}

// TestKeptClients: the clients that persistence keeps are seen where a director has
// it, and an operator can let one go.
func TestKeptClients(t *testing.T) {
	t.Parallel()
	d := noteDaemon(time.Now())
	for i := range byte(3) {
		d.kept = append(d.kept, api.Template{Client: netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 168, 20 + i, 0}), 24), Director: "nfs", Server: "nfs-01", Left: 90 * time.Second, Holds: i != 1})
	}
	s := newSite(t, d)
	p := open(t, s, model.RoleOperator, "/connections", desk)
	const card, rows = `document.querySelector('[aria-label="Clients that persistence keeps"]')`, `[...document.querySelectorAll('[aria-label="Clients that persistence keeps"] tbody th')].map((n) => n.innerText).join()`
	p.await("the connections", `document.querySelectorAll('.list tbody th').length > 5`)
	if !eval[bool](p, card+`.hidden`) {
		t.Error("kept clients are shown where none can be")
	}
	d.change(func(s *model.Status) {
		s.Directors[0].Persistence = &model.Persisting{Timeout: time.Minute, Netmask: 24}
	})
	p.await("the kept clients", rows+` === '192.168.20.0/24,192.168.21.0/24,192.168.22.0/24'`)
	p.await("their states", card+`.innerText.match(/holds|waits/g).join() === 'holds,waits,holds'`)
	p.shoot("kept-light")
	p.do(chromedp.Click(`[aria-label="Let 192.168.21.0/24 of nfs go"]`))
	p.await("the dialog", `document.querySelector('dialog[open]')?.innerText.includes('Let 192.168.21.0/24 go?')`)
	p.do(chromedp.Click(`dialog .primary`))
	p.await("the rest", rows+` === '192.168.20.0/24,192.168.22.0/24'`)
	if c := p.complaints(); len(c) > 0 {
		t.Errorf("the page complained: %q", c)
	}
}

// TestSessionEnds: who is removed sees nothing new, and is led to the login.
func TestSessionEnds(t *testing.T) {
	t.Parallel()
	s := newSite(t, noteDaemon(time.Now()))
	p := open(t, s, model.RoleViewer, "/", desk)
	p.await("the diagram", `document.querySelector('.d-active')`)
	if err := s.access.Remove("viewer"); err != nil {
		t.Fatal(err)
	}
	p.await("the login, and why", `location.pathname === '/login' && /no longer valid/.test(document.querySelector('.toast').innerText) && !document.querySelector('.diagram')`)
}

// TestSlowOrder: an order that waits for hooks is said to wait.
func TestSlowOrder(t *testing.T) {
	t.Parallel()
	s := newSite(t, noteDaemon(time.Now()))
	s.slow = make(chan struct{})
	p := open(t, s, model.RoleOperator, "/servers?director=nfs&server=nfs-02", desk)
	p.await("the order", `document.querySelector('[data-verb=switch]')`)
	p.do(chromedp.Click("[data-verb=switch]"), chromedp.Click("dialog .danger"))
	p.await("that it is under way", `/switch nfs\/nfs-02 is being carried out/.test(document.querySelector('.toast')?.innerText)`)
	close(s.slow)
	p.await("the answer alone", `document.querySelectorAll('.toast').length === 1 && /nfs-02 is active now/.test(document.querySelector('.toast').innerText)`)
}
