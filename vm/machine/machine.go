// Package machine runs one virtual machine, in an emulator, without root, and
// commands in it over its first serial line.
//
// It knows nothing of what the guest is for. The guest's first programme has to
// speak the protocol of Run; see guest/init.
package machine

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Emulator is the programme that runs a machine.
const Emulator = "qemu-system-x86_64"

// Options describe a machine.
type Options struct {
	Kernel, Initrd string
	Disk           string // what the guest writes is lost when it ends
	Memory         int    // in MiB
	CPUs           int
	// Counted: one processor, whose clock counts the guest's instructions: each is a
	// nanosecond. So a run can be repeated to a fraction of a percent on a busy machine.
	Counted bool
	Dir     string // an existing directory for the logs
}

// Machine is one running machine. Its methods are for one goroutine, but for Close.
type Machine struct {
	cmd      *exec.Cmd
	to       *os.File // the guest's input
	from     *os.File // the guest's output
	pending  string   // read from it, and not yet returned
	serial   *os.File // the log of the first line
	dir      string
	commands int // that were sent
	givenUp  int // the number of the last one whose end was not awaited; 0: none
	ended    chan struct{}
}

// greeting is the guest's first word when it can take commands.
const greeting = "@@ready@@"

// Start starts a machine and waits until it takes commands. Its processes end with
// Close, and also when this process ends.
func Start(ctx context.Context, o Options) (*Machine, error) {
	serial, err := os.Create(filepath.Join(o.Dir, "serial.log"))
	if err != nil {
		return nil, fmt.Errorf("make the log of the serial line: %w", err)
	}
	m := &Machine{serial: serial, dir: o.Dir, ended: make(chan struct{})}
	if err := m.launch(o); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", Emulator, err), serial.Close())
	}
	if _, err := m.until(ctx, greeting); err != nil {
		return nil, errors.Join(fmt.Errorf("wait for the guest: %w", err), errors.New(m.Logs(40)), m.Close())
	}
	return m, nil
}

// launch starts the emulator with its first serial line on two pipes.
func (m *Machine) launch(o Options) error {
	input, to, err := os.Pipe()
	if err != nil {
		return err
	}
	from, output, err := os.Pipe()
	if err != nil {
		return errors.Join(err, input.Close(), to.Close())
	}
	defer input.Close()
	defer output.Close()
	words, err := os.Create(filepath.Join(o.Dir, "emulator.log"))
	if err != nil {
		return errors.Join(err, to.Close(), from.Close())
	}
	defer words.Close()
	m.cmd = exec.Command(Emulator, arguments(o)...)
	m.cmd.Stdin, m.cmd.Stdout, m.cmd.Stderr = input, output, words
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := m.cmd.Start(); err != nil {
		return errors.Join(err, to.Close(), from.Close())
	}
	m.to, m.from = to, from
	go func() {
		_ = m.cmd.Wait() // how it ended says nothing: the end of its output does
		close(m.ended)
	}()
	return nil
}

// arguments are the emulator's. Pure emulation: a CI machine rarely has KVM. No
// cmpxchg16b: with two processors QEMU 7.2 damages registers there, and a kernel
// from 6.3 on uses it for every allocation.
func arguments(o Options) []string {
	emulation := []string{"-accel", "tcg,thread=multi", "-cpu", "max,-cx16", "-smp", strconv.Itoa(o.CPUs)}
	words := "console=ttyS1 loglevel=5 panic=-1 mitigations=off"
	if o.Counted {
		// Instructions that copy a block count as one, whatever its size: do without.
		emulation = []string{"-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off", "-cpu", "max,-cx16,-erms,-fsrm", "-smp", "1"}
		words += " init_on_alloc=0"
	}
	return append(emulation,
		"-m", strconv.Itoa(o.Memory),
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-kernel", o.Kernel, "-initrd", o.Initrd,
		"-drive", "if=virtio,format=raw,snapshot=on,cache=unsafe,file="+o.Disk,
		"-chardev", "stdio,id=commands,signal=off", "-serial", "chardev:commands",
		"-serial", "file:"+filepath.Join(o.Dir, "kernel.log"),
		"-append", words,
	)
}

// ExitError says that a command in the guest failed.
type ExitError struct {
	Code   int
	Output string
}

func (e *ExitError) Error() string {
	return fmt.Sprintf("exit code %d: %s", e.Code, strings.TrimSpace(e.Output))
}

// longest is how many bytes of a line the guest's terminal keeps while its shell is
// busy, with some to spare.
const longest = 3000

// Run runs a shell command in the guest and returns its output. The error is an
// ExitError when the command failed.
//
// The protocol: a line with a number and the command in base64. The answer ends
// with the number and the exit code, between two pairs of @.
func (m *Machine) Run(ctx context.Context, command string) (string, error) {
	m.commands++
	line := fmt.Sprintf("%d %s\n", m.commands, base64.StdEncoding.EncodeToString([]byte(command)))
	if len(line) > longest {
		return "", fmt.Errorf("run a command in the guest: it has %d bytes, too many for its terminal", len(command))
	}
	if _, err := io.WriteString(m.to, line); err != nil {
		return "", fmt.Errorf("run %q in the guest: %w", command, err)
	}
	out, rest, err := m.answer(ctx)
	if err != nil {
		return "", fmt.Errorf("run %q in the guest: %w", command, err)
	}
	if code, err := strconv.Atoi(rest); err != nil || code != 0 {
		return out, fmt.Errorf("run %q in the guest: %w", command, &ExitError{code, out})
	}
	return out, nil
}

// answer reads the output of the command that was sent last, and its exit code.
func (m *Machine) answer(ctx context.Context) (out, code string, err error) {
	before := m.givenUp
	m.givenUp = m.commands
	if out, err = m.until(ctx, fmt.Sprintf("@@%d ", m.commands)); err != nil {
		return "", "", err
	}
	if code, err = m.until(ctx, "@@"); err != nil {
		return "", "", err
	}
	m.givenUp = 0
	if _, end, found := strings.Cut(out, fmt.Sprintf("@@%d ", before)); found {
		_, out, _ = strings.Cut(end, "@@")
	}
	return strings.Trim(strings.ReplaceAll(out, "\r", ""), "\n"), code, nil
}

// until reads up to a mark, and returns what stands before it.
func (m *Machine) until(ctx context.Context, mark string) (string, error) {
	if err := m.from.SetReadDeadline(time.Time{}); err != nil {
		return "", err
	}
	stop := context.AfterFunc(ctx, func() { _ = m.from.SetReadDeadline(time.Unix(1, 0)) }) // it cannot fail: it just worked
	defer stop()
	buffer := make([]byte, 32<<10)
	for {
		if before, after, found := strings.Cut(m.pending, mark); found {
			m.pending = after
			return before, nil
		}
		n, err := m.from.Read(buffer)
		if _, failed := m.serial.Write(buffer[:n]); failed != nil {
			return "", failed
		}
		m.pending += string(buffer[:n])
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return "", fmt.Errorf("no answer: %w", context.Cause(ctx))
		case errors.Is(err, io.EOF):
			return "", errors.New("the machine ended")
		case err != nil:
			return "", err
		}
	}
}

// Logs returns the last lines of what the machine, its kernel and the emulator said.
func (m *Machine) Logs(lines int) string {
	var b strings.Builder
	for _, name := range []string{"emulator.log", "kernel.log", "serial.log"} {
		text, err := os.ReadFile(filepath.Join(m.dir, name))
		if err != nil {
			fmt.Fprintf(&b, "-- %s: %v\n", name, err)
			continue
		}
		all := strings.Split(strings.TrimSpace(string(text)), "\n")
		fmt.Fprintf(&b, "-- %s\n%s\n", name, strings.Join(all[max(0, len(all)-lines):], "\n"))
	}
	return b.String()
}

// Close ends the machine, whatever it does.
func (m *Machine) Close() error {
	err := syscall.Kill(-m.cmd.Process.Pid, syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) {
		err = nil // it ended by itself
	}
	<-m.ended
	return errors.Join(err, m.to.Close(), m.from.Close(), m.serial.Close())
}
