package browser

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"fairlead/internal/model"
)

// A small screen never scrolls the page sideways; long lines scroll in their box.
func narrow(t *testing.T, chromium context.Context) {
	docs := noteDocuments()
	docs[0].Text += "# " + strings.Repeat("a long comment ", 40) + "\n"
	d := newEditorDaemon(docs...)
	v := visit(t, chromium, serveEditor(t, d), "ana", model.RoleAdmin, 360, 740)
	inside := func(what string) {
		if got := v.number("document.documentElement.scrollWidth"); got > 360 {
			t.Errorf("%s: the page is %v px wide on a screen of 360", what, got)
		}
		v.shoot(what)
	}
	v.open("/flow")
	v.untilText(".verdict", "No error")
	inside("flow")
	v.write("# x\n")
	v.click("header button", "Apply")
	v.untilText("dialog .diff-added", "# x")
	inside("review")
	if got := v.number("document.querySelector('dialog').getBoundingClientRect().right"); got > 360 {
		t.Errorf("the dialog ends at %v px", got)
	}
	v.click("dialog button", "Cancel")
	v.open("/services")
	v.untilText("[data-service=web]", "failed")
	inside("services")
	v.click("[data-edit=lvs]", "Edit")
	v.until("document.querySelector('.ed-text')")
	inside("services-edit")
}

// 10,000 lines stay smooth to type in, and only what is seen is painted.
func longText(t *testing.T, chromium context.Context) {
	docs := noteDocuments()
	var b strings.Builder
	b.WriteString(noteFlow)
	for i := range 10_000 {
		fmt.Fprintf(&b, "# match iface eth0 dst 192.168.%d.%d proto tcp dstport 2049\n", i/250, i%250)
	}
	docs[0].Text = b.String()
	d := newEditorDaemon(docs...)
	v := visit(t, chromium, serveEditor(t, d), "ana", model.RoleAdmin, 1280, 800)
	v.open("/flow")
	v.until("document.querySelectorAll('.ed-line').length > 10")
	if got := v.number("document.querySelectorAll('.ed-line').length"); got > 200 {
		t.Errorf("%v lines are painted", got)
	}
	v.eval("(() => { const a = document.querySelector('.ed-text'); a.focus(); a.setSelectionRange(150000, 150000); })()")
	worst := v.number(`(async () => {
		const times = [];
		for (let i = 0; i < 30; i++) {
			const from = performance.now();
			document.execCommand('insertText', false, i % 10 ? 'x' : '\n');
			document.querySelector('.ed-text').scrollTop; // lays out
			times.push(performance.now() - from);
			await new Promise(requestAnimationFrame);
		}
		return times.sort((a, b) => a - b)[27];
	})()`)
	t.Logf("a key in 10,000 lines took %.1f ms, 9 of 10 times", worst)
	if worst > 100 {
		t.Errorf("a key in 10,000 lines took %.1f ms, want 100 ms at most", worst)
	}
	v.eval("(() => { document.querySelector('.ed-text').scrollTop = 1e9; })()")
	v.until("document.querySelector('.ed-number:last-child').textContent === '10006'")
}

// The coloured copy stands under the text to the pixel, with tabs, long lines and
// characters of all widths.
func alignment(t *testing.T, chromium context.Context) {
	for _, width := range []int64{360, 1280, 1920} {
		aligned(t, chromium, width)
	}
}

func aligned(t *testing.T, chromium context.Context, width int64) {
	t.Helper()
	docs := noteDocuments()
	long := strings.Repeat("0123456789", 40)
	docs[0].Text = "flow\tnfs\tdirector nfs\n\tmatch iface eth0 dst 192.168.10.50 # Ä 中文 🙂 é\n# " + long + "\n" + strings.Repeat("# line\n", 100)
	d := newEditorDaemon(docs...)
	v := visit(t, chromium, serveEditor(t, d), "ana", model.RoleAdmin, width, 1000)
	v.open("/flow")
	v.until("document.querySelectorAll('.ed-line').length > 10")
	v.shoot(fmt.Sprint(width))
	if got := v.number(`(() => {
		const area = document.querySelector('.ed-text');
		const probe = document.createElement('div');
		const style = getComputedStyle(area);
		for (const name of ["fontFamily", "fontSize", "fontWeight", 'tabSize', 'letterSpacing', 'fontVariantLigatures', 'fontKerning', 'lineHeight']) probe.style[name] = style[name];
		probe.style.position = 'absolute';
		probe.style.whiteSpace = 'pre';
		document.body.append(probe);
		let worst = 0;
		document.querySelectorAll('.ed-line').forEach((line, i) => {
			probe.textContent = area.value.split('\n')[i] || ' ';
			const range = document.createRange();
			range.selectNodeContents(line);
			worst = Math.max(worst, Math.abs(probe.getBoundingClientRect().width - range.getBoundingClientRect().width));
		});
		probe.remove();
		return worst;
	})()`); got > 0.5 {
		t.Errorf("on %d px: a painted line is %v px longer or shorter than its text", width, got)
	}
	if got := v.number("(() => { const a = document.querySelector('.ed-text'); return a.scrollWidth - parseFloat(getComputedStyle(a).paddingLeft) - Math.max(...[...document.querySelectorAll('.ed-line')].map((l) => l.getBoundingClientRect().width)); })()"); got < -1 || got > 14 {
		t.Errorf("on %d px: the text box is %v px wider than the longest painted line", width, got)
	}
	if got := v.number("(() => { const a = document.querySelector('.ed-text'); return a.scrollHeight - 2 * parseFloat(getComputedStyle(a).paddingTop) - a.value.split('\\n').length * document.querySelector('.ed-line').getBoundingClientRect().height; })()"); got != 0 {
		t.Errorf("on %d px: the text is %v px higher than its painted lines", width, got)
	}
	v.eval("(() => { const a = document.querySelector('.ed-text'); a.scrollLeft = 500; a.scrollTop = 333; })()")
	v.until("document.querySelector('.ed-line').getBoundingClientRect().left < 0")
	offset := v.words(`(() => {
		const area = document.querySelector('.ed-text');
		const pane = area.getBoundingClientRect();
		const n = Number(document.querySelector('.ed-number').textContent);
		const first = document.querySelector('.ed-line').getBoundingClientRect();
		const number = document.querySelector('.ed-number').getBoundingClientRect();
		const wantTop = pane.top + parseFloat(getComputedStyle(area).paddingTop) + (n - 1) * first.height - area.scrollTop;
		const wantLeft = pane.left + parseFloat(getComputedStyle(area).paddingLeft) - area.scrollLeft;
		return [first.top - wantTop, first.left - wantLeft, number.top - wantTop].map(Math.round).join();
	})()`)
	if offset != "0,0,0" && offset != "0,0,-0" {
		t.Errorf("on %d px: the painted lines are off by %s px", width, offset)
	}
	v.eval("(() => { const a = document.querySelector('.ed-text'); a.focus(); a.setSelectionRange(0, 0); })()")
	v.press("xyz")
	v.until("document.querySelector('.ed-text').value.startsWith('xyzflow')")
	for range 3 {
		v.eval("document.execCommand('undo')")
	}
	v.until("document.querySelector('.ed-text').value.startsWith('flow')")
}

// The comparison of texts, and of what two people made of one.
func comparison(t *testing.T, chromium context.Context) {
	v := visit(t, chromium, serveEditor(t, newEditorDaemon(emptyDocuments()...)), "ana", model.RoleAdmin, 1280, 800)
	v.open("/flow")
	v.until("document.querySelector('.ed-text')")
	for _, test := range []struct{ name, expression, want string }{
		{"lines", "d.compare('a\\nb\\nc\\n', 'a\\nc\\nd\\n').map((l) => l.op + l.text + (l.old ?? '-') + (l.new ?? '-')).join()", " a11,-b2-, c32,+d-3"},
		{"nothing", "d.compare('', '').length", "0"},
		{"merge", "JSON.stringify(d.merge('a\\nb\\nc\\nd\\n', 'A\\nb\\nc\\nd\\n', 'a\\nb\\nc\\nd\\ne\\n'))", `{"text":"A\nb\nc\nd\ne\n","clashes":[]}`},
		{"clash", "JSON.stringify(d.merge('a\\nb\\n', 'a\\nM\\n', 'a\\nT\\n'))", `{"text":"a\nM\n","clashes":[{"line":2,"base":["b"],"mine":["M"],"theirs":["T"]}]}`},
		{"random", random, "0"},
	} {
		if got := v.words("import('/static/js/diff.js').then((d) => " + test.expression + ")"); got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
	if got := v.words("import('/static/js/highlight.js').then((m) => m.tokens('server nfs-01 192.168.10.100:2049 weight 10 check # x').filter(([k]) => k !== 'blank').map(([k]) => k).join())"); got != "word,name,address,word,number,value,comment" {
		t.Errorf("the pieces of a line are %s", got)
	}
}

// random counts texts whose comparison does not give both of them back, or where
// a change of one side alone does not come out of a merge as it went in.
const random = `(() => {
	let seed = 1;
	const dice = (n) => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) % n;
	const text = () => Array.from({ length: dice(12) }, () => 'abcd'[dice(4)] + '\n').join('');
	let wrong = 0;
	for (let i = 0; i < 5000; i++) {
		const a = text(), b = text();
		const join = (op) => d.compare(a, b).filter((l) => l.op !== op).map((l) => l.text + '\n').join('');
		if (join('+') !== a || join('-') !== b) wrong++;
		if (d.merge(a, b, a).text !== b || d.merge(a, a, b).text !== b || d.merge(a, b, b).clashes.length) wrong++;
	}
	return wrong;
})()`
