package agent

import (
	"context"
	"time"

	"fairlead/internal/model"
)

const (
	// returnEvery is the pause between the first looks for a client that is back
	// after a switch. Later the pause is a share of the time that has gone by, which
	// is the precision of what is told.
	returnEvery = 5 * time.Millisecond
	laterShare  = 20
	// lookShare bounds what the looks cost: one that took long is followed by a pause
	// so many times as long.
	lookShare = 10
	// returnWait is how long somebody is waited for.
	returnWait = time.Minute
)

// A comeback tells that a client has a connection to the server of a switch.
type comeback struct {
	director string
	epoch    uint64
	at       time.Time
}

// awaitReturn begins to look for the first client that is back after a switch.
func (l *loop) awaitReturn(director string, s model.Switch) {
	if s.From == "" || s.To == "" {
		return
	}
	ctx, cancel := context.WithTimeout(l.ctx, returnWait)
	if before := l.returns[director]; before != nil {
		before()
	}
	l.returns[director] = cancel
	l.group.Go(func() error {
		defer cancel()
		if at := l.firstReturn(ctx, director, s.To); !at.IsZero() {
			select {
			case l.comebacks <- comeback{director, s.Epoch, at}:
			case <-ctx.Done():
			}
		}
		return nil
	})
}

// firstReturn is when a client's acknowledged connection to the server was seen;
// zero: none until ctx ended.
func (l *loop) firstReturn(ctx context.Context, director, server string) time.Time {
	began := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return time.Time{}
		case <-timer.C:
		}
		looked := time.Now()
		for c := range l.parts.Plane.Connections() {
			if c.Director == director && c.Server == server && !c.Old && !c.Ended && c.HasAck {
				return time.Now()
			}
		}
		timer.Reset(max(returnEvery, lookShare*time.Since(looked), time.Since(began)/laterShare))
	}
}

// cameBack notes the first client that is back.
func (l *loop) cameBack(c comeback) {
	r, ok := l.switches[c.director]
	if !ok || r.Epoch != c.epoch || !r.FirstBack.IsZero() {
		return
	}
	r.FirstBack = c.at
	l.switches[c.director] = r
	l.publish(time.Now())
	l.enterNotes()
}
