package browser

import (
	"context"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"fairlead/internal/model"
)

// Two people edit at once: the second one gets a conflict, and nothing is lost.
func conflictMerged(t *testing.T, chromium context.Context) {
	d := newEditorDaemon(noteDocuments()...)
	site := serveEditor(t, d)
	ana := visit(t, chromium, site, "ana", model.RoleAdmin, 1280, 800)
	bob := visit(t, chromium, site, "bob", model.RoleAdmin, 1280, 800)
	ana.open("/l4")
	bob.open("/l4")
	ana.until("document.querySelector('.ed-text')?.value.includes('roundrobin')")
	bob.until("document.querySelector('.ed-text')?.value.includes('roundrobin')")
	bob.replace(strings.Replace(noteL4, "sorry", "sorry check", 1))
	bob.click("header button", "Apply")
	bob.until("document.querySelector('dialog .primary:not(:disabled)')")
	ana.replace(strings.Replace(noteL4, "interval 10", "interval 5", 1))
	ana.click("header button", "Apply")
	ana.click("dialog .primary", "Apply")
	ana.untilText("#toasts", "Applied")

	bob.click("dialog .primary", "Apply")
	bob.untilText("dialog h2", "Somebody else changed the configuration")
	bob.untilText("dialog", "ana (127.0.0.1) brought another configuration into force at ")
	bob.untilText("dialog .diff-added", "sorry check")
	bob.untilText("dialog .diff-added", "interval 5")
	bob.shoot("three-way")
	if got := d.text("l4.cfg"); strings.Contains(got, "sorry check") {
		t.Errorf("the second one's text was applied over the first one's: %q", got)
	}
	bob.click("dialog .button", "Copy mine")
	bob.untilText("dialog", "in the clipboard")
	if got := bob.words("navigator.clipboard.readText()"); !strings.Contains(got, "sorry check") {
		t.Errorf("the clipboard holds %q", got)
	}
	bob.click("dialog .primary", "Merge both")
	bob.untilText("dialog .diff-added", "sorry check")
	bob.click("dialog .primary", "Apply")
	bob.untilText("#toasts", "version 3")
	if got := d.text("l4.cfg"); !strings.Contains(got, "sorry check") || !strings.Contains(got, "interval 5") {
		t.Errorf("l4.cfg lost one of the changes: %q", got)
	}
}

// Both changed the same line: mine goes on top of theirs after the difference was
// shown, and the other person sees it coming while typing.
func conflictClash(t *testing.T, chromium context.Context) {
	d := newEditorDaemon(noteDocuments()...)
	v := visit(t, chromium, serveEditor(t, d), "bob", model.RoleAdmin, 1280, 800)
	v.open("/l4")
	v.until("document.querySelector('.ed-text')?.value.includes('roundrobin')")
	v.replace(strings.Replace(noteL4, "interval 10", "interval 7", 1))
	docs := noteDocuments()
	docs[1].Text = strings.Replace(noteL4, "interval 10", "interval 5", 1)
	d.mu.Lock()
	d.put(docs, model.Actor{Name: "ana", Via: "192.0.2.7"})
	d.mu.Unlock()
	v.untilText(".notice-warn", "Somebody else changed the configuration while you edited it")
	v.click(".notice-warn button", "Compare")
	v.untilText("dialog .clash", "interval 5")
	v.untilText("dialog .clash", "interval 7")
	v.untilText("dialog", "ana (192.0.2.7)")
	v.shoot("clash")
	v.press(kb.Escape)
	v.until("!document.querySelector('dialog')")
	if got := v.words("document.querySelector('.ed-text').value"); !strings.Contains(got, "interval 7") {
		t.Errorf("the text was lost: %q", got)
	}
	v.click(".notice-warn button", "Compare")
	v.click("dialog .button", "Put mine on top of theirs")
	v.untilText("dialog .diff-removed", "interval 5")
	v.untilText("dialog .diff-added", "interval 7")
	v.click("dialog .primary", "Apply")
	v.untilText("#toasts", "Applied")
	if got := d.text("l4.cfg"); !strings.Contains(got, "interval 7") {
		t.Errorf("l4.cfg is %q", got)
	}
}

// What is saved is not in force, survives a reload, and is offered to others.
func draftStays(t *testing.T, chromium context.Context) {
	d := newEditorDaemon(noteDocuments()...)
	site := serveEditor(t, d)
	ana := visit(t, chromium, site, "ana", model.RoleAdmin, 1280, 800)
	ana.open("/flow")
	ana.write("# saved\n")
	ana.untilText(".state", "Edited, not saved")
	ana.click("header button", "Save")
	ana.untilText(".state", "Saved, not applied")
	if d.text("flow.cfg") != noteFlow {
		t.Error("what was saved is in force")
	}
	ana.open("/flow")
	ana.until("document.querySelector('.ed-text')?.value.includes('# saved')")
	ana.untilText(".state", "Saved, not applied")
	ana.untilText(".notice-accent", "saved, not applied: by ana (127.0.0.1) at")
	ana.shoot("draft")

	bob := visit(t, chromium, site, "bob", model.RoleAdmin, 1280, 800)
	bob.open("/flow")
	bob.untilText(".notice-accent", "saved, not applied: by ana (127.0.0.1) at")
	if got := bob.words("document.querySelector('.ed-text').value"); strings.Contains(got, "# saved") {
		t.Error("a draft was opened without a word")
	}
	bob.click(".notice-accent button", "Open the draft")
	bob.until("document.querySelector('.ed-text').value.includes('# saved')")
	bob.click("header button", "Apply")
	bob.click("dialog .primary", "Apply")
	bob.untilText("#toasts", "Applied")
	bob.until("!document.querySelector('.notice-accent')")
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.draft != nil {
		t.Error("the draft stays though it is in force")
	}
}

// A draft that somebody else saved is not written over without a word.
func draftOfAnother(t *testing.T, chromium context.Context) {
	d := newEditorDaemon(noteDocuments()...)
	v := visit(t, chromium, serveEditor(t, d), "bob", model.RoleAdmin, 1280, 800)
	v.open("/flow")
	v.write("# of bob\n")
	v.untilText(".state", "Edited, not saved")
	docs := noteDocuments()
	docs[0].Text = "# of ana\n" + noteFlow
	if _, err := d.SaveDraft(context.Background(), model.Actor{Name: "ana"}, "", docs); err != nil {
		t.Fatal(err)
	}
	v.click("header button", "Save")
	v.untilText("dialog h2", "There is another draft")
	v.untilText("dialog .diff-added", "# of ana")
	v.click("dialog .primary", "Merge both")
	v.untilText(".state", "Saved, not applied")
	d.mu.Lock()
	defer d.mu.Unlock()
	if got := d.draft.Documents[0].Text; got != "# of ana\n"+noteFlow+"# of bob\n" {
		t.Errorf("the draft is %q", got)
	}
}

// Text that was neither saved nor applied stays in the browser, with a warning.
func unsavedStays(t *testing.T, chromium context.Context) {
	d := newEditorDaemon(noteDocuments()...)
	v := visit(t, chromium, serveEditor(t, d), "ana", model.RoleAdmin, 1280, 800)
	v.open("/flow")
	v.write("# unsaved\n")
	v.untilText(".state", "Edited, not saved")
	v.click("nav a", "Overview")
	v.untilText("#toasts", "neither saved nor applied")
	v.click("nav a", "Flow")
	v.until("document.querySelector('.ed-text')?.value.includes('# unsaved')")
	v.run(chromedp.Reload())
	v.mu.Lock()
	warned := v.warnings
	v.mu.Unlock()
	if warned != 1 {
		t.Errorf("the browser warned %d times before the reload, want once", warned)
	}
	v.until("document.querySelector('.ed-text')?.value.includes('# unsaved')")
	v.untilText(".notice-accent", "was brought back")
	if d.draft != nil || d.text("flow.cfg") != noteFlow {
		t.Error("the director holds what nobody saved")
	}
}

func rollBack(t *testing.T, chromium context.Context) {
	d := newEditorDaemon(noteDocuments()...)
	docs := noteDocuments()
	docs[1].Text = strings.Replace(noteL4, "interval 10", "interval 5", 1)
	d.put(docs, model.Actor{Name: "bob", Via: "192.0.2.9"})
	v := visit(t, chromium, serveEditor(t, d), "ana", model.RoleAdmin, 1280, 800)
	v.open("/l4")
	v.click("header button", "History")
	v.untilText(".version", "Version 2")
	v.untilText(".version", "bob (192.0.2.9)")
	v.click(".version", "Version 2")
	v.untilText(".version-view", "of bob (192.0.2.9)")
	if v.eval("document.querySelector('dialog .danger').disabled") != true {
		t.Error("one may roll back to what is in force")
	}
	v.click(".version", "Version 1")
	v.untilText(".version-view .diff-added", "interval 10")
	v.shoot("versions")
	v.click("dialog .danger", "Roll back")
	v.untilText("dialog h2", "Roll back to version 1")
	v.untilText("dialog .diff-removed", "interval 5")
	if d.text("l4.cfg") == noteL4 {
		t.Error("it was rolled back before anybody said yes")
	}
	v.click("dialog .primary", "Roll back to version 1")
	v.untilText("#toasts", "Version 1 is in force again, as version 3")
	if got := d.text("l4.cfg"); got != noteL4 {
		t.Errorf("l4.cfg is %q", got)
	}
	v.until("document.querySelector('.ed-text').value.includes('interval 10')")
}

// deskButtons lists those above the editor.
const deskButtons = "[...document.querySelectorAll('.desk-buttons button')].filter((b) => b.checkVisibility()).map((b) => b.innerText).join(',')"

// canDo lists the buttons that somebody sees on the page.
const canDo = "[...document.querySelectorAll('main button')].filter((b) => b.checkVisibility()).map((b) => b.innerText).join(',')"

func viewerReads(t *testing.T, chromium context.Context) {
	d := newEditorDaemon(noteDocuments()...)
	v := visit(t, chromium, serveEditor(t, d), "eve", model.RoleViewer, 1280, 800)
	v.open("/flow")
	v.untilText(".notice-plain", "Secrets are left out")
	v.until("document.querySelector('.ed-text').value.includes('flow nfs')")
	v.write("x")
	if got := v.words("document.querySelector('.ed-text').value"); got != noteFlow {
		t.Errorf("a viewer changed the text to %q", got)
	}
	if got := v.words(deskButtons); got != "" {
		t.Errorf("a viewer sees the buttons %s", got)
	}
	v.shoot("flow")
	v.click("nav a", "Services")
	v.untilText("[data-service=web]", "failed")
	if got := v.words(canDo); strings.Contains(got, "Restart") || strings.Contains(got, "Edit") {
		t.Errorf("a viewer sees the buttons %s", got)
	}
	for _, called := range []string{"GET /config/versions", "POST /config/diff"} {
		if v.called(called) != 0 {
			t.Errorf("a viewer's page asks for %s, which is refused", called)
		}
	}
}

// An operator sees what a draft would change, and changes nothing.
func operatorReads(t *testing.T, chromium context.Context) {
	d := newEditorDaemon(noteDocuments()...)
	docs := noteDocuments()
	docs[0].Text += "# soon\n"
	if _, err := d.SaveDraft(context.Background(), model.Actor{Name: "ana"}, "", docs); err != nil {
		t.Fatal(err)
	}
	v := visit(t, chromium, serveEditor(t, d), "otto", model.RoleOperator, 1280, 800)
	v.open("/flow")
	v.click(".notice-accent button", "Show what it changes")
	v.untilText("dialog .diff-added", "# soon")
	if got := v.words("[...document.querySelectorAll('dialog button')].map((b) => b.innerText).join()"); strings.Contains(got, "Apply") {
		t.Errorf("an operator may choose %s", got)
	}
	v.press(kb.Escape)
	v.until("!document.querySelector('dialog')")
	if got := v.words(deskButtons); got != "Show what the draft changes" {
		t.Errorf("an operator sees the buttons %s", got)
	}
	v.click(".desk-buttons button", "Show what the draft changes")
	v.untilText("dialog .diff-added", "# soon")
	if v.called("PUT /config") != 0 {
		t.Error("an operator's page applies")
	}
	v.press(kb.Escape)
	v.untilText(".state", "Read only")
}

// A daemon that was started with one file shows that file on each page.
func singleFile(t *testing.T, chromium context.Context) {
	d := newEditorDaemon(model.Document{Name: "/etc/fairlead.cfg", Text: noteFlow + noteL4 + noteServices})
	v := visit(t, chromium, serveEditor(t, d), "ana", model.RoleAdmin, 1280, 800)
	for _, page := range []string{"/flow", "/l4"} {
		v.open(page)
		v.until("document.querySelector('.ed-text')?.value.includes('sysctl')")
		v.untilText(".files", "fairlead.cfg")
	}
	v.open("/services")
	v.click("[data-edit=lvs]", "Edit")
	v.until("document.querySelector('.ed-text')?.value.includes('sysctl')")
	v.click("button", "Save and restart")
	v.untilText("dialog", "No packet is lost")
	v.click("dialog .primary", "Restart")
	v.untilText("#toasts", "The LVS service was restarted")
}

// Everything from the first line to the restart goes without a mouse.
func keyboardOnly(t *testing.T, chromium context.Context) {
	d := newEditorDaemon(noteDocuments()...)
	v := visit(t, chromium, serveEditor(t, d), "ana", model.RoleAdmin, 1280, 800)
	v.open("/flow")
	v.until("document.querySelector('.ed-text')?.value.includes('flow nfs')")
	v.tabTo("Text of flow.cfg")
	if got := v.number("parseFloat(getComputedStyle(document.activeElement).outlineWidth)"); got < 2 {
		t.Errorf("the focus is not seen: its outline is %v px wide", got)
	}
	v.press("# by keys\n")
	v.press("s", chromedp.KeyModifiers(kb.ModifierCtrl))
	v.untilText(".state", "Saved, not applied")
	v.press(kb.Enter, chromedp.KeyModifiers(kb.ModifierCtrl))
	v.until("document.activeElement.matches('dialog .primary')")
	v.press(kb.Enter)
	v.untilText("#toasts", "Applied")
	if got := d.text("flow.cfg"); !strings.HasPrefix(got, "# by keys\n") && !strings.HasSuffix(got, "# by keys\n") {
		t.Errorf("flow.cfg is %q", got)
	}
	v.open("/services")
	v.untilText("[data-service=lvs]", "running")
	v.tabTo("Edit the LVS service")
	v.press(kb.Enter)
	v.until("document.activeElement.matches('.ed-text')")
	v.tabTo("Restart the LVS service")
}

// A draft that was begun before another configuration came into force does not undo
// what that one brought.
func oldDraft(t *testing.T, chromium context.Context) {
	d := newEditorDaemon(noteDocuments()...)
	docs := noteDocuments()
	docs[1].Text = strings.Replace(noteL4, "sorry", "sorry check", 1)
	if _, err := d.SaveDraft(context.Background(), model.Actor{Name: "ana"}, "", docs); err != nil {
		t.Fatal(err)
	}
	docs = noteDocuments()
	docs[1].Text = strings.Replace(noteL4, "interval 10", "interval 5", 1)
	d.put(docs, model.Actor{Name: "bob"})
	v := visit(t, chromium, serveEditor(t, d), "ana", model.RoleAdmin, 1280, 800)
	v.open("/l4")
	v.untilText(".notice-accent", "The configuration was changed after it")
	v.click(".notice-accent button", "Open the draft")
	v.untilText(".notice-warn", "Somebody else changed the configuration")
	v.click("header button", "Apply")
	v.untilText("dialog", "bob brought another configuration into force")
	v.click("dialog .primary", "Merge both")
	v.untilText("dialog .diff-added", "sorry check")
	v.click("dialog .primary", "Apply")
	v.untilText("#toasts", "Applied")
	if got := d.text("l4.cfg"); !strings.Contains(got, "sorry check") || !strings.Contains(got, "interval 5") {
		t.Errorf("l4.cfg lost one of the changes: %q", got)
	}
}

// Files beyond the note's three are reached from the pages Flow and LB layer 4, and a
// finding leads to the page and the place where it is.
func moreFiles(t *testing.T, chromium context.Context) {
	docs := append(noteDocuments(), model.Document{Name: "/etc/fairlead/web.cfg", Text: "# of the web servers\n"})
	d := newEditorDaemon(docs...)
	v := visit(t, chromium, serveEditor(t, d), "ana", model.RoleAdmin, 1280, 800)
	v.open("/flow")
	v.click(".files button", "web.cfg")
	v.until("document.querySelector('.ed-text').value.startsWith('# of the web')")
	v.write("flow web director web\nmatch dst 192.168.10.60\n")
	v.untilText(".finding-error", `director "web" does not exist`)
	v.click("nav a", "LB layer 4")
	v.until("document.querySelector('.ed-text')?.value.includes('roundrobin')")
	v.replace(noteL4 + "director web\nmode gateway\nserver web-01 192.168.10.300\n")
	v.untilText(".finding-error", "192.168.10.300")
	v.click("nav a", "Services")
	v.untilText("h1", "Services")
	v.click("[data-edit=lvs]", "Edit")
	v.click(".finding-place", "l4.cfg:10:15")
	v.untilText("h1", "LB layer 4")
	v.until("document.activeElement.matches('.ed-text')")
	if got := v.words("(() => { const a = document.activeElement; return a.value.slice(a.selectionStart, a.selectionEnd); })()"); got != "192.168.10.300" {
		t.Errorf("selected is %q, want the address that is wrong", got)
	}
}

// While the daemon is gone nothing that is typed is lost, and when it is back the text
// is checked without a word.
func daemonGone(t *testing.T, chromium context.Context) {
	d := newEditorDaemon(noteDocuments()...)
	site := serveEditor(t, d)
	v := visit(t, chromium, site, "ana", model.RoleAdmin, 1280, 800)
	v.open("/l4")
	v.untilText(".verdict", "No error")
	v.untilText(".daemon", "live")
	site.stop()
	v.write("blance\n")
	v.untilText(".verdict", "The text could not be checked: The daemon does not answer")
	v.click("header button", "Save")
	v.untilText("#toasts", "The daemon does not answer")
	v.untilText(".state", "Edited, not saved: l4.cfg")
	site.start()
	v.untilText(".verdict", "1 error")
	v.click("header button", "Save")
	v.untilText(".state", "Saved, not applied")
}
