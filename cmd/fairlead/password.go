package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

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
func ask(ctx context.Context, in *os.File, out io.Writer, prompt string) (string, error) {
	before, err := term.GetState(int(in.Fd()))
	if err != nil {
		return "", fmt.Errorf("ask for the password: %w", err)
	}
	fmt.Fprint(out, prompt)
	type line struct {
		text []byte
		err  error
	}
	lines := make(chan line, 1)
	go func() { // left behind when ctx ends: nothing else ends a read, but the process ends soon
		text, err := term.ReadPassword(int(in.Fd()))
		lines <- line{text, err}
	}()
	select {
	case l := <-lines:
		fmt.Fprintln(out)
		if l.err != nil {
			return "", fmt.Errorf("ask for the password: %w", l.err)
		}
		return string(l.text), nil
	case <-ctx.Done():
		fmt.Fprintln(out)
		return "", errors.Join(errors.New("no password was given; nothing was changed"), term.Restore(int(in.Fd()), before))
	}
}
