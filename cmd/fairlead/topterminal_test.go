package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fairlead/internal/model"
)

// asFairlead makes this test program be fairlead, for tests that need a process.
const asFairlead = "FAIRLEAD_TEST_IS_FAIRLEAD"

func TestMain(m *testing.M) {
	if os.Getenv(asFairlead) != "" {
		main()
	}
	os.Exit(m.Run())
}

// sees waits until the user of a terminal saw a text.
func sees(t *testing.T, p *terminal, text string) {
	t.Helper()
	for range 4000 {
		if strings.Contains(p.screen(), text) {
			return
		}
		<-time.After(5 * time.Millisecond) // another process writes: there is no event to wait for
	}
	seen := p.screen()
	t.Fatalf("%q was not seen; at the end stood %q", text, seen[max(0, len(seen)-2000):])
}

func settings(t *testing.T, p *terminal) unix.Termios {
	t.Helper()
	s, err := unix.IoctlGetTermios(int(p.program.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return *s
}

// startTop starts a process with a terminal of its own.
func startTop(t *testing.T, p *terminal, socket string) *exec.Cmd {
	t.Helper()
	if err := unix.IoctlSetWinsize(int(p.program.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80}); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(os.Args[0], "top", "--socket", socket)
	c.Env = append(os.Environ(), asFairlead+"=1", "TERM=xterm-256color", "NO_COLOR=1")
	c.Stdin, c.Stdout, c.Stderr = p.program, p.program, p.program
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	sees(t, p, "nfs-01")
	return c
}

// TestTopLeavesTheTerminal: as it was, whatever ends the view.
func TestTopLeavesTheTerminal(t *testing.T) {
	const altScreenOff = "\x1b[?1049l"
	colours := regexp.MustCompile("\x1b\\[[0-9;]*(3[0-8]|4[0-8]|9[0-7])[0-9;]*m")
	last := night()[0]
	last.At, last.Text = time.Now(), "flipped"
	socket := serve(t, &fakeDaemon{status: quietStatus(), events: []model.Event{last}})
	for _, tt := range []struct {
		what string
		end  func(p *terminal, c *exec.Cmd) error
		code int
	}{
		{"q", func(p *terminal, _ *exec.Cmd) error { _, err := io.WriteString(p.user, "q"); return err }, exitDone},
		{"Ctrl-C", func(p *terminal, _ *exec.Cmd) error { _, err := io.WriteString(p.user, "\x03"); return err }, exitDone},
		{"SIGTERM", func(_ *terminal, c *exec.Cmd) error { return c.Process.Signal(syscall.SIGTERM) }, exitDone},
		{"SIGHUP", func(_ *terminal, c *exec.Cmd) error { return c.Process.Signal(syscall.SIGHUP) }, exitDone},
	} {
		p := newTerminal(t)
		before := settings(t, p)
		c := startTop(t, p, socket)
		sees(t, p, "flipped")
		if settings(t, p) == before {
			t.Errorf("%s: the terminal was never in use", tt.what)
		}
		if err := tt.end(p, c); err != nil {
			t.Error(err)
		}
		err := c.Wait()
		if c.ProcessState.ExitCode() != tt.code {
			t.Errorf("%s: got %v", tt.what, err)
		}
		if settings(t, p) != before {
			t.Errorf("%s: the terminal's settings are not as before", tt.what)
		}
		sees(t, p, altScreenOff)
		if colours.MatchString(p.screen()) {
			t.Errorf("%s: there are colours in spite of NO_COLOR: %q", tt.what, p.screen())
		}
		if n := strings.Count(p.screen(), "director/server"); n > 2 {
			t.Errorf("%s: what stays the same was sent %d times", tt.what, n)
		}
	}
}

// TestTopEndsWithItsTerminal: no process is left when the window is closed.
func TestTopEndsWithItsTerminal(t *testing.T) {
	socket := serve(t, &fakeDaemon{status: quietStatus()})
	p := newTerminal(t)
	c := startTop(t, p, socket)
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	p.user.Close()
	p.program.Close()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Error("it goes on without a terminal")
		if err := c.Process.Kill(); err != nil {
			t.Error(err)
		}
	}
}

// TestNoColour: colours are for terminals whose users want them.
func TestNoColour(t *testing.T) {
	socket := serve(t, &fakeDaemon{status: quietStatus()})
	for _, tt := range []struct {
		env  string
		want bool
	}{{"NO_COLOR=", true}, {"NO_COLOR=1", false}, {"TERM=dumb", false}} {
		p := newTerminal(t)
		c := exec.Command(os.Args[0], "status", "--socket", socket)
		c.Env = append(os.Environ(), asFairlead+"=1", "TERM=xterm", "NO_COLOR=", tt.env)
		c.Stdout, c.Stderr = p.program, p.program
		if err := c.Run(); err != nil {
			t.Error(err)
		}
		sees(t, p, "generation 2")
		if got := strings.Contains(p.screen(), "\x1b["); got != tt.want {
			t.Errorf("%s on a terminal: colours %t", tt.env, got)
		}
	}
	out := filepath.Join(t.TempDir(), "out")
	f, err := os.Create(out)
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(os.Args[0], "status", "--socket", socket)
	c.Env, c.Stdout = append(os.Environ(), asFairlead+"=1", "TERM=xterm", "NO_COLOR="), f
	if err := c.Run(); err != nil {
		t.Error(err)
	}
	f.Close()
	if text, err := os.ReadFile(out); err != nil || strings.Contains(string(text), "\x1b") {
		t.Errorf("into a file: got %q, %v", text, err)
	}
}
