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

// flushEvery is how long a line may wait for company.
const flushEvery = 50 * time.Millisecond

// handover is how long a capture waits for the end of the one before, whose
// client may just have left.
const handover = time.Second

// capture streams packets until the client leaves. Nothing is buffered here
// beyond one write: a client that reads too slowly makes the data plane's ring
// overflow, and is left when it reads nothing at all.
func (h *handler) capture(w http.ResponseWriter, r *http.Request) {
	var order CaptureOrder
	if err := decode(r.Body, &order); err != nil {
		h.fail(w, http.StatusBadRequest, err)
		return
	}
	if order.Snaplen < 0 {
		h.fail(w, http.StatusBadRequest, fmt.Errorf("capture packets: the length %d is below zero", order.Snaplen))
		return
	}
	wait := time.NewTimer(handover)
	defer wait.Stop()
	select {
	case h.capturing <- struct{}{}:
		defer func() { <-h.capturing }()
	case <-wait.C:
		h.fail(w, http.StatusConflict, errors.New("capture packets: another capture is under way; end it first"))
		return
	}
	h.stream(w, r, func(ctx context.Context, line func(any) error) error {
		return h.daemon.Capture(ctx, order.Snaplen, func(p Packet) error { return line(p) })
	})
}

// events streams entries of the journal.
func (h *handler) events(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	since, err := ParseSince(query.Get("since"), time.Now())
	if err != nil {
		h.fail(w, http.StatusBadRequest, err)
		return
	}
	follow := query.Get("follow") == "1"
	h.stream(w, r, func(ctx context.Context, line func(any) error) error {
		return h.daemon.Events(ctx, since, follow, func(e model.Event) error { return line(e) })
	})
}

// stream sends the lines that produce hands out, until it returns or the client
// leaves.
func (h *handler) stream(w http.ResponseWriter, r *http.Request, produce func(context.Context, func(any) error) error) {
	ctx, stop := context.WithCancel(r.Context())
	defer stop()
	s := newStream(w)
	var flusher sync.WaitGroup
	flusher.Go(func() { s.flushUntil(ctx) })
	err := produce(ctx, s.line)
	stop()
	flusher.Wait()
	if err != nil && r.Context().Err() == nil {
		h.endStream(s, err)
	}
}

// endStream tells the client why the stream ends: as the answer when nothing
// was sent yet, else as a last line.
func (h *handler) endStream(s *stream, err error) {
	if !s.started {
		h.fail(s.w, http.StatusInternalServerError, err)
		return
	}
	// A client that cannot be told has left.
	_ = s.line(streamEnd{Message: err.Error()})
}

// A stream writes JSON lines to one client.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController

	mu      sync.Mutex // guards the following, and writes
	started bool
	pending bool // something waits to be flushed
}

func newStream(w http.ResponseWriter) *stream {
	w.Header().Set("Content-Type", "application/x-ndjson")
	return &stream{w: w, control: http.NewResponseController(w)}
}

func (s *stream) line(value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("write a line as JSON: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.control.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return fmt.Errorf("limit the time of a write: %w", err)
	}
	s.started, s.pending = true, true
	_, err = s.w.Write(append(body, '\n'))
	return err
}

// flushUntil sends the headers at once, so that the client knows that the
// stream runs, and from then on what was written, until ctx ends.
func (s *stream) flushUntil(ctx context.Context) {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if s.flush() != nil {
				return // the next write fails too, and ends the stream
			}
		}
	}
}

func (s *stream) flush() error {
	s.mu.Lock()
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
