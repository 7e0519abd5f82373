package visitor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// ErrNoBrowser tells that Chromium is not installed.
var ErrNoBrowser = errors.New("no chromium is installed: on Debian, apt-get install chromium")

// Find finds the browser's programme.
func Find() (string, error) {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", ErrNoBrowser
}

const (
	patience = 20 * time.Second // for what a page should show
	lookTime = 20 * time.Millisecond
	drawTime = 1500 * time.Millisecond // until rates are known, which come with the second figure
	longest  = 2 * time.Minute         // for a switch
)

// browser is a Chromium with one page.
type browser struct {
	ctx  context.Context
	url  string
	dir  string // of the browser's profile
	ends []context.CancelFunc

	mu      sync.Mutex // guards the following
	trouble []string
}

func open(ctx context.Context, url string) (*browser, error) {
	program, err := Find()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "fairlead-lab-browser-")
	if err != nil {
		return nil, fmt.Errorf("make the browser's profile: %w", err)
	}
	b := &browser{url: url, dir: dir}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program),
		chromedp.Flag("headless", "new"), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Flag("no-first-run", true),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.UserDataDir(dir))
	allocated, stop := chromedp.NewExecAllocator(ctx, options...)
	tab, leave := chromedp.NewContext(allocated, chromedp.WithListener(b.hear))
	b.ctx, b.ends = tab, []context.CancelFunc{leave, stop}
	if err := chromedp.Do(tab, command(network.SetCacheDisabled, network.SetCacheDisabledParams{}), chromedp.EmulateViewport(1280, 800)); err != nil {
		b.close()
		return nil, fmt.Errorf("start the browser %s: %w", program, err)
	}
	return b, nil
}

func (b *browser) close() {
	for _, end := range b.ends {
		end()
	}
	// The browser may write to the last; what stays is in the system's temporary files.
	_ = os.RemoveAll(b.dir)
}

// command makes an action of a command of the protocol.
func command[P, R any](method cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, method, params)
		return err
	})
}

// hear keeps what the browser's console complains of.
func (b *browser) hear(event any) {
	said := ""
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		said = fmt.Sprintf("exception: %s", e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			said = fmt.Sprintf("console: %s", e.Args[0].Value)
		}
	case *log.EventEntryAdded:
		// The API's own refusals are answers, not trouble: nobody is logged in at first.
		if e.Entry.Level == log.EntryLevelError && !strings.Contains(e.Entry.URL, "/api/v1/") {
			said = fmt.Sprintf("log: %s %s", e.Entry.Text, e.Entry.URL)
		}
	case *network.EventRequestWillBeSent:
		if !strings.HasPrefix(e.Request.URL, b.url) && !strings.HasPrefix(e.Request.URL, "data:") {
			said = "request to elsewhere: " + e.Request.URL
		}
	}
	if said != "" {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.trouble = append(b.trouble, said)
	}
}

// troubles are the complaints since the last call.
func (b *browser) troubles() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := append([]string{}, b.trouble...)
	b.trouble = nil
	return all
}

func (b *browser) do(actions ...chromedp.Action[chromedp.Void]) error {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	return chromedp.Do(ctx, actions...)
}

// ask gives the value of an expression on the page.
func ask[T any](b *browser, expression string) (T, error) {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		return value, fmt.Errorf("evaluate %s: %w", expression, err)
	}
	return value, nil
}

// until waits for a condition on the page: there is no event for what is drawn.
func (b *browser) until(condition string) error { return b.within(patience, condition) }

func (b *browser) within(limit time.Duration, condition string) error {
	end := time.Now().Add(limit)
	for {
		ok, err := ask[bool](b, "Boolean("+condition+")")
		if ok {
			return nil
		}
		if time.Now().After(end) {
			words, _ := ask[string](b, "document.body.innerText")
			return errors.Join(fmt.Errorf("waited in vain for %s; the page says:\n%s", condition, words), err)
		}
		select {
		case <-b.ctx.Done():
			return b.ctx.Err()
		case <-time.After(lookTime):
		}
	}
}

// shows waits until what a selector finds holds a text.
func (b *browser) shows(selector, text string) error {
	return b.until(fmt.Sprintf("[...document.querySelectorAll(%q)].some((n) => n.innerText.includes(%q))", selector, text))
}

// click clicks what has the words on it, with the mouse.
func (b *browser) click(selector, text string) error {
	find := fmt.Sprintf("[...document.querySelectorAll(%q)].find((n) => n.innerText.includes(%q) && !n.disabled && n.checkVisibility())", selector, text)
	if err := b.until(find); err != nil {
		return err
	}
	at, err := ask[[2]float64](b, fmt.Sprintf(
		`(() => { const n = %s; n.scrollIntoView({block: 'center'}); const r = n.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()`, find))
	if err != nil {
		return err
	}
	return b.do(chromedp.MouseClickXY(at[0], at[1]))
}

// write puts a text at the end of a field, as a paste does.
func (b *browser) write(selector, text string) error {
	find := fmt.Sprintf("document.querySelector(%q)", selector)
	if err := b.until(find); err != nil {
		return err
	}
	if _, err := ask[any](b, fmt.Sprintf("(() => { const a = %s; a.focus(); a.setSelectionRange(a.value.length, a.value.length); return null; })()", find)); err != nil {
		return err
	}
	return b.do(insert(text))
}
