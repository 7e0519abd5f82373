package site

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"fairlead/internal/lab/witness"
)

// Cables are the taps on the servers' cables, at the switch's end.
type Cables struct {
	taps  []*witness.Tap
	seen  [][]witness.Packet // by tap; each belongs to its tap's goroutine until end
	group *errgroup.Group
	stop  context.CancelFunc
}

// WatchCables begins to capture what is on the servers' cables.
func (s *Site) WatchCables(ctx context.Context) (*Cables, error) {
	c := &Cables{seen: make([][]witness.Packet, len(s.Servers))}
	ctx, c.stop = context.WithCancel(ctx)
	for i, h := range s.Servers {
		err := h.Port(func(ifindex int) error {
			tap, err := witness.OpenTap(ifindex, i, h.MAC, s.VIP(), s.At(DirectorSpec.Addr.Addr()))
			if err == nil {
				c.taps = append(c.taps, tap)
			}
			return err
		})
		if err != nil {
			c.stop()
			return nil, errors.Join(fmt.Errorf("watch the cable of %s: %w", h.Name, err), c.close())
		}
	}
	c.group = &errgroup.Group{}
	for i, tap := range c.taps {
		c.group.Go(func() error {
			return tap.Run(ctx, func(p witness.Packet) { c.seen[i] = append(c.seen[i], p) })
		})
	}
	return c, nil
}

// End ends the capture. It returns every packet, and how many were missed.
func (c *Cables) End() (packets []witness.Packet, drops int, err error) {
	c.stop()
	err = c.group.Wait()
	for i, tap := range c.taps {
		packets = append(packets, c.seen[i]...)
		drops += tap.Drops()
	}
	if err := errors.Join(err, c.close()); err != nil {
		return nil, 0, fmt.Errorf("watch the servers' cables: %w", err)
	}
	return packets, drops, nil
}

func (c *Cables) close() error {
	var errs []error
	for _, t := range c.taps {
		errs = append(errs, t.Close())
	}
	c.taps = nil
	return errors.Join(errs...)
}
