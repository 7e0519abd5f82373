package main

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fairlead/internal/access"
)

const password = "correct horse battery"

func TestUsers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	file := write(t, t.TempDir(), "password", password+"\n")
	two := write(t, t.TempDir(), "two", password+"\n"+password+"\n")
	long := write(t, t.TempDir(), "long", strings.Repeat("x", longestPassword+1))
	for _, tt := range []struct {
		args     string
		in       string
		code     int
		out, err string // must be contained; "" means that nothing is printed
	}{
		{args: "user list", out: "there is no user; `fairlead user add NAME --role admin` adds the first one"},
		{args: "user list --json", out: "[]"},
		{args: "token list", out: "there is no token"},
		{args: "user passwd anna --password-stdin", in: password, code: exitFailed, err: `there is no user "anna"; see `},
		{args: "user add anna", code: exitUnable, err: "missing flags: --role=ROLE"},
		{args: "user add anna --role root", code: exitUnable, err: `must be one of "viewer","operator","admin"`},
		{args: "user add an:na --role admin", code: exitUnable, err: "letters, digits and . _ @ - only"},
		{args: "user add anna --role admin", in: password, code: exitUnable, err: "no terminal to ask for the password: use --password-stdin"},
		{args: "user add anna --role admin --password-stdin", in: "short", code: exitUnable, err: "at least 10 characters"},
		{args: "user add anna --role admin --password-stdin", in: "", code: exitUnable, err: "at least 10 characters"},
		{args: "user add anna --role admin --password-file " + two, code: exitUnable, err: "more than one line"},
		{args: "user add anna --role admin --password-file " + long, code: exitUnable, err: "too long"},
		{args: "user add anna --role admin --password-file " + dir, code: exitUnable, err: "no such file"},
		{args: "user add anna --role admin --password-stdin --password-file " + file, code: exitUnable, err: "can't be used together"},
		{args: "user add anna --role admin --password " + password, code: exitUnable, err: "unknown flag --password"},
		{args: "user add anna --role admin --password-file " + file, out: "the user anna is added, with the role admin\n"},
		{args: "user add bert --role viewer --password-stdin", in: password + "\r\n", out: "the user bert is added"},
		{args: "user add anna --role viewer --password-stdin", in: password, code: exitFailed, err: "there is a user anna already; `fairlead user passwd`"},
		{args: "token add anna --role viewer", code: exitFailed, err: "there is a user anna already"},
		{args: "token add prometheus --role viewer", out: "fairlead_", err: "Its secret is shown this once"},
		{args: "user list", out: "NAME  ROLE    PASSWORD OF\nanna  admin   20"},
		{args: "user list --json", out: `"name": "anna",` + "\n    " + `"role": "admin",`},
		{args: "token list", out: "prometheus  viewer  20"},
		{args: "token list --json", out: `"name": "prometheus"`},
		{args: "user role bert operator", out: "the user bert has the role operator"},
		{args: "user role bert none", code: exitUnable, err: "must be one of"},
		{args: "user role carl viewer", code: exitFailed, err: `there is no user "carl"`},
		{args: "user passwd bert --password-stdin", in: "another long one\n", out: "the user bert has another password"},
		{args: "user remove bert", out: "the user bert is removed"},
		{args: "user remove bert", code: exitFailed, err: `there is no user "bert"`},
		{args: "token remove prometheus", out: "the token prometheus is removed"},
		{args: "token remove prometheus", code: exitFailed, err: `there is no token "prometheus"`},
	} {
		got := shell{in: tt.in}.run(t.Context(), append(strings.Fields(tt.args), "--state-dir", dir)...)
		if got.code != tt.code || !strings.Contains(got.out, tt.out) || !strings.Contains(got.err, tt.err) ||
			(tt.out == "") != (got.out == "") || (tt.err == "") != (got.err == "") {
			t.Errorf("fairlead %s: got %d\n out: %s\n err: %s\nwant %d\n out: %s\n err: %s", tt.args, got.code, got.out, got.err, tt.code, tt.out, tt.err)
		}
		if strings.Contains(got.out+got.err, password) && !strings.Contains(tt.args, password) || strings.Contains(got.out, "argon2id") {
			t.Errorf("fairlead %s: tells a secret: %s%s", tt.args, got.out, got.err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "users.json"), []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{"user list", "token list", "user add x --role admin --password-file " + file, "user remove anna", "token add x --role viewer"} {
		got := shell{}.run(t.Context(), append(strings.Fields(args), "--state-dir", dir)...)
		if got.code != exitFailed || got.out != "" || !strings.Contains(got.err, "users.json: it is torn") {
			t.Errorf("fairlead %s with a torn file: got %+v", args, got)
		}
	}
}

// TestRunningDaemonSees: what the command line changes holds for the daemon's
// store at once.
func TestRunningDaemonSees(t *testing.T) {
	dir := t.TempDir()
	store, err := access.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	command := func(in, args string) string {
		t.Helper()
		got := shell{in: in}.run(t.Context(), append(strings.Fields(args), "--state-dir", dir)...)
		if got.code != exitDone {
			t.Fatalf("%s: %+v", args, got)
		}
		return strings.TrimSpace(got.out)
	}
	command(password, "user add anna --role admin --password-stdin")
	session, err := store.Login(t.Context(), "anna", password, netip.MustParseAddr("192.0.2.1"))
	if err != nil {
		t.Fatal(err)
	}
	secret := command("", "token add robot --role viewer")
	if actor, ok := store.Token(secret); !ok || actor.Name != "robot" {
		t.Errorf("the token %q: %+v, %t", secret, actor, ok)
	}
	command("", "user role anna viewer")
	if got, ok := store.Session(session.Cookie); !ok || got.Role.String() != "viewer" {
		t.Errorf("got %+v, %t", got, ok)
	}
	command("", "user remove anna")
	command("", "token remove robot")
	if _, ok := store.Session(session.Cookie); ok {
		t.Error("the session goes on")
	}
	if _, ok := store.Token(secret); ok {
		t.Error("the token goes on")
	}
}

// TestCommandsAtOnce: none of them undoes another.
func TestCommandsAtOnce(t *testing.T) {
	dir := t.TempDir()
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			if got := (shell{}).run(t.Context(), "token", "add", fmt.Sprint("t", i), "--role", "viewer", "--state-dir", dir); got.code != exitDone {
				t.Errorf("got %+v", got)
			}
		})
	}
	group.Wait()
	if got := (shell{}).run(t.Context(), "token", "list", "--json", "--state-dir", dir); strings.Count(got.out, `"name"`) != 8 {
		t.Errorf("got %s", got.out)
	}
}

// A terminal is a pseudo terminal with somebody at it.
type terminal struct {
	user, program *os.File
	mu            sync.Mutex // guards the following
	seen          bytes.Buffer
}

func newTerminal(t *testing.T) *terminal {
	t.Helper()
	user, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(user.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(user.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	term := &terminal{user: user, program: program}
	go func() {
		buffer := make([]byte, 1024)
		for {
			n, err := user.Read(buffer)
			term.mu.Lock()
			term.seen.Write(buffer[:n])
			term.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { program.Close(); user.Close() })
	return term
}

// screen is all that the user saw.
func (term *terminal) screen() string {
	term.mu.Lock()
	defer term.mu.Unlock()
	return term.seen.String()
}

// await waits for a prompt without an echo.
func (term *terminal) await(t *testing.T, prompt string) {
	t.Helper()
	for range 1000 {
		state, err := unix.IoctlGetTermios(int(term.program.Fd()), unix.TCGETS)
		if err == nil && state.Lflag&unix.ECHO == 0 && strings.HasSuffix(term.screen(), prompt) {
			return
		}
		<-time.After(5 * time.Millisecond)
	}
	t.Fatalf("no prompt %q: %q", prompt, term.screen())
}

// TestPrompt types passwords at a real terminal.
func TestPrompt(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct {
		first, second string
		code          int
		want          string
	}{
		{"short", "", exitUnable, "at least 10 characters"},
		{password, "correct horse batteri", exitUnable, "the two passwords differ; nothing was changed"},
		{password, password, exitDone, "the user anna is added"},
	} {
		term := newTerminal(t)
		done := make(chan int, 1)
		go func() {
			env := &surroundings{in: term.program, out: term.program, err: term.program}
			done <- run(t.Context(), []string{"user", "add", "anna", "--role", "admin", "--state-dir", dir}, env)
		}()
		term.await(t, "New password of anna: ")
		fmt.Fprintln(term.user, tt.first)
		if tt.second != "" {
			term.await(t, "The same again: ")
			fmt.Fprintln(term.user, tt.second)
		}
		code := <-done
		for i := 0; i < 200 && !strings.Contains(term.screen(), tt.want); i++ {
			<-time.After(5 * time.Millisecond) // the last line is on its way
		}
		if screen := term.screen(); code != tt.code || !strings.Contains(screen, tt.want) || strings.Contains(screen, tt.first) {
			t.Errorf("%q: got %d, the screen shows %q", tt.first, code, screen)
		}
	}
}

// TestPromptInterrupted: the terminal shows again what is typed.
func TestPromptInterrupted(t *testing.T) {
	term := newTerminal(t)
	ctx, interrupt := context.WithCancel(t.Context())
	done := make(chan int, 1)
	go func() {
		env := &surroundings{in: term.program, out: term.program, err: term.program}
		done <- run(ctx, []string{"user", "add", "anna", "--role", "admin", "--state-dir", t.TempDir()}, env)
	}()
	term.await(t, "New password of anna: ")
	interrupt()
	if code := <-done; code != exitUnable {
		t.Errorf("got %d", code)
	}
	state, err := unix.IoctlGetTermios(int(term.program.Fd()), unix.TCGETS)
	if err != nil || state.Lflag&unix.ECHO == 0 {
		t.Errorf("the terminal stays silent: %v", err)
	}
	fmt.Fprintln(term.user) // ends the read that was left behind
}
