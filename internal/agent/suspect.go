package agent

import (
	"context"
	"fmt"
	"time"

	"fairlead/internal/decide"
	"fairlead/internal/model"
)

const (
	// beatEvery is how often the data plane is told that the daemon lives.
	beatEvery = 200 * time.Millisecond
	// turnEvery is how often the loop turns at least.
	turnEvery = 250 * time.Millisecond
	// stuck is how long the loop may take for one turn: then it is no longer there
	// for the clients whose SYNs are kept.
	stuck = 500 * time.Millisecond
	// quiet is the pause between two suspicions of a director that reach the
	// decisions: of a thousand clients that complain, one is enough.
	quiet = 20 * time.Millisecond
	// sightings that wait for the loop; beyond, the data plane's ring fills.
	sightingsWait = 256
)

// complaint is what the decisions were told last of a director's silence.
type complaint struct {
	at   time.Time
	held bool // and that a client is kept waiting; until it is let go
}

// turn notes that the loop turns.
func (a *Agent) turn() { a.turned.Store(int64(a.clock.at(time.Now()))) }

// turns tells whether the loop has turned lately.
func (a *Agent) turns() bool {
	return int64(a.clock.at(time.Now()))-a.turned.Load() <= int64(stuck)
}

// beat tells the data plane that the daemon lives, while the loop turns.
func (a *Agent) beat(ctx context.Context) error {
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for {
		if a.turns() {
			a.parts.Plane.Beat()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// watch hands the data plane's sightings to the loop, and waits for it when it
// is busy: what finds the ring full then is counted by the data plane.
func (a *Agent) watch(ctx context.Context) error {
	return a.parts.Plane.Watch(ctx, func(s model.Sighting) {
		select {
		case a.sightings <- s:
		case <-ctx.Done():
		}
	})
}

// sighted takes a sighting and all that wait behind it. Frames are kept, and the
// decisions hear of each director once.
func (l *loop) sighted(s model.Sighting) {
	at := now()
	heard := make(map[string]decide.Suspected)
	for range sightingsWait {
		held := s.Frame != nil && l.keep(s, at.At)
		was, ok := heard[s.Ref.Director]
		if !ok || held && !was.Held {
			heard[s.Ref.Director] = decide.Suspected{At: at, Ref: s.Ref, Why: sightingText(s), Held: held}
		}
		select {
		case s = <-l.sightings:
			continue
		default:
		}
		break
	}
	for director, e := range heard {
		last := l.complaints[director]
		if last.covers(e) {
			continue
		}
		l.complaints[director] = complaint{at: at.At, held: last.held || e.Held}
		l.handle(e)
	}
}

// covers tells whether the decisions need not hear of a suspicion: they have
// heard one just now, and know that somebody is kept waiting if this one is.
func (c complaint) covers(e decide.Suspected) bool {
	return e.When().Sub(c.at) < quiet && (c.held || !e.Held)
}

// sightingText says what the data plane saw.
func sightingText(s model.Sighting) string {
	switch s.Kind {
	case model.SightingRepeatedSYN:
		return fmt.Sprintf("%s tries again to connect: its first try was not answered", s.Client)
	case model.SightingRepeatedData:
		return fmt.Sprintf("%s sends the same data again: it was not answered", s.Client)
	case model.SightingReconnect:
		return fmt.Sprintf("%s had a connection and begins another one", s.Client)
	case model.SightingHeld:
		return fmt.Sprintf("%s tries to connect during the switch", s.Client)
	}
	return s.Kind.String()
}
