package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"fairlead/internal/model"
)

const (
	liveEvery  = time.Second           // counters are told so often, where that costs little
	seldom     = 4 * time.Second       // and at least so often: the pages believe that a picture which stands still for 5 s is dead
	onePartIn  = 50                    // a picture may take one part in so many of the time
	gather     = 20 * time.Millisecond // how long a change waits for those that follow from it
	window     = time.Second           // in which at most two patches are sent
	queue      = 8                     // patches that a viewer may be behind
	maxViewers = 200
)

// A hub composes what is live once for all viewers, and nothing while nobody
// looks: its one goroutine begins with the first viewer, and the last one waits
// for its end.
type hub struct {
	look    func() model.Status
	changed func() <-chan struct{}

	mu      sync.Mutex // guards the following
	viewers map[*viewer]bool
	now     *picture // what the viewers have; nil: nobody looks
	stop    func()   // ends the updates, and waits for their end
}

// A viewer is one stream. The hub alone closes frames: when the viewer is too slow.
type viewer struct{ frames chan []byte }

// A picture is what is live at an instant. first is the event for a new viewer,
// encoded when the first one asks.
type picture struct {
	live  *Live
	first func() ([]byte, error)
}

func newPicture(s model.Status) *picture {
	live := newLive(s)
	return &picture{live: live, first: sync.OnceValues(func() ([]byte, error) {
		return eventFrame("retry: 1000\nevent: live\n", live)
	})}
}

func newHub(look func() model.Status, changed func() <-chan struct{}) *hub {
	return &hub{look: look, changed: changed, viewers: make(map[*viewer]bool)}
}

// live streams what is live: the whole once, then what changes. A viewer that is
// too slow is ended; it comes back, and gets the whole.
func (h *handler) live(w http.ResponseWriter, r *request) {
	v, now, err := h.viewers.join()
	if err != nil {
		WriteProblem(w, KindUnavailable, err)
		return
	}
	defer h.viewers.leave(v)
	newStream(w, eventStream).run(r, func(ctx context.Context, s *stream) error {
		frame, err := now.first()
		if err != nil {
			return err
		}
		for open := true; open; {
			if err := errors.Join(s.write(frame), s.flush()); err != nil {
				return err
			}
			select {
			case <-ctx.Done():
				return nil
			case frame, open = <-v.frames:
			}
		}
		return nil
	})
}

// join adds a viewer. What it gets later continues the picture.
func (h *hub) join() (*viewer, *picture, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.viewers) >= maxViewers {
		return nil, nil, errors.New("watch the status: too many watch it already; close a page that nobody looks at")
	}
	if h.stop == nil {
		changed := h.changed() // first: no change is missed
		now := newPicture(h.look())
		h.now = now
		ctx, cancel := context.WithCancel(context.Background())
		var running sync.WaitGroup
		running.Go(func() { h.update(ctx, now, changed) })
		h.stop = func() { cancel(); running.Wait() }
	}
	v := &viewer{frames: make(chan []byte, queue)}
	h.viewers[v] = true
	return v, h.now, nil
}

// leave removes a viewer. The last one ends the updates.
func (h *hub) leave(v *viewer) {
	h.mu.Lock()
	delete(h.viewers, v)
	stop := func() {}
	if len(h.viewers) == 0 && h.stop != nil {
		stop, h.stop, h.now = h.stop, nil, nil
	}
	h.mu.Unlock()
	stop()
}

// update sends patches until ctx ends: one a second, or more seldom where a picture
// of thousands of flows costs much, and one at once after a change that is more than a
// counter, but never more than two in a window.
func (h *hub) update(ctx context.Context, now *picture, changed <-chan struct{}) {
	var patches patcher
	sent := [2]time.Time{{}, time.Now()} // the last two patches, the older one first
	pause := liveEvery
	for either(ctx, time.Until(sent[1].Add(pause)), changed) && either(ctx, max(gather, time.Until(sent[0].Add(window))), nil) {
		changed = h.changed() // first: no change is missed
		begin := time.Now()
		after := newPicture(h.look())
		patch, err := patches.difference(now.live, after.live)
		if !h.send(now, after, fmt.Appendf(nil, "event: patch\ndata: %s\n\n", patch), err) {
			return
		}
		now, sent = after, [2]time.Time{sent[1], time.Now()}
		pause = min(max(liveEvery, onePartIn*time.Since(begin)), seldom)
	}
}

// send gives all viewers a patch. Who is too far behind is ended, and with an
// error all are: they come back, and get the whole. False: others than those of
// the picture before look by now.
func (h *hub) send(before, after *picture, frame []byte, failed error) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.now != before {
		return false
	}
	h.now = after
	for v := range h.viewers {
		if failed == nil {
			select {
			case v.frames <- frame:
				continue
			default:
			}
		}
		delete(h.viewers, v)
		close(v.frames)
	}
	return true
}

// either waits for the time or the signal, and tells whether ctx still runs.
func either(ctx context.Context, d time.Duration, signal <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-signal:
	}
	return true
}
