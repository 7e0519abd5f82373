package access

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"sync"
	"time"

	"fairlead/internal/model"
)

const (
	idleTime     = 30 * time.Minute // without a request
	sessionTime  = 12 * time.Hour   // at most
	mostSessions = 512
	mostOfOne    = 16 // sessions of one user
	secretSize   = 32 // bytes
)

// Session is what somebody who is logged in has.
type Session struct {
	Cookie string // the secret that the browser keeps; only Login tells it
	CSRF   string // what its own pages prove with that a request is theirs
	Name   string
	Role   model.Role
}

// session is what is kept of one. The cookie itself is not.
type session struct {
	name, id    string // of the user, and of the password
	csrf        string
	began, used time.Time
}

// sessions are kept in memory: they end with the daemon.
type sessions struct {
	mu  sync.Mutex // guards the following
	all map[[sha256.Size]byte]session
}

func newSecret() string {
	secret := make([]byte, secretSize)
	rand.Read(secret) // never fails
	return base64.RawURLEncoding.EncodeToString(secret)
}

func (s session) over(now time.Time) bool {
	return now.Sub(s.used) >= idleTime || now.Sub(s.began) >= sessionTime
}

// begin makes a session. When there are too many, the one that was not used for
// longest gives way: of the same user, or of all.
func (s *sessions) begin(u account, now time.Time) Session {
	cookie := newSecret()
	fresh := session{name: u.Name, id: u.ID, csrf: newSecret(), began: now, used: now}
	s.mu.Lock()
	defer s.mu.Unlock()
	own := 0
	for k, v := range s.all {
		if v.over(now) {
			delete(s.all, k)
		} else if v.name == u.Name {
			own++
		}
	}
	if own >= mostOfOne || len(s.all) >= mostSessions {
		drop(s.all, func(a, b session) bool {
			if own >= mostOfOne && (a.name == u.Name) != (b.name == u.Name) {
				return a.name == u.Name
			}
			return a.used.Before(b.used)
		})
	}
	s.all[sha256.Sum256([]byte(cookie))] = fresh
	return Session{Cookie: cookie, CSRF: fresh.csrf, Name: u.Name, Role: u.Role}
}

// use finds a session that is still good, and notes that it was used.
func (s *sessions) use(cookie string, have accounts, now time.Time) (Session, bool) {
	k := sha256.Sum256([]byte(cookie))
	s.mu.Lock()
	defer s.mu.Unlock()
	found, there := s.all[k]
	if !there {
		return Session{}, false
	}
	u, known := have.user(found.name)
	if found.over(now) || !known || u.ID != found.id {
		delete(s.all, k)
		return Session{}, false
	}
	found.used = now
	s.all[k] = found
	return Session{CSRF: found.csrf, Name: u.Name, Role: u.Role}, true
}

func (s *sessions) end(cookie string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, sha256.Sum256([]byte(cookie)))
}
