package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fairlead/internal/model"
)

// delivery is one try of a fake deliverer.
type delivery struct {
	to    string
	after time.Duration // since the test began
	texts string        // of the events
}

// stage is a Notifier whose journal and deliverer are fakes.
type stage struct {
	*Notifier
	began   time.Time
	journal chan model.Event
	stop    context.CancelFunc
	ended   chan error

	mu    sync.Mutex // guards the following
	fail  func(to string) error
	hang  map[string]bool // these targets hang until the end of their context
	tries []delivery
	from  sender // of the last try
	told  []string
	log   bytes.Buffer
}

// newStage must be called in a synctest bubble.
func newStage(t *testing.T, targets ...model.Target) *stage {
	s := &stage{began: time.Now(), journal: make(chan model.Event), ended: make(chan error, 1), hang: map[string]bool{}}
	s.Notifier = New(slog.New(slog.NewTextHandler(&s.log, nil)), "1.2.3", func(kind string, err error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.told = append(s.told, fmt.Sprintf("%s: %v", kind, err))
	})
	s.deliver = s.try
	s.Set(targets)
	ctx, stop := context.WithCancel(t.Context())
	s.stop = stop
	go func() { s.ended <- s.Run(ctx, s.follow) }()
	return s
}

func (s *stage) follow(ctx context.Context, _ uint64, emit func(model.Event) error) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e := <-s.journal:
			if err := emit(e); err != nil {
				return err
			}
		}
	}
}

func (s *stage) try(ctx context.Context, t model.Target, from sender, batch []model.Event) error {
	var texts []string
	for _, e := range batch {
		texts = append(texts, e.Text)
	}
	s.mu.Lock()
	s.from = from
	s.tries = append(s.tries, delivery{t.To, time.Since(s.began), strings.Join(texts, ",")})
	fail, hang := s.fail, s.hang[t.To]
	s.mu.Unlock()
	if hang {
		<-ctx.Done()
		return ctx.Err()
	}
	if fail != nil {
		return fail(t.To)
	}
	return nil
}

// say enters an event in the journal and lets everything settle.
func (s *stage) say(kind model.EventKind, text string) {
	s.journal <- model.Event{Seq: 1, At: time.Now(), Kind: kind, Text: text}
	synctest.Wait()
}

// end ends the run and returns how long that took.
func (s *stage) end(t *testing.T) time.Duration {
	t.Helper()
	at := time.Now()
	s.stop()
	if err := <-s.ended; err != nil {
		t.Error(err)
	}
	return time.Since(at)
}

func (s *stage) failing(f func(string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = f
}

func (s *stage) want(t *testing.T, want ...delivery) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.tries, want) {
		t.Errorf("tried %v\nwant  %v", s.tries, want)
	}
}

func target(kind model.TargetKind, to string) model.Target {
	return model.Target{Kind: kind, To: to, Events: []model.EventKind{model.EventFlip, model.EventAlarm, model.EventStop}, Timeout: time.Second}
}

const hookURL = "https://hooks.example.com/services/s3cr3t-path"

var hook, mailTo = target(model.TargetWebhook, hookURL), target(model.TargetEmail, "ops@example.com")

func TestDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, hook)
		s.journal <- model.Event{Seq: 1, At: s.began.Add(-time.Minute), Kind: model.EventFlip, Text: "before the start"}
		s.say(model.EventFlip, "switched")
		s.say(model.EventSuspect, "not wanted")
		s.journal <- model.Event{Seq: 4, At: s.began.Add(-time.Minute), Kind: model.EventAlarm, Text: "the clock was set back"}
		synctest.Wait()
		s.end(t)
		s.want(t, delivery{hookURL, 0, "switched"}, delivery{hookURL, 0, "the clock was set back"})
		if want := []string{"webhook: <nil>", "webhook: <nil>"}; !slices.Equal(s.told, want) {
			t.Errorf("told %q", s.told)
		}
		if s.from.version != "1.2.3" || s.from.host == "" {
			t.Errorf("the messages are of %+v", s.from)
		}
		if s.position() != 4 {
			t.Errorf("a next run would begin after %d", s.position())
		}
	})
}

func TestGrowingPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, hook)
		s.failing(func(string) error { return errors.New("503") })
		s.say(model.EventFlip, "a")
		s.say(model.EventAlarm, "b")
		time.Sleep(10 * time.Second) // tried after 0, 1, 3 and 7 s
		status := s.Status()
		if want := "the webhook at hooks.example.com fails since " + s.began.Format(time.DateTime) + ": 503; 2 events wait"; status.State != model.ServiceFailed || status.Why != want {
			t.Errorf("status %+v, want %q", status, want)
		}
		s.failing(nil)
		time.Sleep(10 * time.Second)
		if status := s.Status(); status.State != model.ServiceRunning || status.Why != "to the webhook at hooks.example.com" {
			t.Errorf("status %+v", status)
		}
		s.end(t)
		s.want(t, delivery{hookURL, 0, "a"}, delivery{hookURL, time.Second, "a"}, delivery{hookURL, 3 * time.Second, "a"},
			delivery{hookURL, 7 * time.Second, "a"}, delivery{hookURL, 15 * time.Second, "a"}, delivery{hookURL, 15 * time.Second, "b"})
		if n := strings.Count(s.log.String(), "notifying fails"); n != 1 {
			t.Errorf("one failure was logged %d times:\n%s", n, &s.log)
		}
	})
}

func TestPause(t *testing.T) {
	for failures, want := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 9: 256 * time.Second, 10: mostPause, 1000: mostPause} {
		if got := pause(failures); got != want {
			t.Errorf("after %d failures %v, want %v", failures, got, want)
		}
	}
}

func TestGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, hook)
		s.failing(func(string) error { return errors.New("503") })
		s.say(model.EventFlip, "a")
		s.say(model.EventAlarm, "b")
		time.Sleep(30 * time.Minute)
		s.say(model.EventAlarm, "c")
		time.Sleep(40 * time.Minute)
		s.mu.Lock()
		n := len(s.tries)
		last := s.told[len(s.told)-1]
		for _, try := range s.tries {
			if try.texts == "c" {
				n = 0
			}
		}
		lost := slices.IndexFunc(s.told, func(t string) bool { return strings.Contains(t, "was not notified of 2 events: 503") })
		s.mu.Unlock()
		if lost < 0 || n > 0 || last != "webhook: 503" {
			t.Errorf("lost at %d, %d tries without c, at last %q:\n%q", lost, n, last, s.told)
		}
		s.end(t)
	})
}

// TestRefused: what the receiver will never take does not hold up the rest.
func TestRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, hook)
		s.failing(func(string) error { return fmt.Errorf("400: %w", errRefused) })
		s.say(model.EventFlip, "a")
		s.failing(nil)
		s.say(model.EventFlip, "b")
		time.Sleep(2 * time.Second)
		s.end(t)
		s.want(t, delivery{hookURL, 0, "a"}, delivery{hookURL, time.Second, "b"})
		var lost *LostError
		if err := error(&LostError{Events: 1, Cause: errRefused}); !errors.As(err, &lost) || lost.Lost() != 1 || !errors.Is(err, errRefused) {
			t.Error("a LostError is not found")
		}
		if want := "1 event: 400"; !strings.Contains(strings.Join(s.told, "\n"), want) {
			t.Errorf("told %q, want %q", s.told, want)
		}
	})
}

// TestSlowTarget: it delays neither another target nor the journal.
func TestSlowTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := target(model.TargetWebhook, "https://slow.example.com/")
		s := newStage(t, slow, hook)
		s.hang[slow.To] = true
		for i := range 2 * room {
			s.say(model.EventFlip, fmt.Sprint(i))
		}
		if since := time.Since(s.began); since != 0 {
			t.Errorf("the journal waited %v", since)
		}
		s.mu.Lock()
		got := len(s.tries)
		s.mu.Unlock()
		if got != 2*room+1 {
			t.Errorf("%d tries, want all of one target and one of the other", got)
		}
		if took := s.end(t); took < farewell || took > farewell+settle {
			t.Errorf("the end took %v", took)
		}
	})
}

// TestFullQueue: it is told once, not for each event.
func TestFullQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, hook)
		s.failing(func(string) error { return errors.New("503") })
		for i := range room + 10 {
			s.say(model.EventFlip, fmt.Sprint(i))
		}
		s.failing(nil)
		time.Sleep(time.Second)
		synctest.Wait()
		s.end(t)
		want := "webhook: the webhook at hooks.example.com was not notified of 10 events: too many waited; the journal has them: fairlead events"
		if n := len(s.told); n != 1+room+1 || !slices.Contains(s.told, want) {
			t.Errorf("told %d times: %.300q", n, s.told)
		}
	})
}

func TestQueueDropsTheLeastImportant(t *testing.T) {
	var q queue
	now := time.Unix(0, 0)
	for i := range room {
		q.add(model.Event{Seq: uint64(i), Kind: model.EventAlarm}, now)
	}
	q.all[7].event.Kind, q.all[9].event.Kind = model.EventDone, model.EventDone
	q.add(model.Event{Seq: 1000, Kind: model.EventHealth}, now)
	q.add(model.Event{Seq: 1001, Kind: model.EventAlarm}, now) // in the place of 9
	q.add(model.Event{Seq: 1002, Kind: model.EventAudit}, now) // nothing is less important
	q.add(model.Event{Seq: 1003, Kind: model.EventAlarm}, now) // in the place of 1000
	q.add(model.Event{Seq: 1004, Kind: model.EventFlip}, now)  // in the place of 0, the oldest
	var have []uint64
	for _, w := range q.all {
		have = append(have, w.event.Seq)
	}
	for _, gone := range []uint64{0, 7, 9, 1000, 1002} {
		if slices.Contains(have, gone) {
			t.Errorf("%d is still there", gone)
		}
	}
	if len(have) != room || q.dropped != 5 || have[0] != 1 || have[room-1] != 1004 {
		t.Errorf("%d events, %d dropped: %v", len(have), q.dropped, have)
	}
	for _, k := range model.EventKinds() {
		if k != model.EventSuspect && k != model.EventAudit && importance(k) == 0 {
			t.Errorf("nobody said how important %s is", k)
		}
	}
}

// TestOneMail: what comes within seconds is one e-mail, what comes later another.
func TestOneMail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, mailTo)
		s.say(model.EventAlarm, "a")
		time.Sleep(2 * time.Second)
		s.say(model.EventFlip, "b")
		time.Sleep(5 * time.Second)
		s.say(model.EventFlip, "c")
		time.Sleep(4 * time.Second)
		s.end(t)
		s.want(t, delivery{mailTo.To, gather, "a,b"}, delivery{mailTo.To, 7*time.Second + gather, "c"})
	})
}

// TestSet: a reload loses nothing for a target that stays, and ends the work for
// one that is gone.
func TestSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		other := target(model.TargetWebhook, "https://other.example.com/")
		s := newStage(t, hook, other)
		s.failing(func(string) error { return errors.New("503") })
		s.say(model.EventFlip, "a")
		time.Sleep(100 * time.Second) // the next try is after 127 s
		s.failing(nil)
		changed := hook
		changed.Timeout = time.Minute
		s.mu.Lock()
		s.tries = nil
		s.mu.Unlock()
		s.Set([]model.Target{mailTo, changed})
		synctest.Wait()
		s.want(t, delivery{hookURL, 100 * time.Second, "a"}) // at once: what was wrong may be right now
		s.say(model.EventFlip, "b")
		time.Sleep(time.Hour)
		s.end(t)
		s.want(t, delivery{hookURL, 100 * time.Second, "a"}, delivery{hookURL, 100 * time.Second, "b"},
			delivery{mailTo.To, 100*time.Second + gather, "b"})
	})
}

// TestRemovedTargetIsNotWaitedFor although it hangs.
func TestRemovedTargetIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, hook)
		s.hang[hookURL] = true
		s.say(model.EventFlip, "a")
		s.Set(nil)
		synctest.Wait()
		if got := s.Status(); got.State != model.ServiceOff {
			t.Errorf("status %+v", got)
		}
		if took := s.end(t); took != 0 || len(s.told) > 0 {
			t.Errorf("the end took %v, told %q", took, s.told)
		}
	})
}

// TestFarewell: that the daemon ends is told too, although it comes last.
func TestFarewell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, hook, mailTo)
		synctest.Wait()
		s.stop()
		s.say(model.EventStop, "ends")
		if took := s.end(t); took > settle {
			t.Errorf("took %v", took)
		}
		if len(s.tries) != 2 {
			t.Errorf("tried %v", s.tries)
		}
	})
}

func TestJournalFails(t *testing.T) {
	n := New(slog.New(slog.DiscardHandler), "1.2.3", nil)
	torn := errors.New("torn")
	for _, err := range []error{torn, nil} {
		got := n.Run(t.Context(), func(context.Context, uint64, func(model.Event) error) error { return err })
		if got == nil || !strings.Contains(got.Error(), "follow the journal to notify of it: ") || err != nil && !errors.Is(got, err) {
			t.Errorf("of %v: %v", err, got)
		}
	}
}
