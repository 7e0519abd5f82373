package notify

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"unicode"

	"fairlead/internal/model"
)

// longestSecret bounds a token or a password, in bytes.
const longestSecret = 8 << 10

// readSecret reads a token or a password: the first line of a file. It is read for
// every try, so that it can be changed without a reload.
func readSecret(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read the secret of the target: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return "", fmt.Errorf("read the secret of the target: %w", err)
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("read the secret of the target: %s is not a file", path)
	case info.Mode().Perm()&0o007 != 0:
		return "", fmt.Errorf("read the secret of the target: everybody on this machine may read or write %s: run chmod 600 on it", path)
	}
	b, err := io.ReadAll(io.LimitReader(f, longestSecret+1))
	if err != nil {
		return "", fmt.Errorf("read the secret of the target: %w", err)
	}
	secret := strings.TrimSpace(string(b))
	switch {
	case secret == "":
		return "", fmt.Errorf("read the secret of the target: %s is empty", path)
	case len(b) > longestSecret || strings.ContainsFunc(secret, unicode.IsControl):
		return "", fmt.Errorf("read the secret of the target: %s has more than one line, or characters that no token has", path)
	}
	return secret, nil
}

// conceal makes an error that may be shown: libraries put whole URLs into theirs,
// and servers repeat what they were sent.
func conceal(err error, t model.Target) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	for _, s := range secrets(t) {
		text = strings.ReplaceAll(text, s, "***")
	}
	if text == err.Error() {
		return err
	}
	if errors.Is(err, errRefused) {
		return concealed{text, errRefused}
	}
	return concealed{text, nil}
}

// concealed is the text of an error, without its chain: that has the secrets.
type concealed struct {
	text string
	is   error
}

func (c concealed) Error() string { return c.text }
func (c concealed) Unwrap() error { return c.is }

// secrets are what must not be shown of a target, the longest first.
func secrets(t model.Target) []string {
	var all []string
	add := func(s string) {
		if len(s) > 3 { // what is shorter is part of any text, and no secret
			all = append(all, s)
		}
	}
	if t.Kind == model.TargetWebhook {
		add(t.To)
		if u, err := url.Parse(t.To); err == nil {
			add(u.RequestURI())
			add(u.EscapedPath())
			add(u.Path)
			add(u.RawQuery)
			add(u.User.String())
			for part := range strings.SplitSeq(u.EscapedPath(), "/") {
				if len(part) > 7 {
					add(part)
				}
			}
			for _, values := range u.Query() {
				for _, v := range values {
					add(v)
				}
			}
		}
	}
	if t.SecretFile == "" {
		return all
	}
	if secret, err := readSecret(t.SecretFile); err == nil {
		add(secret)
		add(base64.StdEncoding.EncodeToString([]byte(secret)))
		add(base64.StdEncoding.EncodeToString([]byte("\x00" + t.User + "\x00" + secret)))
	}
	return all
}
