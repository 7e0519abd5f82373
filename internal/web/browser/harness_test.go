package browser

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"fairlead/internal/model"
)

// screenshots is where pictures of the pages are put; the environment's
// FAIRLEAD_SCREENSHOTS says so too. "": none are made.
var screenshots = flag.String("screenshots", os.Getenv("FAIRLEAD_SCREENSHOTS"), "directory for pictures of the pages")

// pageTime is how long a page may take for what a test waits for, on a busy machine.
const pageTime = 20 * time.Second

// chromium is the browser of all tests, or why there is none; each test has a tab and
// cookies of its own.
var chromium struct {
	ctx context.Context
	err error
}

func TestMain(m *testing.M) {
	flag.Parse()
	data, err := os.MkdirTemp("", "fairlead-browser")
	if err != nil {
		chromium.err = err
		m.Run()
		return
	}
	defer func() { _ = os.RemoveAll(data) }()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.UserDataDir(data), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("headless", "new"), chromedp.Flag("disable-quic", true), chromedp.Flag("no-first-run", true),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true))
	allocated, end := chromedp.NewExecAllocator(context.Background(), options...)
	defer end()
	started, stop := chromedp.NewContext(allocated)
	defer stop()
	chromium.ctx, chromium.err = started, chromedp.Do(started)
	m.Run()
}

// mustBrowse fails where there is no browser.
func mustBrowse(t *testing.T) {
	t.Helper()
	if chromium.err != nil {
		t.Fatalf("start chromium: %v; on Debian: apt-get install chromium fonts-liberation fonts-dejavu-core", chromium.err)
	}
}

// A view is a screen on which the pages are looked at.
type view struct {
	name          string
	width, height int64
	dark          bool
}

// A tab is one page in the browser, with what it complained of and asked for.
type tab struct {
	t     *testing.T
	ctx   context.Context
	close func()

	mu       sync.Mutex // guards the following
	complain []string   // errors of the console, uncaught ones, breaches of the policy
	asked    []string   // addresses of all requests
}

// open shows an address of a site to somebody; RoleNone is nobody yet.
func open(t *testing.T, s *site, as model.Role, path string, v view) *tab {
	t.Helper()
	mustBrowse(t)
	p := &tab{t: t}
	ctx, end := chromedp.NewContext(chromium.ctx, chromedp.WithNewBrowserContext(), chromedp.WithListener(p.listen))
	t.Cleanup(end)
	p.ctx, p.close = ctx, end
	// The tab lives as long as the context of its first action.
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("open a tab: %v", err)
	}
	scheme := "light"
	if v.dark {
		scheme = "dark"
	}
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}
	if as != model.RoleNone {
		c := s.cookie(t, as)
		set := network.SetCookieParams{Name: c.Name, Value: c.Value, URL: s.url, HTTPOnly: &c.HttpOnly, SameSite: network.CookieSameSiteStrict}
		p.do(call(network.SetCookie, set))
	}
	// Of several tabs at once, each is as if it were the one in front.
	focus := call(emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
	p.do(focus, chromedp.EmulateViewport(v.width, v.height), call(emulation.SetEmulatedMedia, media), chromedp.Navigate(s.url+path))
	return p
}

// call makes an action of a command without an answer.
func call[P, R any](method cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, method, params)
		return err
	})
}

func (p *tab) listen(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		p.asked = append(p.asked, e.Request.URL)
	case *runtime.EventExceptionThrown:
		p.complain = append(p.complain, fmt.Sprintf("uncaught: %s %v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception))
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			p.complain = append(p.complain, fmt.Sprintf("console: %s %s", e.Type, e.Args[0].Value))
		}
	case *cdplog.EventEntryAdded:
		if e.Entry.Level == cdplog.EntryLevelError || e.Entry.Level == cdplog.EntryLevelWarning {
			p.complain = append(p.complain, fmt.Sprintf("%s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL))
		}
	}
}

// complaints are what the page complained of, beyond what is allowed.
func (p *tab) complaints(allowed ...string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []string
next:
	for _, c := range p.complain {
		for _, a := range allowed {
			if strings.Contains(c, a) {
				continue next
			}
		}
		all = append(all, c)
	}
	return all
}

// strangers are requests to anybody but the site.
func (p *tab) strangers(site string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []string
	for _, a := range p.asked {
		if !strings.HasPrefix(a, site) && !strings.HasPrefix(a, "data:") && a != "about:blank" {
			all = append(all, a)
		}
	}
	return all
}

func (p *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, pageTime)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		p.t.Fatalf("%v; the page says: %q; it complained: %q", err, p.said(), p.complaints())
	}
}

// said is the page's text, for messages.
func (p *tab) said() string {
	ctx, cancel := context.WithTimeout(p.ctx, 3*time.Second)
	defer cancel()
	text, _ := chromedp.Run(ctx, chromedp.Evaluate[string](`document.body.innerText.slice(0, 1500)`))
	return text
}

// await waits until an expression holds; one that fails does not hold yet.
func (p *tab) await(what, expression string) {
	p.t.Helper()
	began := time.Now()
	for {
		if eval[bool](p, "(() => { try { return Boolean("+expression+") } catch { return false } })()") {
			return
		}
		if time.Since(began) > pageTime {
			p.t.Fatalf("%s: not seen within %v; the page says: %q; it complained: %q", what, pageTime, p.said(), p.complaints())
		}
		select {
		case <-p.ctx.Done():
			p.t.Fatal(p.ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// eval evaluates an expression in the page. It waits for promises.
func eval[T any](p *tab, expression string) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, pageTime)
	defer cancel()
	got, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("evaluate %s: %v", expression, err)
	}
	return got
}

func (p *tab) press(keys string, options ...chromedp.KeyOption) {
	p.t.Helper()
	p.do(chromedp.KeyEvent(keys, options...))
}

// shoot takes a picture, when there is a place for it.
func (p *tab) shoot(name string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, pageTime)
	defer cancel()
	if err := keepPicture(ctx, name); err != nil {
		p.t.Errorf("keep the picture %s: %v", name, err)
	}
}

// keepPicture takes a picture of a page, when there is a place for it.
func keepPicture(ctx context.Context, name string) error {
	if *screenshots == "" {
		return nil
	}
	picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(*screenshots, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(*screenshots, name+".png"), picture, 0o644)
}
