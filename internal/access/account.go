package access

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"fairlead/internal/model"
)

const (
	format       = "fairlead-users-1"
	maxName      = 64
	maxAccounts  = 1000 // users, and tokens
	tokenPrefix  = "fairlead_"
	minPassword  = 10   // characters
	mostPassword = 1024 // bytes
)

// User is somebody with a password.
type User struct {
	Name  string     `json:"name"`
	Role  model.Role `json:"role"`
	Since time.Time  `json:"since"` // of the present password
}

// Token is a programme's way in.
type Token struct {
	Name  string     `json:"name"`
	Role  model.Role `json:"role"`
	Since time.Time  `json:"since"`
}

// account is a user as the file holds it.
type account struct {
	User
	ID       string `json:"id"` // another one with each password: sessions are of it
	Password hashed `json:"password"`
}

// key is a token as the file holds it.
type key struct {
	Token
	SHA256 string `json:"sha256"` // of the secret, in hexadecimal
}

// accounts is the whole file. It is never changed once it is read.
type accounts struct {
	Format string    `json:"format"`
	Users  []account `json:"users"`  // by name
	Tokens []key     `json:"tokens"` // by name
}

func encode(a accounts) ([]byte, error) {
	a.Format = format
	slices.SortFunc(a.Users, func(x, y account) int { return cmp.Compare(x.Name, y.Name) })
	slices.SortFunc(a.Tokens, func(x, y key) int { return cmp.Compare(x.Name, y.Name) })
	text, err := json.MarshalIndent(a, "", "  ")
	return append(text, '\n'), err
}

// decode refuses everything that encode would not have written.
func decode(text []byte) (accounts, error) {
	var a accounts
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&a); err != nil {
		return accounts{}, fmt.Errorf("it is torn or was not written by Fairlead (%w)", err)
	}
	if d.More() {
		return accounts{}, errors.New("it goes on after its end")
	}
	if a.Format != format {
		return accounts{}, fmt.Errorf("its format is %q, and this version knows %q only", a.Format, format)
	}
	return a, a.check()
}

func (a accounts) check() error {
	if len(a.Users) > maxAccounts || len(a.Tokens) > maxAccounts {
		return fmt.Errorf("it has more than %d users or tokens", maxAccounts)
	}
	seen := map[string]bool{}
	one := func(name string, role model.Role) error {
		if err := errors.Join(CheckName(name), checkRole(role)); err != nil {
			return err
		}
		if seen[name] {
			return fmt.Errorf("%s is in it twice", name)
		}
		seen[name] = true
		return nil
	}
	for _, u := range a.Users {
		if err := one(u.Name, u.Role); err != nil {
			return err
		}
		if u.ID == "" || len(u.Password.key) == 0 {
			return fmt.Errorf("the user %s has no password", u.Name)
		}
	}
	for _, t := range a.Tokens {
		if err := one(t.Name, t.Role); err != nil {
			return err
		}
		if sum, err := hex.DecodeString(t.SHA256); err != nil || len(sum) != sha256.Size {
			return fmt.Errorf("the token %s has no SHA-256", t.Name)
		}
	}
	return nil
}

// CheckName tells what is wrong with a name of a user or a token.
func CheckName(name string) error {
	if name == "" || len(name) > maxName {
		return fmt.Errorf("the name %.*q must have 1 to %d characters", maxName, name, maxName)
	}
	for i, c := range []byte(name) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && (i == 0 || !strings.ContainsRune("._@-", rune(c))) {
			return fmt.Errorf("the name %q may have letters, digits and . _ @ - only, and begins with a letter or a digit", name)
		}
	}
	return nil
}

// CheckPassword tells what is wrong with a new password.
func CheckPassword(name, password string) error {
	switch {
	case len([]rune(password)) < minPassword:
		return fmt.Errorf("the password must have at least %d characters", minPassword)
	case len(password) > mostPassword:
		return fmt.Errorf("the password must have at most %d bytes", mostPassword)
	case strings.EqualFold(password, name):
		return errors.New("the password must not be the name")
	case strings.Count(password, password[:1]) == len(password):
		return errors.New("the password must not be one character repeated")
	}
	return nil
}

func checkRole(role model.Role) error {
	if role < model.RoleViewer || role > model.RoleAdmin {
		return fmt.Errorf("the role %q must be viewer, operator or admin", role)
	}
	return nil
}

func (a accounts) user(name string) (account, bool) {
	i := slices.IndexFunc(a.Users, func(u account) bool { return u.Name == name })
	if i < 0 {
		return account{}, false
	}
	return a.Users[i], true
}

// token finds the token of a secret. The time that it takes tells nothing of the
// secrets that there are.
func (a accounts) token(secret string) (key, bool) {
	sum := sha256.Sum256([]byte(secret))
	sought := []byte(hex.EncodeToString(sum[:]))
	found := -1
	for i, t := range a.Tokens {
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(sought, []byte(t.SHA256)), i, found)
	}
	if found < 0 {
		return key{}, false
	}
	return a.Tokens[found], true
}

// free tells whether a name may be given: the journal names users and tokens
// alike, so they share their names.
func (a accounts) free(name string) error {
	if _, taken := a.user(name); taken {
		return fmt.Errorf("there is a user %s already", name)
	}
	if slices.ContainsFunc(a.Tokens, func(t key) bool { return t.Name == name }) {
		return fmt.Errorf("there is a token %s already", name)
	}
	return nil
}
