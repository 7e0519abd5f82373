package visitor

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
)

func insert(text string) chromedp.Action[chromedp.Void] {
	return command(input.InsertText, input.InsertTextParams{Text: text})
}

// steps does one thing after the other.
func steps(all ...func() error) error {
	for _, step := range all {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// login comes by the front door.
func (b *browser) login(name, password string) error {
	return steps(
		func() error { return b.do(chromedp.Navigate(b.url + "/")) },
		func() error { return b.write("input[name=user]", name) },
		func() error { return b.write("input[name=password]", password) },
		func() error { return b.click("button", "Log in") },
		func() error { return b.shows("h1", "Overview") },
	)
}

// walk follows the note, tab by tab: the Flow tab, the LB layer 4 tab, the LVS
// service's Edit icon on the Services tab; then save and restart.
func (b *browser) walk(t Texts) error {
	return steps(
		func() error { return b.click("nav a", "Flow") },
		func() error { return b.shows("h1", "Flow") },
		func() error { return b.write(".ed-text", t.Flow) },
		func() error { return b.click("nav a", "LB layer 4") },
		func() error { return b.shows("h1", "LB layer 4") },
		func() error { return b.write(".ed-text", t.L4) },
		func() error { return b.click("nav a", "Services") },
		func() error { return b.shows("h1", "Services") },
		func() error { return b.click("[data-edit=lvs]", "Edit") },
		func() error { return b.write(".ed-text", t.Services) },
		func() error { return b.click("button", "Save and restart") },
		func() error { return b.shows("dialog .diff-document h3", "flow.cfg") },
		func() error { return b.click("dialog .primary", "Save and restart the LVS service") },
		func() error { return b.shows("#toasts", "The LVS service was restarted") },
		func() error { return b.click("nav a", "Overview") },
		func() error { return b.shows("h1", "Overview") },
	)
}

// await waits until the Overview shows a server as the active one.
func (b *browser) await(server string) error {
	return b.within(longest, fmt.Sprintf("document.querySelector('.d-server.d-active .d-name')?.textContent === %q", server))
}

// The pages, and how each is looked at.
var (
	pages = []string{"overview", "servers", "connections", "events", "doctor", "flow", "l4", "services"}
	looks = []struct {
		name          string
		width, height int64
		dark          bool
	}{{"light", 1280, 800, false}, {"dark", 1280, 800, true}, {"360", 360, 780, false}}
)

// shootAll keeps a picture of each page in each look.
func (b *browser) shootAll(dir string) ([]string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the directory of the pictures: %w", err)
	}
	var files []string
	for _, look := range looks {
		if err := b.do(chromedp.EmulateViewport(look.width, look.height), theme(look.dark)); err != nil {
			return files, err
		}
		for _, page := range pages {
			file := filepath.Join(dir, page+"-"+look.name+".png")
			if err := b.shoot(page, file); err != nil {
				return files, fmt.Errorf("take the picture %s: %w", file, err)
			}
			files = append(files, file)
		}
	}
	return files, nil
}

// theme is the one that the system wishes for.
func theme(dark bool) chromedp.Action[chromedp.Void] {
	wish := "light"
	if dark {
		wish = "dark"
	}
	return command(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: wish}}})
}

// shoot opens a page, waits until it has something to show, and keeps its picture.
func (b *browser) shoot(page, file string) error {
	path := "/" + strings.TrimPrefix(page, "overview")
	err := steps(
		func() error { return b.do(chromedp.Navigate(b.url + path)) },
		func() error { return b.until("document.querySelector('h1')") },
		func() error { return b.until("document.body.innerText.includes('live')") },
		func() error { return b.until("!document.querySelector('[aria-busy=true]')") },
		func() error { return b.do(chromedp.Sleep(drawTime)) },
	)
	if err != nil {
		return err
	}
	ctx := b.ctx
	picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		return err
	}
	return os.WriteFile(file, picture, 0o644)
}
