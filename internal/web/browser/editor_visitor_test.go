package browser

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"fairlead/internal/model"
)

// A visitor is somebody with a browser context of their own: nothing is shared
// with other visitors, not even cookies.
type visitor struct {
	*testing.T
	ctx context.Context
	url string

	mu       sync.Mutex // guards the following
	trouble  []string   // what the console says is wrong
	warnings int        // dialogs that warned of leaving
	asked    []string   // what was asked of the API: "PUT /config"
}

// visit opens the pages as somebody, in a window of that size.
func visit(t *testing.T, chromium context.Context, site *editorSite, name string, role model.Role, width, height int64) *visitor {
	t.Helper()
	v := &visitor{T: t, url: site.url}
	ctx, leave := chromedp.NewContext(chromium, chromedp.WithNewBrowserContext(), chromedp.WithListener(v.hear))
	// The tab lives as long as the context of its first action.
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("open a tab: %v", err)
	}
	limited, stop := context.WithTimeout(ctx, 2*time.Minute)
	v.ctx = limited
	t.Cleanup(func() {
		v.quiet()
		stop()
		leave()
	})
	cookie := site.login(t, name, role)
	v.run(call(network.SetCookie, network.SetCookieParams{Name: cookie.Name, Value: cookie.Value, URL: site.url, HTTPOnly: &cookie.HttpOnly}),
		call(emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true}), chromedp.EmulateViewport(width, height))
	for _, name := range []string{"clipboard-read", "clipboard-write"} {
		v.run(call(browser.SetPermission, browser.SetPermissionParams{
			Permission: &browser.PermissionDescriptor{Name: name}, Setting: browser.PermissionSettingGranted,
			BrowserContextID: chromedp.FromContext(ctx).BrowserContextID,
		}))
	}
	return v
}

func (v *visitor) hear(event any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		v.trouble = append(v.trouble, fmt.Sprintf("exception: %s %v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception))
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			v.trouble = append(v.trouble, fmt.Sprintf("console: %s", e.Args[0].Value))
		}
	case *log.EventEntryAdded:
		// The API's own refusals are answers, not trouble.
		if e.Entry.Level == log.EntryLevelError && !(e.Entry.Source == log.EntrySourceNetwork && strings.Contains(e.Entry.URL, "/api/v1/")) {
			v.trouble = append(v.trouble, fmt.Sprintf("log: %s %s", e.Entry.Text, e.Entry.URL))
		}
	case *network.EventRequestWillBeSent:
		if at, ok := strings.CutPrefix(e.Request.URL, v.url+"/api/v1"); ok {
			v.asked = append(v.asked, e.Request.Method+" "+at)
		} else if !strings.HasPrefix(e.Request.URL, v.url) && !strings.HasPrefix(e.Request.URL, "data:") {
			v.trouble = append(v.trouble, "request to elsewhere: "+e.Request.URL)
		}
	case *page.EventJavascriptDialogOpening:
		v.warnings++
		go func() {
			if err := chromedp.Do(v.ctx, call(page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{Accept: true})); err != nil {
				v.Errorf("answer the browser's dialog: %v", err)
			}
		}()
	}
}

// quiet fails when the console had something to say.
func (v *visitor) quiet() {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, said := range v.trouble {
		v.Errorf("%s", said)
	}
	v.trouble = nil
}

func (v *visitor) run(actions ...chromedp.Action[chromedp.Void]) {
	v.Helper()
	if err := chromedp.Do(v.ctx, actions...); err != nil {
		v.Fatalf("drive the browser: %v", err)
	}
}

// open goes to a page by its address.
func (v *visitor) open(path string) {
	v.Helper()
	v.run(chromedp.Navigate(v.url + path))
}

// eval gives the value of an expression, as JSON gives it.
func (v *visitor) eval(expression string) any {
	v.Helper()
	value, err := chromedp.Run(v.ctx, chromedp.Evaluate[any](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		v.Fatalf("evaluate %s: %v", expression, err)
	}
	return value
}

func (v *visitor) number(expression string) float64 {
	v.Helper()
	n, _ := v.eval(expression).(float64)
	return n
}

func (v *visitor) words(expression string) string {
	v.Helper()
	return fmt.Sprint(v.eval(expression))
}

// until waits for a condition on the page. Pages draw when the browser finds time
// for it: there is no event for "drawn".
func (v *visitor) until(condition string) {
	v.Helper()
	const every = 10 * time.Millisecond
	for range 1000 {
		if v.eval("Boolean("+condition+")") == true {
			return
		}
		v.run(chromedp.Sleep(every))
	}
	v.shoot("failed")
	v.Fatalf("waited in vain for %s; the page says:\n%s", condition, v.words("document.body.innerText"))
}

// untilText waits until what a selector finds holds a text.
func (v *visitor) untilText(selector, text string) {
	v.Helper()
	v.until(fmt.Sprintf("[...document.querySelectorAll(%q)].some((n) => n.innerText.includes(%q))", selector, text))
}

// click clicks what has the words on it, with the mouse.
func (v *visitor) click(selector, text string) {
	v.Helper()
	find := fmt.Sprintf("[...document.querySelectorAll(%q)].find((n) => n.innerText.includes(%q) && !n.disabled && n.checkVisibility())", selector, text)
	v.until(find)
	at := v.point(fmt.Sprintf(`(() => { const n = %s; n.scrollIntoView({block: 'center'}); const r = n.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()`, find))
	v.run(chromedp.MouseClickXY(at[0], at[1]))
}

// point gives the two numbers of an expression.
func (v *visitor) point(expression string) []float64 {
	v.Helper()
	at, err := chromedp.Run(v.ctx, chromedp.Evaluate[[]float64](expression))
	if err != nil || len(at) != 2 {
		v.Fatalf("evaluate %s: %v %v", expression, at, err)
	}
	return at
}

// write types a text into the editor, key by key.
func (v *visitor) write(text string) {
	v.Helper()
	v.focusEditor()
	v.run(chromedp.KeyEvent(text))
}

func (v *visitor) focusEditor() {
	v.Helper()
	v.until("document.querySelector('.ed-text')")
	v.eval("(() => { const a = document.querySelector('.ed-text'); a.focus(); a.setSelectionRange(a.value.length, a.value.length); })()")
}

// paste puts a text in by the clipboard, as people do.
func (v *visitor) paste(text string) {
	v.Helper()
	v.focusEditor()
	v.eval(fmt.Sprintf("navigator.clipboard.writeText(%q)", text))
	for _, kind := range []input.DispatchKeyEventType{input.DispatchKeyEventTypeKeyDown, input.DispatchKeyEventTypeKeyUp} {
		p := input.DispatchKeyEventParams{Type: kind, Key: "v", Code: "KeyV", Modifiers: 2}
		if kind == input.DispatchKeyEventTypeKeyDown {
			p.Commands = []string{"paste"}
		}
		v.run(call(input.DispatchKeyEvent, p))
	}
}

// replace puts a text in the place of all that is in the editor.
func (v *visitor) replace(text string) {
	v.Helper()
	v.until("document.querySelector('.ed-text')")
	v.eval("(() => { const a = document.querySelector('.ed-text'); a.focus(); a.select(); })()")
	v.run(call(input.InsertText, input.InsertTextParams{Text: text}))
}

func (v *visitor) press(key string, modifiers ...chromedp.KeyOption) {
	v.Helper()
	v.run(chromedp.KeyEvent(key, modifiers...))
}

// tabTo moves the focus by the Tab key until it is on what has the words.
func (v *visitor) tabTo(text string) {
	v.Helper()
	for range 60 {
		v.press(kb.Tab)
		if strings.Contains(v.words("document.activeElement.innerText + '|' + (document.activeElement.getAttribute('aria-label') ?? '')"), text) {
			return
		}
	}
	v.Fatalf("the Tab key never comes to %q", text)
}

// called tells how often the API was asked for something.
func (v *visitor) called(what string) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	n := 0
	for _, a := range v.asked {
		if a == what {
			n++
		}
	}
	return n
}

// dark changes the theme that the system wishes for.
func (v *visitor) dark(on bool) {
	v.Helper()
	wish := "light"
	if on {
		wish = "dark"
	}
	v.run(call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: wish}}}))
}

// shoot keeps a picture of the page, when there is a place for it.
func (v *visitor) shoot(name string) {
	v.Helper()
	file := strings.NewReplacer("/", "-", " ", "-").Replace(v.Name()) + "-" + name
	if err := keepPicture(v.ctx, file); err != nil {
		v.Errorf("keep the picture %s: %v", file, err)
	}
}
