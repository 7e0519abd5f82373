package hook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// grace is how long a hook that was asked to end (SIGTERM) may take before
	// it is ended (SIGKILL), and how long its end is waited for then: a process
	// that hangs in the kernel, on dead storage say, cannot be ended at all.
	grace = time.Second

	// rest is how long the output is read on after a hook's end, should what it
	// left behind hold on to it.
	rest = 50 * time.Millisecond
)

// Runner runs hooks. Its methods may be called from several goroutines.
type Runner struct {
	log *slog.Logger
}

// New returns a Runner.
func New(log *slog.Logger) *Runner { return &Runner{log: log} }

// Run runs a hook and returns when it has ended, at most 2 s after its timeout
// or the end of ctx.
func (r *Runner) Run(ctx context.Context, c Call) Outcome {
	begin := time.Now()
	log := r.log.With("hook", c.Kind.String(), "director", c.Director, "command", c.Hook.Command, "epoch", c.Epoch)
	log.Info("hook begins", "old", c.Old.Name, "new", c.New.Name)
	var out tail
	err := run(ctx, c, &out)
	o := Outcome{Took: time.Since(begin), Output: out.String()}
	if err != nil {
		o.Err = fmt.Errorf("%s hook %s of director %s: %w", c.Kind, c.Hook.Command, c.Director, err)
		if o.Output != "" {
			o.Err = fmt.Errorf("%w. It printed: %s", o.Err, o.Output)
		}
	}
	log.Info("hook ended", "took", o.Took, "ok", err == nil, "output", o.Output)
	return o
}

// errTimeout is the cause of a context's end when the hook had its time.
var errTimeout = errors.New("timeout")

func run(ctx context.Context, c Call, out *tail) error {
	if err := Trust(c.Hook.Command); err != nil {
		return fmt.Errorf("it is not run: %w", err)
	}
	f := c.facts()
	input, err := f.input()
	if err != nil {
		return fmt.Errorf("write its input: %w", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.Hook.Timeout, errTimeout)
	defer cancel()
	if ctx.Err() != nil {
		return why(ctx, c, nil) // before it has begun
	}
	cmd := &exec.Cmd{
		Path: c.Hook.Command, Args: []string{c.Hook.Command}, Env: f.environment(), Dir: "/",
		Stdin: bytes.NewReader(input), Stdout: out, Stderr: out, WaitDelay: rest,
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true},
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("it cannot be run: %w", err)
	}
	return await(ctx, c, cmd)
}

// await waits until the hook has ended, and ends it when ctx does. The process
// is a zombie until its group has been dealt with: so its number, which is the
// group's, cannot mean anything else.
func await(ctx context.Context, c Call, cmd *exec.Cmd) error {
	ended := make(chan error, 1)
	go func() { ended <- zombie(cmd.Process.Pid) }()
	select {
	case err := <-ended:
		return errors.Join(err, words(cmd.Wait()))
	case <-ctx.Done():
	}
	err := stop(cmd.Process.Pid, ended)
	if errors.Is(err, errHangs) {
		go cmd.Wait() // ends with the process, whenever that may be
	} else {
		cmd.Wait()
	}
	return why(ctx, c, err)
}

// zombie waits until a child has ended, and does not take it away.
func zombie(pid int) error {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

var errHangs = errors.New("it cannot be ended: it hangs in the kernel")

// stop ends a process group, politely at first.
func stop(group int, ended <-chan error) error {
	unix.Kill(-group, unix.SIGTERM) // fails only if all have ended
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-ended:
		unix.Kill(-group, unix.SIGKILL)
		return nil
	case <-timer.C:
	}
	unix.Kill(-group, unix.SIGKILL)
	timer.Reset(grace)
	select {
	case <-ended:
		return nil
	case <-timer.C:
		return errHangs
	}
}

// why says why a hook was ended before its time, or not begun.
func why(ctx context.Context, c Call, err error) error {
	reason := errors.New("it was ended: its switch was given up, or the daemon ends")
	if errors.Is(context.Cause(ctx), errTimeout) {
		reason = fmt.Errorf("it did not end within %s and was ended", c.Hook.Timeout)
	}
	if err != nil {
		return fmt.Errorf("%w, but %w", reason, err)
	}
	return reason
}

// words says how a hook ended by itself.
func words(err error) error {
	var exit *exec.ExitError
	switch {
	case errors.Is(err, exec.ErrWaitDelay):
		return nil // what it left behind keeps its output open
	case !errors.As(err, &exit):
		return err
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	switch {
	case ok && status.Signaled():
		return fmt.Errorf("signal %d (%s) ended it", int(status.Signal()), status.Signal())
	case exit.ExitCode() == 126 || exit.ExitCode() == 127:
		return fmt.Errorf("it ended with exit code %d: a command in it was not found or cannot be run", exit.ExitCode())
	}
	return fmt.Errorf("it ended with exit code %d", exit.ExitCode())
}
