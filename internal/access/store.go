package access

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"time"

	"fairlead/internal/model"
)

// ErrWrong means that there is no such user, or that the password is another.
// Nobody is told which.
var ErrWrong = errors.New("the name or the password is wrong")

// Store holds the users and the tokens of one state directory, and the sessions of
// this process. Its methods may be called by several goroutines at once.
type Store struct {
	file     file
	sessions sessions
	throttle *throttle
	press    *press
	decoy    hashed // what unknown users' passwords are compared with: it takes as long
}

// Open returns the store of a state directory. Nothing is made there before the
// first user is added; a file that cannot be read is told by each use, so that
// it can be repaired while the daemon runs.
func Open(dir string) (*Store, error) {
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return nil, fmt.Errorf("open the state directory %s: it is a file", dir)
	}
	return &Store{
		file:     file{dir: dir},
		sessions: sessions{all: map[[sha256.Size]byte]session{}},
		throttle: newThrottle(),
		press:    newPress(),
		decoy:    hashed{cost: today, salt: make([]byte, saltSize), key: make([]byte, keySize)},
	}, nil
}

// Users lists the users by name.
func (s *Store) Users() ([]User, error) {
	have, err := s.file.accounts()
	users := make([]User, len(have.Users))
	for i, u := range have.Users {
		users[i] = u.User
	}
	return users, err
}

// Tokens lists the tokens by name, without their secrets, which nobody knows.
func (s *Store) Tokens() ([]Token, error) {
	have, err := s.file.accounts()
	tokens := make([]Token, len(have.Tokens))
	for i, t := range have.Tokens {
		tokens[i] = t.Token
	}
	return tokens, err
}

// Add makes a user.
func (s *Store) Add(name string, role model.Role, password string) error {
	if err := cmp.Or(CheckName(name), checkRole(role), CheckPassword(name, password)); err != nil {
		return err
	}
	u := account{User: User{name, role, now()}, ID: newSecret(), Password: newHash(password)}
	return s.file.change(true, func(a *accounts) error {
		if err := a.free(name); err != nil {
			return err
		}
		a.Users = append(a.Users, u)
		return nil
	})
}

// SetPassword gives a user another password. The user's sessions end.
func (s *Store) SetPassword(name, password string) error {
	if err := CheckPassword(name, password); err != nil {
		return err
	}
	hash := newHash(password)
	return s.edit(true, name, func(u *account) {
		u.Since, u.ID, u.Password = now(), newSecret(), hash
	})
}

// SetRole gives a user another role, in the sessions that there are, too.
func (s *Store) SetRole(name string, role model.Role) error {
	if err := checkRole(role); err != nil {
		return err
	}
	return s.edit(true, name, func(u *account) { u.Role = role })
}

func (s *Store) edit(wait bool, name string, edit func(*account)) error {
	return s.file.change(wait, func(a *accounts) error {
		i := slices.IndexFunc(a.Users, func(u account) bool { return u.Name == name })
		if i < 0 {
			return fmt.Errorf("there is no user %q; see `fairlead user list`", name)
		}
		edit(&a.Users[i])
		return nil
	})
}

// Remove removes a user. The user's sessions end.
func (s *Store) Remove(name string) error {
	return s.file.change(true, func(a *accounts) error {
		rest := slices.DeleteFunc(slices.Clone(a.Users), func(u account) bool { return u.Name == name })
		if len(rest) == len(a.Users) {
			return fmt.Errorf("there is no user %q; see `fairlead user list`", name)
		}
		a.Users = rest
		return nil
	})
}

// AddToken makes a token. Its secret is told this once.
func (s *Store) AddToken(name string, role model.Role) (secret string, err error) {
	if err := cmp.Or(CheckName(name), checkRole(role)); err != nil {
		return "", err
	}
	secret = tokenPrefix + newSecret()
	sum := sha256.Sum256([]byte(secret))
	t := key{Token{name, role, now()}, hex.EncodeToString(sum[:])}
	err = s.file.change(true, func(a *accounts) error {
		if err := a.free(name); err != nil {
			return err
		}
		a.Tokens = append(a.Tokens, t)
		return nil
	})
	if err != nil {
		return "", err
	}
	return secret, nil
}

// RemoveToken removes a token.
func (s *Store) RemoveToken(name string) error {
	return s.file.change(true, func(a *accounts) error {
		rest := slices.DeleteFunc(slices.Clone(a.Tokens), func(t key) bool { return t.Name == name })
		if len(rest) == len(a.Tokens) {
			return fmt.Errorf("there is no token %q; see `fairlead token list`", name)
		}
		a.Tokens = rest
		return nil
	})
}

// Login begins a session. The errors are ErrWrong, a *Throttled, ErrBusy, and
// ErrUnreadable with its cause.
func (s *Store) Login(ctx context.Context, name, password string, from netip.Addr) (Session, error) {
	have, err := s.file.accounts()
	if err != nil {
		return Session{}, err
	}
	if CheckName(name) != nil || len(password) > mostPassword {
		name, password = "", "" // nobody's: they share one count
	}
	who := acquaintance{name, neighbourhood(from)}
	if wait := s.throttle.admit(who, time.Now()); wait > 0 {
		return Session{}, &Throttled{wait}
	}
	end := abandoned
	defer func() { s.throttle.settle(who, end, time.Now()) }()
	u, known := have.user(name)
	hash := s.decoy
	if known {
		hash = u.Password
	}
	same, err := s.press.matches(ctx, hash, password)
	if err != nil {
		return Session{}, err
	}
	if !same || !known {
		end = wrong
		return Session{}, ErrWrong
	}
	end = right
	s.renew(u, password)
	return s.sessions.begin(u, time.Now()), nil
}

// renew stores a password's hash at today's cost, as well as it can: the old one
// is good as long as it stands, and a disk that is full keeps nobody out.
func (s *Store) renew(u account, password string) {
	if u.Password.cost == today {
		return
	}
	hash := newHash(password)
	_ = s.edit(false, u.Name, func(now *account) {
		if now.ID == u.ID {
			now.Password = hash
		}
	})
}

// Session finds the session of a cookie, and notes that it was used. The role is
// the user's present one.
func (s *Store) Session(cookie string) (Session, bool) {
	have, err := s.file.accounts()
	if err != nil {
		return Session{}, false
	}
	return s.sessions.use(cookie, have, time.Now())
}

// End ends the session of a cookie.
func (s *Store) End(cookie string) { s.sessions.end(cookie) }

// Token tells whose a token's secret is.
func (s *Store) Token(secret string) (model.Actor, bool) {
	have, err := s.file.accounts()
	if err != nil {
		return model.Actor{}, false
	}
	t, ok := have.token(secret)
	return model.Actor{Name: t.Name, Role: t.Role}, ok
}

// now is the time as the file keeps it.
func now() time.Time { return time.Now().UTC().Truncate(time.Second) }
