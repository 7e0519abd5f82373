package vm

import (
	"context"
	"fmt"
)

// rehearseRestart orders a switch to nfs-02 whose promote hook starts NFS there
// anew, while a further application holds a lock and opens files. There is no
// failback: nfs-01 was never broken.
func rehearseRestart(ctx context.Context, s *site, d director, progress func(string)) ([]result, error) {
	if err := s.begin(ctx, opener); err != nil {
		return nil, err
	}
	if out, err := s.run(ctx, "restarting"); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	progress(d.name() + ": switch to nfs-02, which is restarted")
	i, err := s.at(ctx, "fairlead switch nfs/nfs-02")
	if err != nil {
		return nil, err
	}
	results, err := measure(ctx, s, d, restart, "nfs-02", i.Before, progress)
	if err != nil {
		return nil, err
	}
	if out, err := s.run(ctx, "restarted"); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	return results, nil
}

// grace reads the grace period that the kernel traced. It is over when those who
// waited for it work again.
func (s *site) grace(ctx context.Context) (grace, error) {
	trace, err := s.run(ctx, "cat /sys/kernel/tracing/trace")
	if err != nil {
		return grace{}, err
	}
	return readGrace(trace)
}
