package access

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"fairlead/internal/model"
)

// held is what the file holds, "" when it is none.
func held(s *Store) string {
	if info, err := os.Lstat(s.file.path(fileName)); err != nil || !info.Mode().IsRegular() {
		return ""
	}
	text, _ := os.ReadFile(s.file.path(fileName))
	return string(text)
}

// refuses holds that nobody gets in, that the words tell why, and that nothing is
// written.
func refuses(t *testing.T, s *Store, secret, cookie, want string) {
	t.Helper()
	before := held(s)
	_, users := s.Users()
	_, tokens := s.Tokens()
	_, in := s.Login(t.Context(), "anna", good, here)
	_, token := s.AddToken("new", model.RoleViewer)
	for what, err := range map[string]error{
		"users": users, "tokens": tokens, "login": in, "token add": token,
		"add":    s.Add("bert", model.RoleAdmin, good),
		"remove": s.Remove("anna"),
	} {
		if !errors.Is(err, ErrUnreadable) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), fileName) {
			t.Errorf("%s: got %v, want %s", what, err, want)
		}
	}
	if _, valid := s.Token(secret); valid {
		t.Error("a token is good")
	}
	if _, valid := s.Session(cookie); valid {
		t.Error("a session is good")
	}
	if after := held(s); after != before {
		t.Errorf("the file was changed to %s", after)
	}
}

func TestUnreadableFile(t *testing.T) {
	s := with(t)
	secret, err := s.AddToken("robot", model.RoleViewer)
	ok(t, err)
	session := login(t, s, "anna", good)
	path := s.file.path(fileName)
	whole, err := os.ReadFile(path)
	ok(t, err)
	text := string(whole)
	for _, tt := range []struct{ name, text, want string }{
		{"empty", "", "torn"},
		{"zeros", strings.Repeat("\x00", len(text)), "torn"},
		{"half", text[:len(text)/2], "torn"},
		{"foreign", `[]`, "not written by Fairlead"},
		{"another format", strings.Replace(text, format, "fairlead-users-9", 1), "fairlead-users-9"},
		{"an unknown field", strings.Replace(text, `"users"`, `"usrs"`, 1), "usrs"},
		{"two values", text + text, "goes on"},
		{"no role", strings.Replace(text, `"admin"`, `"none"`, 1), "viewer, operator or admin"},
		{"an unknown role", strings.Replace(text, `"admin"`, `"root"`, 1), "root"},
		{"a bad name", strings.Replace(text, `"anna"`, `"a\r\nb"`, 1), "letters, digits"},
		{"twice", strings.Replace(text, `"robot"`, `"anna"`, 1), "twice"},
		{"another hash", strings.Replace(text, "$argon2id$", "$argon2i$", 1), "argon2id"},
		{"a hash that stops the machine", strings.Replace(text, "m=19456", "m=99999999", 1), "out of bounds"},
		{"a short hash", strings.Replace(text, "p=1$", "p=1$A", 1), "wrong length"},
		{"no hash", strings.Replace(text, `"id"`, `"password": "$argon2id$v=19$m=8,t=1,p=1$", "x"`, 1), "argon2id"},
		{"no SHA-256", strings.Replace(text, `"sha256": "`, `"sha256": "zz`, 1), "no SHA-256"},
		{"too large", text + strings.Repeat(" ", mostBytes), "too large"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.text == text {
				t.Fatal("the test changes nothing")
			}
			ok(t, os.WriteFile(path, []byte(tt.text), 0o600))
			refuses(t, s, secret, session.Cookie, tt.want)
		})
	}
	ok(t, os.WriteFile(path, whole, 0o600))
	if _, valid := s.Session(session.Cookie); !valid {
		t.Error("the session is not good after the repair")
	}
	if _, valid := s.Token(secret); !valid {
		t.Error("the token is not good after the repair")
	}
}

// TestEveryTornFile cuts the file at each byte.
func TestEveryTornFile(t *testing.T) {
	s := with(t)
	text, err := os.ReadFile(s.file.path(fileName))
	ok(t, err)
	for n := range len(text) - 1 { // the last byte is a line's end
		if a, err := decode(text[:n]); err == nil {
			t.Errorf("the first %d bytes are read as %+v", n, a)
		}
	}
}

func TestWhatStandsInTheFilesPlace(t *testing.T) {
	for name, tt := range map[string]struct {
		place func(path, kept string) error
		want  string
	}{
		"a link":         {func(path, kept string) error { return os.Symlink(kept, path) }, "is a symbolic link"},
		"a pipe":         {func(path, _ string) error { return unix.Mkfifo(path, 0o600) }, "no regular file"},
		"a directory":    {func(path, _ string) error { return os.Mkdir(path, 0o700) }, "no regular file"},
		"open to others": {func(path, kept string) error { return errors.Join(os.Rename(kept, path), os.Chmod(path, 0o640)) }, "chmod 600"},
	} {
		t.Run(name, func(t *testing.T) {
			s := with(t)
			secret, err := s.AddToken("robot", model.RoleViewer)
			ok(t, err)
			session := login(t, s, "anna", good)
			path := s.file.path(fileName)
			kept := filepath.Join(t.TempDir(), "kept")
			ok(t, os.Rename(path, kept))
			ok(t, tt.place(path, kept))
			refuses(t, s, secret, session.Cookie, tt.want)
		})
	}
}

// TestNoFile: nobody is there, and nothing is made by looking.
func TestNoFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	s := open(t, dir)
	users, err := s.Users()
	if err != nil || len(users) != 0 {
		t.Errorf("got %v, %v", users, err)
	}
	if _, err := s.Login(t.Context(), "anna", good, here); !errors.Is(err, ErrWrong) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory was made: %v", err)
	}
	if _, err := Open(os.Args[0]); err == nil {
		t.Error("a file passes for the state directory")
	}
}

// TestLeftovers: what a crash left is no obstacle, and a write that fails leaves
// the former file whole.
func TestLeftovers(t *testing.T) {
	s := with(t)
	ok(t, os.WriteFile(s.file.path(spareName), []byte("of a crash"), 0o644))
	ok(t, s.Add("bert", model.RoleViewer, good))
	if info, err := os.Stat(s.file.path(fileName)); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	ok(t, os.Mkdir(s.file.path(spareName), 0o700))
	ok(t, os.WriteFile(filepath.Join(s.file.path(spareName), "x"), nil, 0o600))
	if err := s.Add("carl", model.RoleViewer, good); err == nil {
		t.Error("written without a place to write")
	}
	if users, err := s.Users(); err != nil || len(users) != 2 {
		t.Errorf("got %v, %v", users, err)
	}
}
