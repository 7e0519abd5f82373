package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"fairlead/internal/model"
)

const (
	flushEvery = 50 * time.Millisecond // how long a line may wait for company
	// commentEvery is how often a line without meaning says that an event stream
	// (SSE) lives: what is silent for a minute, proxies end.
	commentEvery = 15 * time.Second
	// handover is how long a capture waits for the end of the one before, whose
	// client may just have left.
	handover = time.Second
)

// capture streams packets until the client leaves. Nothing is buffered here
// beyond one write: a client that reads too slowly makes the data plane's ring
// overflow, and is left when it reads nothing at all.
func (h *handler) capture(w http.ResponseWriter, r *request) {
	order, err := decode[CaptureOrder](r.text)
	if err != nil {
		WriteProblem(w, KindMalformed, err)
		return
	}
	if order.Snaplen < 0 {
		WriteProblem(w, KindMalformed, fmt.Errorf("capture packets: the length %d is below zero", order.Snaplen))
		return
	}
	wait := time.NewTimer(handover)
	defer wait.Stop()
	select {
	case h.capturing <- struct{}{}:
		defer func() { <-h.capturing }()
	case <-wait.C:
		WriteProblem(w, KindRefused, errors.New("capture packets: another capture is under way; end it first"))
		return
	}
	newStream(w, jsonLines).run(r, func(ctx context.Context, s *stream) error {
		return h.daemon.Capture(ctx, order.Snaplen, func(p Packet) error { return s.line(p) })
	})
}

// events streams entries of the journal: as JSON lines, or to who accepts it
// as an event stream, which always goes on with the entries to come.
func (h *handler) events(w http.ResponseWriter, r *request) {
	q, err := parseEventQuery(r, time.Now())
	if err != nil {
		WriteProblem(w, KindMalformed, err)
		return
	}
	form := jsonLines
	if q.sse {
		form = eventStream
	}
	newStream(w, form).run(r, func(ctx context.Context, s *stream) error {
		return h.daemon.Events(ctx, q.since, q.follow, func(e model.Event) error {
			switch {
			case !q.wants(e):
				return nil
			case q.sse:
				return s.event(fmt.Sprintf("id: %d\n", e.Seq), e)
			}
			return s.line(e)
		})
	})
}

// A form is how a stream's messages are separated.
type form string

const (
	jsonLines   form = "application/x-ndjson"
	eventStream form = "text/event-stream" // Server-Sent Events
)

// A stream sends one client one message after the other.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	form    form

	written chan struct{} // capacity 1: something waits to be flushed

	mu      sync.Mutex // guards the following, and writes
	started bool
	pending bool // something waits to be flushed
}

func newStream(w http.ResponseWriter, f form) *stream {
	return &stream{w: w, control: http.NewResponseController(w), form: f, written: make(chan struct{}, 1)}
}

// run sends what produce hands out, until it returns or the client leaves.
func (s *stream) run(r *request, produce func(context.Context, *stream) error) {
	ctx, stop := context.WithCancel(r.Context())
	defer stop()
	header := s.w.Header()
	header.Set("Content-Type", string(s.form))
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	var flusher sync.WaitGroup
	flusher.Go(func() { s.flushUntil(ctx) })
	err := produce(ctx, s)
	stop()
	flusher.Wait()
	if err != nil && r.Context().Err() == nil {
		s.end(err)
	}
}

// end tells the client why the stream ends: as the answer when nothing was sent
// yet, else as a last message.
func (s *stream) end(err error) {
	if !s.started {
		s.started = true
		WriteProblem(s.w, KindFailed, err)
		return
	}
	last := streamEnd{Message: err.Error()}
	// A client that cannot be told has left.
	if s.form == eventStream {
		_ = s.event("event: end\n", last)
		return
	}
	_ = s.line(last)
}

// line sends a JSON line.
func (s *stream) line(value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("write a line as JSON: %w", err)
	}
	return s.write(append(body, '\n'))
}

// event sends an event of an event stream. The fields before its data end with
// a newline each.
func (s *stream) event(fields string, value any) error {
	frame, err := eventFrame(fields, value)
	if err != nil {
		return err
	}
	return s.write(frame)
}

// eventFrame is an event as it is sent. JSON has no line breaks of its own.
func eventFrame(fields string, value any) ([]byte, error) {
	body, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("write an event as JSON: %w", err)
	}
	return fmt.Appendf(nil, "%sdata: %s\n\n", fields, body), nil
}

func (s *stream) write(body []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started, s.pending = true, true
	err := sendParts(s.w, s.control, body)
	select {
	case s.written <- struct{}{}:
	default: // it is known already
	}
	return err
}

// flushUntil sends the headers soon, so that the client knows that the stream
// runs, and from then on what was written, until ctx ends.
func (s *stream) flushUntil(ctx context.Context) {
	flush := time.NewTimer(flushEvery)
	defer flush.Stop()
	waiting := true // for the timer
	comment := time.NewTicker(commentEvery)
	defer comment.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-s.written:
			if !waiting {
				flush.Reset(flushEvery)
			}
			waiting = true
		case <-flush.C:
			waiting = false
			err = s.flush()
		case <-comment.C:
			if s.form == eventStream {
				err = s.write([]byte(":\n\n"))
			}
		}
		if err != nil {
			return // the next write fails too, and ends the stream
		}
	}
}

// flush sends what was written. A write under way is not waited for: it is
// flushed after it.
func (s *stream) flush() error {
	if !s.mu.TryLock() {
		return nil
	}
	defer s.mu.Unlock()
	if s.started && !s.pending {
		return nil
	}
	s.started, s.pending = true, false
	if err := s.control.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return err
	}
	return s.control.Flush()
}
