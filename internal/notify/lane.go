package notify

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"time"

	"fairlead/internal/model"
)

const (
	// gather is how long an e-mail waits for more events: what belongs together
	// comes within seconds.
	gather = 3 * time.Second

	// letter is how many events one e-mail has at most.
	letter = 50

	firstPause = time.Second     // after the first failure
	mostPause  = 5 * time.Minute // pauses double up to it
	keep       = time.Hour       // an event that waited so long is given up when a try fails
)

// LostError says that events were given up.
type LostError struct {
	Events int
	Target string // in words, without secrets
	Cause  error  // of the last failure; nil: the queue was full
}

func (e *LostError) Error() string {
	why := "too many waited"
	if e.Cause != nil {
		why = e.Cause.Error()
	}
	return fmt.Sprintf("%s was not notified of %s: %s; the journal has them: fairlead events", e.Target, plural(e.Events, "event"), why)
}

func (e *LostError) Unwrap() error { return e.Cause }

// Lost is how many events were given up.
func (e *LostError) Lost() int { return e.Events }

// errRefused marks what no later try can better: the receiver understood the
// message and does not want it.
var errRefused = errors.New("the receiver does not want it")

// lane is one target with what waits for it.
type lane struct {
	wake chan struct{} // capacity 1: something came

	mu     sync.Mutex // guards the following
	target model.Target
	queue  queue
	next   time.Time // when the next try may be
	tries  int       // that failed, since the last that did not
	failed error     // of the last try
	since  time.Time // it fails
}

func newLane(t model.Target) *lane { return &lane{target: t, wake: make(chan struct{}, 1)} }

// serves tells whether a target is the one of this lane, perhaps with other settings.
func (l *lane) serves(t model.Target) bool {
	have := l.current()
	return have.Kind == t.Kind && have.To == t.To
}

func (l *lane) current() model.Target {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.target
}

// set changes the settings. What was wrong may be right now, so the pause ends.
func (l *lane) set(t model.Target) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.target, l.tries = t, 0
	if l.failed != nil {
		l.next = time.Time{}
	}
	l.poke()
}

func (l *lane) poke() {
	select {
	case l.wake <- struct{}{}:
	default: // the goroutine has not seen what came before yet
	}
}

// add takes an event in, if the target wants its kind.
func (l *lane) add(e model.Event, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Contains(l.target.Events, e.Kind) {
		return
	}
	if len(l.queue.all) == 0 && l.target.Kind == model.TargetEmail && l.failed == nil {
		l.next = now.Add(gather)
	}
	l.queue.add(e, now)
	l.poke()
}

// due is when the next try is; ok is false when nothing waits.
func (l *lane) due() (at time.Time, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.next, len(l.queue.all) > 0
}

// batch is what the next try delivers.
func (l *lane) batch() (model.Target, []*waiting) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 1
	if l.target.Kind == model.TargetEmail {
		n = letter
	}
	return l.target, slices.Clone(l.queue.all[:min(n, len(l.queue.all))])
}

// finish takes the outcome of a try. turned: it began to fail, or to work again.
// lost is how many events were given up since the last try.
func (l *lane) finish(batch []*waiting, err error, now time.Time) (turned bool, lost int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	turned = (err != nil) != (l.failed != nil)
	lost, l.queue.dropped = l.queue.dropped, 0
	if err == nil {
		l.queue.remove(batch)
		l.failed, l.tries, l.next = nil, 0, time.Time{}
		return turned, lost
	}
	if turned {
		l.since = now
	}
	l.failed = err
	l.tries++
	l.next = now.Add(pause(l.tries))
	given := l.queue.older(now.Add(-keep))
	if errors.Is(err, errRefused) {
		given = batch
	}
	l.queue.remove(given)
	return turned, lost + len(given)
}

// pause is how long to wait after so many failures.
func pause(failures int) time.Duration {
	d := firstPause
	for range failures - 1 {
		if d *= 2; d >= mostPause {
			return mostPause
		}
	}
	return d
}

// trouble says in words what is wrong; "": nothing.
func (l *lane) trouble() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed == nil {
		return ""
	}
	return fmt.Sprintf("%s fails since %s: %s; %s", place(l.target), l.since.Format(time.DateTime), l.failed, waits(len(l.queue.all)))
}

func waits(n int) string {
	switch n {
	case 0:
		return "nothing waits"
	case 1:
		return "1 event waits"
	}
	return fmt.Sprintf("%d events wait", n)
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// place names a target without what is secret of it.
func place(t model.Target) string {
	switch t.Kind {
	case model.TargetWebhook:
		if u, err := url.Parse(t.To); err == nil && u.Host != "" {
			return "the webhook at " + u.Host
		}
		return "a webhook"
	case model.TargetEmail:
		return "e-mail to " + t.To
	case model.TargetCommand:
		return "command " + t.To
	}
	return t.Kind.String()
}
