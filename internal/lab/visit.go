package lab

import (
	"context"
	"path/filepath"
	"slices"

	"fairlead/internal/lab/clock"
	"fairlead/internal/lab/outcome"
	"fairlead/internal/lab/visitor"
)

// beginVisit lets the visitor watch the Overview until it shows the second server. It returns what ends the watch.
func (r *run) beginVisit(ctx context.Context) (end func() error) {
	v := &outcome.Visit{Trouble: r.site.Walked.Trouble, Pictures: []string{}, Walked: outcome.InMillis(r.site.WalkTime)}
	r.m.Visit = v
	type answer struct {
		done visitor.Done
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		done, err := r.site.Visitor.Do(ctx, visitor.Order{Deed: visitor.Await, Server: outcome.Second})
		answers <- answer{done, err}
	}()
	return func() error {
		a := <-answers
		if a.err != nil {
			r.lineAt(clock.Now(), outcome.Red, "%v", a.err)
			return ctx.Err() // the verdict says what is missing
		}
		v.Trouble = append(v.Trouble, a.done.Trouble...)
		if len(r.m.Turns) > 0 && r.m.Turns[0].Switch != nil {
			v.Shown = outcome.InMillis(a.done.At.Since(clock.Instant(r.m.Turns[0].Switch.DecidedMono)))
			r.lineAt(a.done.At, outcome.Plain, "the Overview showed %s as active, %s after the decision", outcome.Second, outcome.Show(v.Shown))
		}
		return r.shoot(ctx, v)
	}
}

// shoot keeps pictures of the pages.
func (r *run) shoot(ctx context.Context, v *outcome.Visit) error {
	dir, err := filepath.Abs(r.opts.Screenshots)
	if err != nil {
		return err
	}
	done, err := r.site.Visitor.Do(ctx, visitor.Order{Deed: visitor.Shoot, Dir: dir})
	v.Pictures, v.Trouble = append(v.Pictures, done.Files...), append(v.Trouble, done.Trouble...)
	if err != nil {
		return err
	}
	r.line("%d pictures of the pages are in %s", len(v.Pictures), dir)
	return nil
}

// visited tells whether a scenario can be watched on the Overview: nfs-02 takes
// over in it, once.
func visited(f outcome.Fault) bool {
	return slices.Equal(f.Scenario().To, []string{outcome.Second})
}
