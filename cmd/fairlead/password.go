package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"fairlead/internal/access"
)

// passwordFlags say where a new password comes from. Never from the command line
// itself: every user of the machine can read that.
type passwordFlags struct {
	PasswordFile  string `placeholder:"FILE" xor:"password" help:"Read the password from this file, its only line."`
	PasswordStdin bool   `xor:"password" help:"Read the password from standard input, its only line."`
}

// longestPassword is more than access takes, bytes.
const longestPassword = 4 << 10

// read gets the new password of a user: from where the flags say, or from the
// terminal, twice.
func (f passwordFlags) read(ctx context.Context, env *surroundings, name string) (string, error) {
	var password string
	var err error
	switch {
	case f.PasswordFile != "":
		password, err = readPasswordFile(f.PasswordFile)
	case f.PasswordStdin:
		password, err = readPassword(env.in)
	default:
		password, err = askTwice(ctx, env, name)
	}
	if err == nil {
		err = access.CheckPassword(name, password)
	}
	if err != nil {
		return "", unable{err}
	}
	return password, nil
}

func readPasswordFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	defer f.Close()
	return readPassword(f)
}

// readPassword reads one line. What it says never repeats it.
func readPassword(r io.Reader) (string, error) {
	text, err := io.ReadAll(io.LimitReader(r, longestPassword+1))
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	line := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	switch {
	case len(text) > longestPassword:
		return "", errors.New("read the password: it is too long")
	case strings.ContainsAny(line, "\r\n"):
		return "", errors.New("read the password: there is more than one line")
	}
	return line, nil
}

// askTwice asks on the terminal, which shows nothing of it.
func askTwice(ctx context.Context, env *surroundings, name string) (string, error) {
	in, ok := env.in.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return "", errors.New("there is no terminal to ask for the password: use --password-stdin or --password-file")
	}
	first, err := ask(ctx, in, env.err, fmt.Sprintf("New password of %s: ", name))
	if err != nil {
		return "", err
	}
	if err := access.CheckPassword(name, first); err != nil {
		return "", err // before it is typed again
	}
	second, err := ask(ctx, in, env.err, "The same again: ")
	if err != nil {
		return "", err
	}
	if first != second {
		return "", errors.New("the two passwords differ; nothing was changed")
	}
	return first, nil
}

// ask reads a line without an echo. When ctx ends meanwhile, as by Ctrl-C, the
// terminal is given back as it was.
func ask(ctx context.Context, in *os.File, out io.Writer, prompt string) (line string, err error) {
	restore, err := silence(int(in.Fd()))
	if err != nil {
		return "", fmt.Errorf("ask for the password: %w", err)
	}
	defer func() {
		fmt.Fprintln(out)
		err = errors.Join(err, restore())
	}()
	fmt.Fprint(out, prompt)
	type answer struct {
		line string
		err  error
	}
	answers := make(chan answer, 1)
	go func() { // left behind when ctx ends: nothing else ends a read, but the process ends soon
		line, err := readTyped(in)
		answers <- answer{line, err}
	}()
	select {
	case a := <-answers:
		if a.err != nil {
			return "", fmt.Errorf("ask for the password: %w", a.err)
		}
		return a.line, nil
	case <-ctx.Done():
		return "", errors.New("no password was given; nothing was changed")
	}
}

// silence keeps a terminal from showing what is typed, until restore is called. It is
// done before the prompt, so that nothing typed is shown and restore is the last word.
func silence(fd int) (restore func() error, err error) {
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, err
	}
	silent := *before
	silent.Lflag &^= unix.ECHO
	silent.Lflag |= unix.ICANON | unix.ISIG
	silent.Iflag |= unix.ICRNL
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &silent); err != nil {
		return nil, err
	}
	return func() error { return unix.IoctlSetTermios(fd, unix.TCSETS, before) }, nil
}

// readTyped reads one line of a terminal. It takes nothing that comes after it.
func readTyped(terminal io.Reader) (string, error) {
	var line []byte
	for b := make([]byte, 1); len(line) <= longestPassword; {
		n, err := terminal.Read(b)
		switch {
		case n == 1 && b[0] == '\n':
			return string(line), nil
		case n == 1:
			line = append(line, b[0])
		case err == io.EOF && len(line) > 0: // Ctrl-D behind the last character
			return string(line), nil
		case err != nil:
			return "", err
		}
	}
	return "", errors.New("it is too long")
}
