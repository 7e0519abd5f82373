package probe

import (
	"context"
	"errors"
	"os"
	"time"
)

// A question without a connection is put again, each time after twice as long:
// one packet that is lost must not be a failure.
const firstRepeat = 100 * time.Millisecond

// deadliner is a socket whose reads end by themselves.
type deadliner interface{ SetReadDeadline(time.Time) error }

// repeat sends until read tells that the answer has come, or ctx ends.
func repeat(ctx context.Context, conn deadliner, send func() error, read func() (answered bool, err error)) error {
	for wait := firstRepeat; ; wait *= 2 {
		if err := errors.Join(send(), conn.SetReadDeadline(time.Now().Add(wait))); err != nil {
			return err
		}
		for {
			if err := ctx.Err(); err != nil { // after the deadline was set: it may have undone that of ctx
				return err
			}
			answered, err := read()
			if errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil {
				break
			}
			if answered || err != nil {
				return err
			}
		}
	}
}
