package program

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"
	"unicode"

	"golang.org/x/sys/unix"
)

const (
	// grace is how long a programme that was asked to end (SIGTERM) may take before
	// it is ended (SIGKILL), and how long its end is waited for then: a process
	// that hangs in the kernel, on dead storage say, cannot be ended at all.
	grace = time.Second

	// rest is how long the output is read on after a programme's end, should what
	// it left behind hold on to it.
	rest = 50 * time.Millisecond
)

// Call is one run of a programme, without arguments.
type Call struct {
	Path    string      // absolute
	Facts   [][2]string // its environment: each name gets FAIRLEAD_ before it
	Input   []byte      // what it reads on its standard input
	Timeout time.Duration
	Ended   string // why it was ended, in words, should the context end first
}

// Run runs a programme and returns the last of its output when it has ended, at
// most 2 s after its timeout or the end of ctx.
func Run(ctx context.Context, c Call) (output string, err error) {
	var out tail
	err = run(ctx, c, &out)
	output = out.String()
	if err != nil && output != "" {
		err = fmt.Errorf("%w. It printed: %s", err, output)
	}
	return output, err
}

// errTimeout is the cause of a context's end when the programme had its time.
var errTimeout = errors.New("timeout")

func run(ctx context.Context, c Call, out *tail) error {
	if err := Trust(c.Path); err != nil {
		return fmt.Errorf("it is not run: %w", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.Timeout, errTimeout)
	defer cancel()
	if ctx.Err() != nil {
		return why(ctx, c, nil) // before it has begun
	}
	cmd := &exec.Cmd{
		Path: c.Path, Args: []string{c.Path}, Env: environment(c.Facts), Dir: "/",
		Stdin: bytes.NewReader(c.Input), Stdout: out, Stderr: out, WaitDelay: rest,
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true},
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("it cannot be run: %w", err)
	}
	return await(ctx, c, cmd)
}

// environment is all that the programme gets: nothing of the daemon's own.
func environment(facts [][2]string) []string {
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C"}
	for _, f := range facts {
		env = append(env, fmt.Sprintf("FAIRLEAD_%s=%s", f[0], Plain(f[1])))
	}
	return env
}

// Plain makes one line of a text: a shell script reads it more safely, and a
// zero byte would keep the programme from being run at all.
func Plain(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
}

// await waits until the programme has ended, and ends it when ctx does. The process
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

// why says why a programme was ended before its time, or not begun.
func why(ctx context.Context, c Call, err error) error {
	reason := errors.New("it was ended: " + c.Ended)
	if errors.Is(context.Cause(ctx), errTimeout) {
		reason = fmt.Errorf("it did not end within %s and was ended", c.Timeout)
	}
	if err != nil {
		return fmt.Errorf("%w, but %w", reason, err)
	}
	return reason
}

// words says how a programme ended by itself.
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
	return Exit(exit.ExitCode())
}

// Exit is the exit code of a programme that ended by itself and did not succeed.
type Exit int

func (e Exit) Error() string { return fmt.Sprintf("it ended with exit code %d", int(e)) }
