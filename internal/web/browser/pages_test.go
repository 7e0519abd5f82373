package browser

import (
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"fairlead/internal/model"
)

// The sizes and colours in which the pages are looked at.
var views = []view{{"light", 1440, 900, false}, {"dark", 1440, 900, true}, {"360", 360, 780, false}, {"wall", 2560, 1440, true}}

// The pages, and what is there when a page has drawn what it was told.
var pages = []struct{ name, path, seen string }{
	{"overview", "/", `document.querySelector('.diagram .d-flows') && document.querySelector('.events time')`},
	{"servers", "/servers", `document.querySelectorAll('.list tbody th').length >= 2 && document.querySelector('.spark-line[d^=M]')`},
	{"server", "/servers?director=nfs&server=nfs-01", `document.querySelector('.plot-line') && document.querySelector('.panel-orders button')`},
	{"connections", "/connections", `document.querySelectorAll('.list tbody th').length > 5`},
	{"doctor", "/doctor", `document.querySelectorAll('.finding').length === 1 && document.querySelector('.unseen li')`},
	{"events", "/events", `document.querySelectorAll('.list time').length > 10`},
}

// TestPages looks at each page in each view: it shows what it should, complains of
// nothing, breaks no policy, asks nobody else, and does not scroll sideways.
func TestPages(t *testing.T) {
	s := newSite(t, noteDaemon(time.Now()))
	t.Cleanup(traffic(s.daemon)) // after the last of the parallel ones
	for _, v := range views {
		for _, page := range pages {
			t.Run(page.name+" "+v.name, func(t *testing.T) {
				t.Parallel()
				p := open(t, s, model.RoleAdmin, page.path, v)
				p.await("the page", page.seen)
				p.await("a rate", `/[1-9].* pkt.s/.test(document.body.innerText) || !/pkt.s/.test(document.body.innerText)`)
				p.shoot(page.name + "-" + v.name)
				if got := eval[int](p, `document.documentElement.scrollWidth`); got > int(v.width) {
					t.Errorf("the page is %d wide on a screen of %d: %s", got, v.width, eval[string](p, widest))
				}
				if got := eval[[]string](p, outgrown); len(got) > 0 {
					t.Errorf("it reaches beyond its card: %q", got)
				}
				if got := eval[[]string](p, unnamed); len(got) > 0 {
					t.Errorf("without a name, or heads without a scope: %q", got)
				}
				if c := p.complaints(); len(c) > 0 {
					t.Errorf("the page complained: %q", c)
				}
				if a := p.strangers(s.url); len(a) > 0 {
					t.Errorf("the page asked others than the daemon: %q", a)
				}
			})
		}
	}
}

// TestNarrowed: what was drawn on a wide screen fits when the screen becomes narrow, as a
// telephone does that is turned.
func TestNarrowed(t *testing.T) {
	t.Parallel()
	s := newSite(t, noteDaemon(time.Now()))
	for _, page := range pages {
		p := open(t, s, model.RoleAdmin, page.path, view{"wide", 900, 400, false})
		p.await("the page", page.seen+` || document.querySelector('.diagram')`)
		p.do(chromedp.EmulateViewport(360, 780))
		p.await("that all fits", `document.documentElement.scrollWidth <= 360 && `+outgrown+`.length === 0`)
		p.close()
	}
}

// outgrown are what reaches beyond the card that it is in, and is not scrolled there.
const outgrown = `[...document.querySelectorAll('.card *')].filter((e) => e.checkVisibility() && !e.closest('.listbox, .hide, .ed-place, .diff') &&
	e.getBoundingClientRect().right > e.closest('.card').getBoundingClientRect().right + 1).map((e) => e.outerHTML.slice(0, 120))`

// unnamed are the controls that nobody who cannot see could tell apart.
const unnamed = `[...document.querySelectorAll('a[href], button, input, select, textarea, dialog, [role=region], nav, th')].filter((e) => e.checkVisibility() &&
	(e.tagName === 'TH' ? !e.scope : !(e.getAttribute('aria-label') || e.getAttribute('aria-labelledby') || e.textContent.trim() && !e.matches('input, select') ||
	[...(e.labels ?? [])].some((l) => l.textContent.trim())))).map((e) => e.outerHTML.slice(0, 120))`

// widest names what reaches beyond the screen.
const widest = `[...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > innerWidth + 1)
	.slice(0, 5).map((e) => e.tagName + '.' + e.getAttribute('class')).join(' ')`

// traffic counts packets of all directors until it is stopped.
func traffic(d *daemon) (stop func()) {
	return every(100*time.Millisecond, func(i uint64) {
		d.count(func(s *model.Status) {
			forward(s, model.Counter{Packets: 1880 + i%7*13, Bytes: 1_930_000 + i%5*21_000})
		})
	})
}

// every does something again and again until it is stopped.
func every(d time.Duration, do func(i uint64)) (stop func()) {
	done, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		tick := time.NewTicker(d)
		defer tick.Stop()
		for i := uint64(0); ; i++ {
			select {
			case <-done:
				return
			case <-tick.C:
				do(i)
			}
		}
	}()
	return func() {
		close(done)
		<-over
	}
}

// forward counts for each director and its active servers.
func forward(s *model.Status, c model.Counter) {
	for i := range s.Directors {
		d := &s.Directors[i]
		d.Total = d.Total.Add(c)
		for j := range d.Servers {
			if d.Servers[j].Active {
				d.Servers[j].Total = d.Servers[j].Total.Add(c)
			}
		}
	}
}
