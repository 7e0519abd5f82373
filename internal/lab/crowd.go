package lab

import (
	"context"
	"time"

	"fairlead/internal/lab/clock"
	"fairlead/internal/lab/crowd"
	"fairlead/internal/lab/outcome"
	"fairlead/internal/lab/site"
)

// crowdResets is how long the crowd's connections may take to be reset.
const crowdResets = 10 * time.Second

// gatherCrowd makes the crowd that the options ask for, and counts it.
func (r *run) gatherCrowd(ctx context.Context) (err error) {
	if r.throng, err = r.site.Gather(ctx, r.opts.Crowd); err != nil {
		return err
	}
	c := &outcome.Crowd{Asked: r.opts.Crowd}
	if c.Before, err = r.site.Established(); err != nil {
		return err
	}
	r.m.Crowd = c
	r.line("a crowd of %d connections stands", c.Before)
	return nil
}

// crowdReset waits until the crowd's connections were reset by a switch, which
// was decided on at an instant, and tells what that cost the director.
func (r *run) crowdReset(ctx context.Context, decided clock.Instant) error {
	c := r.m.Crowd
	err := r.throng.Await(ctx, crowdResets, func(s crowd.Seen) bool { return s.Reset+s.Otherwise == c.Asked })
	if err := ctx.Err(); err != nil {
		return err
	}
	if err != nil {
		r.lineAt(clock.Now(), outcome.Red, "%v", err)
	}
	s := r.throng.Seen()
	c.Reset, c.Otherwise = s.Reset, s.Otherwise
	if s.Last != 0 {
		c.Last = outcome.InMillis(s.Last.Since(decided))
		r.lineAt(s.Last, outcome.Plain, "%d of the crowd's connections are reset", s.Reset)
	}
	if c.After, err = r.site.Established(); err != nil {
		return err
	}
	now, err := site.UsedBy(r.site.Daemon.PID())
	c.CPU, c.Memory = *outcome.InMillis(now.CPU - r.used.CPU), now.Memory
	return err
}
