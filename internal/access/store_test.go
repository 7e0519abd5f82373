package access

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fairlead/internal/model"
)

const good = "correct horse battery"

var here = netip.MustParseAddr("192.0.2.1")

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// with returns a store with the admin anna.
func with(t *testing.T) *Store {
	t.Helper()
	s := open(t, filepath.Join(t.TempDir(), "state"))
	ok(t, s.Add("anna", model.RoleAdmin, good))
	return s
}

func login(t *testing.T, s *Store, name, password string) Session {
	t.Helper()
	session, err := s.Login(t.Context(), name, password, here)
	ok(t, err)
	return session
}

func TestLogin(t *testing.T) {
	s := with(t)
	session := login(t, s, "anna", good)
	if session.Name != "anna" || session.Role != model.RoleAdmin || len(session.Cookie) < 43 || len(session.CSRF) < 43 || session.CSRF == session.Cookie {
		t.Errorf("got %+v", session)
	}
	got, valid := s.Session(session.Cookie)
	if want := (Session{CSRF: session.CSRF, Name: "anna", Role: model.RoleAdmin}); !valid || got != want {
		t.Errorf("got %+v, %t, want %+v", got, valid, want)
	}
	if again := login(t, s, "anna", good); again.Cookie == session.Cookie || again.CSRF == session.CSRF {
		t.Error("two logins share a secret")
	}
	s.End(session.Cookie)
	if _, valid := s.Session(session.Cookie); valid {
		t.Error("the session goes on after its end")
	}
	for _, tt := range [][2]string{{"anna", "wrong password"}, {"anna", ""}, {"bert", good}, {"", ""}, {"anna\n", good}, {"Anna", good}, {"anna", strings.Repeat("x", mostPassword+1)}} {
		s := open(t, s.file.dir) // nothing failed there yet
		if got, err := s.Login(t.Context(), tt[0], tt[1], here); !errors.Is(err, ErrWrong) || got != (Session{}) {
			t.Errorf("%.30q: got %+v, %v", tt, got, err)
		}
	}
	for _, cookie := range []string{"", "x", session.CSRF} {
		if _, valid := s.Session(cookie); valid {
			t.Errorf("the cookie %q is good", cookie)
		}
	}
}

func TestWhatTheFileHolds(t *testing.T) {
	s := with(t)
	secret, err := s.AddToken("prometheus", model.RoleViewer)
	ok(t, err)
	text, err := os.ReadFile(s.file.path(fileName))
	ok(t, err)
	for _, hidden := range []string{good, secret, strings.TrimPrefix(secret, tokenPrefix)} {
		if strings.Contains(string(text), hidden) {
			t.Errorf("%q is in the file", hidden)
		}
	}
	if !strings.Contains(string(text), "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("the hash does not say how it was made: %s", text)
	}
	entries, err := os.ReadDir(s.file.dir)
	ok(t, err)
	for _, e := range entries {
		info, err := e.Info()
		ok(t, err)
		if info.Mode() != 0o600 || e.Name() != fileName && e.Name() != lockName {
			t.Errorf("%s has mode %v", e.Name(), info.Mode())
		}
	}
	if info, err := os.Stat(s.file.dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory: %v, %v", info.Mode(), err)
	}
}

func TestNamesAndPasswords(t *testing.T) {
	s := with(t)
	_, err := s.AddToken("robot", model.RoleViewer)
	ok(t, err)
	before, err := os.ReadFile(s.file.path(fileName))
	ok(t, err)
	for _, tt := range []struct {
		name, password string
		role           model.Role
		want           string
	}{
		{"anna", good, model.RoleViewer, "there is a user anna already"},
		{"robot", good, model.RoleViewer, "there is a token robot already"},
		{"", good, model.RoleViewer, "1 to 64 characters"},
		{strings.Repeat("x", 65), good, model.RoleViewer, "1 to 64 characters"},
		{"a b", good, model.RoleViewer, "letters, digits"},
		{"a\r\nX: y", good, model.RoleViewer, "letters, digits"},
		{"-rf", good, model.RoleViewer, "begins with a letter"},
		{"bérénice", good, model.RoleViewer, "letters, digits"},
		{"bert", "short", model.RoleViewer, "at least 10"},
		{"bert", strings.Repeat("xy", 600), model.RoleViewer, "at most 1024"},
		{"bertbertbert", "BertBertBert", model.RoleViewer, "must not be the name"},
		{"bert", "aaaaaaaaaaaa", model.RoleViewer, "one character repeated"},
		{"bert", good, model.RoleNone, "viewer, operator or admin"},
		{"bert", good, 9, "viewer, operator or admin"},
	} {
		if err := s.Add(tt.name, tt.role, tt.password); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.20q %.20q: got %v, want %s", tt.name, tt.password, err, tt.want)
		}
	}
	for what, err := range map[string]error{
		"there is no user":          s.Remove("bert"),
		"there is no user \"bert\"": s.SetRole("bert", model.RoleViewer),
		"no user \"bert\"":          s.SetPassword("bert", good),
		"there is no token":         s.RemoveToken("anna"),
		"viewer, operator":          s.SetRole("anna", model.RoleNone),
		"at least 10 characters":    s.SetPassword("anna", "x"),
	} {
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("got %v, want %s", err, what)
		}
	}
	if _, err := s.AddToken("anna", model.RoleViewer); err == nil {
		t.Error("a token got the name of a user")
	}
	if after, err := os.ReadFile(s.file.path(fileName)); err != nil || string(after) != string(before) {
		t.Errorf("what was refused changed the file: %s, %v", after, err)
	}
}

func TestToken(t *testing.T) {
	s := with(t)
	secret, err := s.AddToken("prometheus", model.RoleViewer)
	ok(t, err)
	_, err = s.AddToken("other", model.RoleAdmin)
	ok(t, err)
	if got, valid := s.Token(secret); !valid || got != (model.Actor{Name: "prometheus", Role: model.RoleViewer}) {
		t.Errorf("got %+v, %t", got, valid)
	}
	for _, other := range []string{"", secret + "x", secret[:len(secret)-1], strings.ToUpper(secret), good} {
		if got, valid := s.Token(other); valid || got != (model.Actor{}) {
			t.Errorf("%q: got %+v, %t", other, got, valid)
		}
	}
	tokens, err := s.Tokens()
	if err != nil || len(tokens) != 2 || tokens[0].Name != "other" {
		t.Errorf("got %+v, %v", tokens, err)
	}
	ok(t, open(t, s.file.dir).RemoveToken("prometheus"))
	if _, valid := s.Token(secret); valid {
		t.Error("a token that another process removed is good")
	}
}

// TestOtherProcess: what another process changes holds at the next use, many
// times within one tick of the file system's clock.
func TestOtherProcess(t *testing.T) {
	s := with(t)
	other := open(t, s.file.dir)
	session := login(t, s, "anna", good)
	for i := range 60 {
		for _, role := range []model.Role{model.RoleViewer, model.RoleOperator} {
			ok(t, other.SetRole("anna", role))
			if got, valid := s.Session(session.Cookie); !valid || got.Role != role {
				t.Fatalf("%d: got %+v, %t, want %v", i, got, valid, role)
			}
		}
	}
	ok(t, other.Remove("anna"))
	if _, valid := s.Session(session.Cookie); valid {
		t.Error("the session of a removed user goes on")
	}
	ok(t, other.Add("anna", model.RoleAdmin, good))
	if _, valid := s.Session(session.Cookie); valid {
		t.Error("a new user of the same name has the session of the old one")
	}
	session = login(t, s, "anna", good)
	ok(t, other.SetPassword("anna", "another long one"))
	if _, valid := s.Session(session.Cookie); valid {
		t.Error("the session goes on with another password")
	}
	login(t, s, "anna", "another long one")
	if users, err := s.Users(); err != nil || len(users) != 1 || users[0].Name != "anna" {
		t.Errorf("got %+v, %v", users, err)
	}
}

// TestUnchangedFileIsNotRead: a look at a file that is old enough is all.
func TestUnchangedFileIsNotRead(t *testing.T) {
	s := with(t)
	past := time.Now().Add(-time.Hour)
	ok(t, os.Chtimes(s.file.path(fileName), past, past))
	if _, err := s.Users(); err != nil {
		t.Fatal(err)
	}
	read := s.file.read
	if _, err := s.Users(); err != nil || s.file.read != read {
		t.Errorf("read again at %v, %v", s.file.read, err)
	}
	ok(t, os.Chmod(s.file.path(fileName), 0o644))
	if _, err := s.Users(); !errors.Is(err, ErrUnreadable) {
		t.Errorf("with another mode: got %v", err)
	}
}

// TestTwoAtOnce: nothing is lost when several processes add at the same time.
func TestTwoAtOnce(t *testing.T) {
	s := with(t)
	var group sync.WaitGroup
	var want []string
	for i := range 4 {
		other := open(t, s.file.dir)
		for j := range 12 {
			want = append(want, fmt.Sprintf("t%d-%02d", i, j))
		}
		group.Go(func() {
			for j := range 12 {
				if _, err := other.AddToken(fmt.Sprintf("t%d-%02d", i, j), model.RoleViewer); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	tokens, err := s.Tokens()
	ok(t, err)
	var got []string
	for _, token := range tokens {
		got = append(got, token.Name)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSessionsEnd(t *testing.T) {
	dir := with(t).file.dir
	synctest.Test(t, func(t *testing.T) {
		s := open(t, dir)
		idle := login(t, s, "anna", good)
		time.Sleep(idleTime - time.Second)
		if _, valid := s.Session(idle.Cookie); !valid {
			t.Error("ended too early")
		}
		time.Sleep(idleTime)
		if _, valid := s.Session(idle.Cookie); valid {
			t.Error("idle for half an hour, and goes on")
		}
		busy := login(t, s, "anna", good)
		for range 12*4 - 1 {
			time.Sleep(15 * time.Minute)
			if _, valid := s.Session(busy.Cookie); !valid {
				t.Fatal("ended too early")
			}
		}
		time.Sleep(15 * time.Minute)
		if _, valid := s.Session(busy.Cookie); valid {
			t.Error("goes on after 12 hours")
		}
	})
}

func TestSessionsAreBounded(t *testing.T) {
	s := with(t)
	have, err := s.file.accounts()
	ok(t, err)
	anna := have.Users[0]
	at := time.Now()
	first := s.sessions.begin(anna, at)
	for i := range mostOfOne {
		if i == mostOfOne-1 { // use keeps a session
			s.sessions.use(first.Cookie, have, at.Add(time.Hour/2-1))
		}
		s.sessions.begin(anna, at.Add(time.Duration(i)*time.Second))
	}
	if _, valid := s.sessions.use(first.Cookie, have, at.Add(time.Hour/2)); !valid || len(s.sessions.all) != mostOfOne {
		t.Errorf("%d sessions of one user; the one that was used last is there: %t", len(s.sessions.all), valid)
	}
	for i := range 2 * mostSessions {
		u := anna
		u.Name = fmt.Sprint("u", i)
		s.sessions.begin(u, at.Add(time.Minute))
	}
	if len(s.sessions.all) != mostSessions {
		t.Errorf("%d sessions", len(s.sessions.all))
	}
	s.sessions.begin(anna, at.Add(24*time.Hour))
	if len(s.sessions.all) != 1 {
		t.Errorf("%d sessions, all but one of yesterday", len(s.sessions.all))
	}
}

func TestHashIsRenewed(t *testing.T) {
	s := with(t)
	weak := hashed{cost: cost{memory: 64, passes: 1, lanes: 1}, salt: make([]byte, saltSize)}
	weak.key = weak.compute(good)
	ok(t, s.edit(true, "anna", func(u *account) { u.Password = weak }))
	session := login(t, s, "anna", good)
	have, err := s.file.accounts()
	ok(t, err)
	if got := have.Users[0].Password.cost; got != today {
		t.Errorf("got %+v", got)
	}
	if _, valid := s.Session(session.Cookie); !valid {
		t.Error("the session ended")
	}
	login(t, s, "anna", good)
	if _, err := s.Login(context.Background(), "anna", "wrong password", here); !errors.Is(err, ErrWrong) {
		t.Errorf("got %v", err)
	}
}

// TestEditInPlace: a file that is written over has the same inode, and often the
// same size and times.
func TestEditInPlace(t *testing.T) {
	s := with(t)
	_, err := s.AddToken("robot-0", model.RoleViewer)
	ok(t, err)
	text, err := os.ReadFile(s.file.path(fileName))
	ok(t, err)
	for i := range 300 {
		want := fmt.Sprint("robot-", i%10)
		ok(t, os.WriteFile(s.file.path(fileName), []byte(strings.Replace(string(text), "robot-0", want, 1)), 0o600))
		if tokens, err := s.Tokens(); err != nil || tokens[0].Name != want {
			t.Fatalf("%d: got %+v, %v, want %s", i, tokens, err, want)
		}
	}
}
