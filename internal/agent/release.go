package agent

import (
	"errors"
	"fmt"
	"time"

	"fairlead/internal/hold"
	"fairlead/internal/model"
)

const (
	// keepMost SYNs are kept at most, of all directors.
	keepMost = 4096
	// stale is the age at which a kept SYN is dropped: its client has sent it
	// again by then (after 1 and 3 s), so that a newer one is there.
	stale = 3 * time.Second
	// staleHeld is that age for a director on hold, where each repeat takes the
	// place of the one before: the longest pause between two (after 63 s).
	staleHeld = 64 * time.Second
	// trustTime is how long no SYN of a director is kept while those that were
	// are sent on; it is renewed as long as there are some. Then it is over, unless the
	// server has just changed: a process that dies slowly may end its connections once
	// more, and the next SYN must not be refused.
	trustTime = 100 * time.Millisecond
)

// keep keeps a frame that nobody else has.
func (l *loop) keep(s model.Sighting, at time.Time) bool {
	if at.Sub(l.expired) > time.Second {
		l.expired = at
		l.keeper.Expire(at.Add(-staleHeld))
	}
	if l.keeper.Keep(s.Ref.Director, s.Frame, s.Iface, at) {
		return true
	}
	l.unkept++
	return false
}

// A release is due for a director whose kept SYNs may go on. flipped: to
// another server than before.
type release struct{ flipped bool }

// orderRelease notes that a director's kept SYNs may go on.
func (l *loop) orderRelease(director string, flipped bool) {
	was := l.releases[director]
	l.releases[director] = release{flipped: was.flipped || flipped}
}

// noteHolds remembers which directors are on hold.
func (l *loop) noteHolds() {
	for _, d := range l.desired.Directors {
		if d.Hold {
			l.onHold[d.Name] = true
		}
	}
}

// release lets the kept SYNs go of directors that are as decided in the kernel:
// before, they would be kept again or meet the old server.
func (l *loop) release(at time.Time) {
	for director, r := range l.releases {
		if !l.settled(director) {
			continue
		}
		delete(l.releases, director)
		delete(l.complaints, director)
		oldest := at.Add(-stale)
		if l.onHold[director] {
			oldest = at.Add(-staleHeld)
		}
		var frames []hold.Kept
		for _, k := range l.keeper.Take(director) {
			if !k.At.Before(oldest) {
				frames = append(frames, k)
			}
		}
		delete(l.onHold, director)
		if len(frames) > 0 {
			l.sendOn(director, frames, r.flipped)
		}
	}
	if l.unkept > 0 && len(l.releases) == 0 {
		l.log.Warn("connection attempts found no room to be kept; their clients try again by themselves", "count", l.unkept)
		l.unkept = 0
	}
}

// sentOn tells the loop what became of kept SYNs.
type sentOn struct {
	director string
	epoch    uint64 // of the switch that they waited for; 0: they waited for none
	sent     int
	err      error
}

// sendOn runs kept SYNs through the data plane and sends them, beside the loop.
func (l *loop) sendOn(director string, frames []hold.Kept, flipped bool) {
	done := sentOn{director: director}
	if flipped {
		done.epoch = l.switches[director].Epoch
	}
	l.group.Go(func() error {
		l.framing.Lock()
		done.sent, done.err = passOn(l.parts.Plane, l.parts.Frames, director, frames)
		if !flipped {
			done.err = errors.Join(done.err, l.parts.Plane.Trust(director, 0))
		}
		l.framing.Unlock()
		select {
		case l.sentOns <- done:
		case <-l.ctx.Done():
		}
		return nil
	})
}

// passOn sends frames on to where the data plane would send them now. It returns
// how many went, and the first failure of each kind.
func passOn(plane DataPlane, frames Frames, director string, waiting []hold.Kept) (sent int, err error) {
	var trusted time.Time
	var refused, failed error
	for _, k := range waiting {
		if time.Since(trusted) > trustTime/2 {
			if err := plane.Trust(director, trustTime); err != nil {
				return sent, fmt.Errorf("send kept connection attempts on: %w", err)
			}
			trusted = time.Now()
		}
		out, ok, err := plane.Pass(k.Frame, k.Iface)
		switch {
		case err != nil:
			refused = err
		case !ok: // the rules do not forward it any more
		default:
			if err := frames.Send(k.Iface, out); err != nil {
				failed = err
				continue
			}
			sent++
		}
	}
	if err := errors.Join(refused, failed); err != nil {
		return sent, fmt.Errorf("send kept connection attempts on, %d of %d sent: %w", sent, len(waiting), err)
	}
	return sent, nil
}

// wentOn takes what became of kept SYNs into the record of their switch.
func (l *loop) wentOn(s sentOn) {
	if s.err != nil {
		l.log.Error("kept connection attempts are lost; their clients try again by themselves", "director", s.director, "error", s.err)
	}
	if r, ok := l.switches[s.director]; ok && s.epoch != 0 && r.Epoch == s.epoch {
		r.Replayed += s.sent
		l.switches[s.director] = r
		l.publish(time.Now())
		l.enterNotes()
	}
}
