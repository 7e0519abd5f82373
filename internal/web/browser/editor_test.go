package browser

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"fairlead/internal/model"
)

// The application note's texts, as they stand there.
const (
	noteFlow = "flow nfs director nfs\nmatch iface eth0 dst 192.168.10.50\n"
	noteL4   = "director nfs\nbalance roundrobin\nmode gateway\ncheck interval 10 port 2049 timeout 2\noption tcpcheck\n" +
		"server nfs-01 192.168.10.100:2049 weight 10 check\nserver nfs-02 192.168.10.101:2049 sorry\n"
	noteServices = "sysctl expire_nodest_conn=1\nsysctl expire_quiescent_template=1\n"
)

// noteDocuments are the note's three files, in force.
func noteDocuments() []model.Document {
	docs := emptyDocuments()
	docs[0].Text, docs[1].Text, docs[2].Text = noteFlow, noteL4, noteServices
	return docs
}

func TestEditor(t *testing.T) {
	mustBrowse(t)
	for _, test := range []struct {
		name string
		run  func(*testing.T, context.Context)
	}{
		{"walk-through typed", walkTyped},
		{"walk-through pasted", walkPasted},
		{"walk-through saved", walkSaved},
		{"bad line", badLine},
		{"older answer", olderAnswer},
		{"diff before apply", diffFirst},
		{"refused hook", refusedHook},
		{"refused late", refusedLate},
		{"conflict", conflictMerged},
		{"conflict on one line", conflictClash},
		{"draft", draftStays},
		{"draft of another", draftOfAnother},
		{"old draft", oldDraft},
		{"unsaved text", unsavedStays},
		{"daemon gone", daemonGone},
		{"roll back", rollBack},
		{"viewer", viewerReads},
		{"operator", operatorReads},
		{"single file", singleFile},
		{"more files", moreFiles},
		{"keyboard only", keyboardOnly},
		{"narrow", narrow},
		{"long text", longText},
		{"alignment", alignment},
		{"comparison", comparison},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.name != "long text" { // which is timed
				t.Parallel()
			}
			test.run(t, chromium.ctx)
		})
	}
}

// walk follows the application note, tab by tab.
func walk(v *visitor, d *editorDaemon, put func(string)) {
	v.open("/")
	v.click("nav a", "Flow")
	v.untilText("h1", "Flow")
	put(noteFlow)
	v.click("nav a", "LB layer 4")
	v.untilText("h1", "LB layer 4")
	put(noteL4)
	v.click("nav a", "Services")
	v.click("[data-edit=lvs]", "Edit")
	put(noteServices)
	v.until("document.querySelector('.ed-text').value.includes('template=1')")
	v.shoot("services")
	v.click("button", "Save and restart")
	v.untilText("dialog h2", "Save and restart the LVS service")
	for _, name := range []string{"flow.cfg", "l4.cfg", "services.cfg"} {
		v.untilText("dialog .diff-document h3", name)
	}
	v.shoot("review")
	if got := d.text("flow.cfg"); got != "" {
		v.Errorf("flow.cfg was %q in force before anybody said yes", got)
	}
	v.click("dialog .primary", "Save and restart the LVS service")
	v.untilText("#toasts", "The LVS service was restarted")
	for base, want := range map[string]string{"flow.cfg": noteFlow, "l4.cfg": noteL4, "services.cfg": noteServices} {
		if got := d.text(base); got != want {
			v.Errorf("%s is %q, want %q", base, got, want)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if fmt.Sprint(d.restarted) != "[lvs]" {
		v.Errorf("restarted: %v, want [lvs]", d.restarted)
	}
}

func walkTyped(t *testing.T, chromium context.Context) {
	d := newEditorDaemon(emptyDocuments()...)
	v := visit(t, chromium, serveEditor(t, d), "ana", model.RoleAdmin, 1280, 800)
	walk(v, d, v.write)
}

func walkPasted(t *testing.T, chromium context.Context) {
	d := newEditorDaemon(emptyDocuments()...)
	v := visit(t, chromium, serveEditor(t, d), "ana", model.RoleAdmin, 1280, 800)
	walk(v, d, v.paste)
}

// Who saves on each tab, as the note's words can be read, is left without a draft of what
// has come into force.
func walkSaved(t *testing.T, chromium context.Context) {
	d := newEditorDaemon(emptyDocuments()...)
	v := visit(t, chromium, serveEditor(t, d), "ana", model.RoleAdmin, 1280, 800)
	v.open("/flow")
	v.write(noteFlow)
	v.click("header button", "Save")
	v.untilText(".state", "Saved, not applied: flow.cfg")
	v.click("nav a", "LB layer 4")
	v.untilText("h1", "LB layer 4")
	v.write(noteL4)
	v.click("header button", "Save")
	v.untilText(".state", "Saved, not applied: flow.cfg, l4.cfg")
	v.click("nav a", "Services")
	v.click("[data-edit=lvs]", "Edit")
	v.write(noteServices)
	v.click("button", "Save and restart")
	v.click("dialog .primary", "Save and restart the LVS service")
	v.untilText("#toasts", "The LVS service was restarted")
	v.untilText(".state", "In force")
	v.until("!document.querySelector('.notice-line')")
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.draft != nil {
		t.Errorf("a draft is left: %+v", *d.draft)
	}
}

// A line that is wrong is marked at its place, and a click on the finding goes there.
func badLine(t *testing.T, chromium context.Context) {
	d := newEditorDaemon(noteDocuments()...)
	v := visit(t, chromium, serveEditor(t, d), "ana", model.RoleAdmin, 1280, 800)
	v.open("/l4")
	v.until("document.querySelector('.ed-text')?.value.includes('roundrobin')")
	v.replace(strings.Replace(noteL4, "balance roundrobin", "blance roundrobin", 1))
	v.untilText(".finding-error", `unknown word "blance"`)
	v.untilText(".finding-error", `did you mean "balance"?`)
	v.untilText(".verdict", "1 error")
	if got := v.words("document.querySelector('.ed-line .ed-error').textContent"); got != "blance" {
		t.Errorf("underlined is %q, want blance", got)
	}
	if got := v.words("document.querySelector('.ed-has-error').textContent"); got != "2" {
		t.Errorf("the mark stands at line %s, want 2", got)
	}
	v.shoot("light")
	v.dark(true)
	v.shoot("dark")
	v.dark(false)
	v.click(".finding-place", "l4.cfg:2:1")
	if got := v.words("(() => { const a = document.querySelector('.ed-text'); return document.activeElement === a && a.value.slice(a.selectionStart, a.selectionEnd); })()"); got != "blance" {
		t.Errorf("selected is %q, want blance", got)
	}
	v.run(chromedp.KeyEvent("balance"))
	v.until("!document.querySelector('.finding-error, .ed-error, .ed-has-error')")
	v.untilText(".finding-warning", "nothing fences the servers")
}

// The daemon's answer to an older text never takes the place of a newer one, whether it
// comes before the newer text is sent, or after its answer.
func olderAnswer(t *testing.T, chromium context.Context) {
	d := newEditorDaemon(noteDocuments()...)
	v := visit(t, chromium, serveEditor(t, d), "ana", model.RoleAdmin, 1280, 800)
	v.open("/l4")
	v.untilText(".verdict", "No error")
	for _, early := range []bool{true, false} {
		late := make(chan struct{})
		d.mu.Lock()
		d.slow = late
		d.mu.Unlock()
		before := v.called("POST /config/validate")
		v.replace("this is wrong\n")
		for v.called("POST /config/validate") == before {
			v.eval("new Promise(requestAnimationFrame)")
		}
		v.eval("(() => { window.seen = 0; new MutationObserver(() => { window.seen += document.querySelectorAll('.finding-error').length; }).observe(document.querySelector('.problems'), { childList: true }); })()")
		v.replace(noteL4)
		if early {
			close(late)
		}
		v.until("document.querySelector('.checking').hidden")
		if got := v.called("POST /config/validate"); got != before+2 {
			t.Errorf("%d checks were asked for, want 2", got-before)
		}
		if !early {
			close(late)
			v.eval("new Promise((done) => setTimeout(done, 300))")
		}
		if got := v.number("window.seen"); got != 0 {
			t.Errorf("early %v: %v errors of the older text were shown", early, got)
		}
	}
}

// Nothing comes into force before its difference was shown and somebody said yes.
func diffFirst(t *testing.T, chromium context.Context) {
	d := newEditorDaemon(noteDocuments()...)
	v := visit(t, chromium, serveEditor(t, d), "ana", model.RoleAdmin, 1280, 800)
	v.open("/l4")
	v.until("document.querySelector('.ed-text')?.value.includes('roundrobin')")
	v.replace(strings.Replace(noteL4, "interval 10", "interval 5", 1))
	v.click("nav a", "Flow")
	v.untilText("h1", "Flow")
	v.write("# the note's flow\n")
	v.click("header button", "Apply")
	v.untilText("dialog .diff-removed", "check interval 10")
	v.untilText("dialog .diff-added", "check interval 5")
	v.untilText("dialog .diff-added", "# the note's flow")
	v.untilText("dialog .effects", "l4.cfg")
	v.untilText("dialog .finding-warning", "nothing fences")
	v.dark(true)
	v.shoot("review")
	v.press(kb.Escape)
	v.dark(false)
	v.until("!document.querySelector('dialog')")
	if d.text("l4.cfg") != noteL4 || v.called("PUT /config") != 0 {
		t.Error("it was applied by leaving the dialog")
	}
	v.click("header button", "Apply")
	v.click("dialog .primary", "Apply")
	v.untilText("#toasts", "Applied: generation 2, version 2")
	v.untilText(".state", "In force, generation 2")
	if got := d.text("l4.cfg"); !strings.Contains(got, "interval 5") {
		t.Errorf("l4.cfg is %q", got)
	}
	v.replace("director\n")
	v.click("header button", "Apply")
	v.untilText("dialog", "This cannot be applied: it has errors")
	if v.eval("document.querySelector('dialog .primary').disabled") != true {
		t.Error("a text with an error may be applied")
	}
}

// Lines that run programmes are marked, and refused at their place.
func refusedHook(t *testing.T, chromium context.Context) {
	docs := noteDocuments()
	docs[1].Text += "hook fence /etc/fairlead/hooks/fence\n"
	d := newEditorDaemon(docs...)
	v := visit(t, chromium, serveEditor(t, d), "ana", model.RoleAdmin, 1280, 800)
	v.open("/l4")
	v.until("document.querySelector('.ed-number .sign-lock')")
	v.write("hook promote /tmp/mine\n")
	v.untilText(".finding-error", "a hook line cannot be added or changed here")
	if got := v.words("document.querySelector('.ed-has-error').textContent"); got != "9" {
		t.Errorf("the mark stands at line %s, want 9", got)
	}
	v.shoot("hook")
}

// What the director refuses though nothing was wrong with it stands at its line, too,
// until the line is changed.
func refusedLate(t *testing.T, chromium context.Context) {
	d := newEditorDaemon(noteDocuments()...)
	d.late = true
	v := visit(t, chromium, serveEditor(t, d), "ana", model.RoleAdmin, 1280, 800)
	v.open("/l4")
	v.write("hook promote /tmp/mine\n")
	v.click("header button", "Apply")
	v.click("dialog .primary", "Apply")
	v.untilText("dialog .review-refused", "Nothing was changed: the configuration has lines that cannot be set from here")
	v.untilText("dialog .finding-error", "a hook line cannot be added or changed here")
	v.shoot("dialog")
	v.press(kb.Escape)
	v.until("document.querySelector('.ed-has-error')?.textContent === '8'")
	v.untilText(".desk .finding-error", "l4.cfg:8:1")
	if d.text("l4.cfg") != noteL4 {
		t.Error("the line is in force")
	}
	v.replace(noteL4)
	v.until("!document.querySelector('.ed-has-error, .finding-error')")
}
