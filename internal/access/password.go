package access

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/argon2"
	"golang.org/x/time/rate"
)

// cost says how much work a password's hash is.
type cost struct {
	memory uint32 // KiB
	passes uint32
	lanes  uint8
}

// today is the cost of new hashes: one of those that OWASP recommends. Higher
// ones of the file are refused past most, for they would stop the machine.
var (
	today = cost{memory: 19 << 10, passes: 2, lanes: 1}
	most  = cost{memory: 256 << 10, passes: 16, lanes: 8}
)

const (
	saltSize = 16
	keySize  = 32
)

// hashed is the argon2id hash of a password, with how it was made.
type hashed struct {
	cost
	salt, key []byte
}

func newHash(password string) hashed {
	h := hashed{cost: today, salt: make([]byte, saltSize)}
	rand.Read(h.salt) // never fails
	h.key = h.compute(password)
	return h
}

func (h hashed) compute(password string) []byte {
	return argon2.IDKey([]byte(password), h.salt, h.passes, h.memory, h.lanes, keySize)
}

func (h hashed) matches(password string) bool {
	return subtle.ConstantTimeCompare(h.compute(password), h.key) == 1
}

// The form is the usual one of the reference implementation of argon2.
const phc = "$argon2id$v=%d$m=%d,t=%d,p=%d$%s"

func (h hashed) MarshalText() ([]byte, error) {
	both := base64.RawStdEncoding.EncodeToString(h.salt) + "$" + base64.RawStdEncoding.EncodeToString(h.key)
	return fmt.Appendf(nil, phc, argon2.Version, h.memory, h.passes, h.lanes, both), nil
}

func (h *hashed) UnmarshalText(text []byte) error {
	var version int
	var both string
	var c cost
	if _, err := fmt.Sscanf(string(text), phc, &version, &c.memory, &c.passes, &c.lanes, &both); err != nil || version != argon2.Version {
		return errors.New("a password is not hashed with argon2id")
	}
	if c.memory < 8 || c.passes < 1 || c.lanes < 1 || c.memory > most.memory || c.passes > most.passes || c.lanes > most.lanes {
		return fmt.Errorf("a password's hash costs m=%d,t=%d,p=%d, which is out of bounds", c.memory, c.passes, c.lanes)
	}
	if len(both) != base64.RawStdEncoding.EncodedLen(saltSize)+1+base64.RawStdEncoding.EncodedLen(keySize) {
		return errors.New("a password's hash has the wrong length")
	}
	at := base64.RawStdEncoding.EncodedLen(saltSize)
	salt, err := base64.RawStdEncoding.DecodeString(both[:at])
	key, err2 := base64.RawStdEncoding.DecodeString(both[at+1:])
	if err := errors.Join(err, err2); err != nil || both[at] != '$' {
		return errors.New("a password's hash is not in base64")
	}
	*h = hashed{c, salt, key}
	return nil
}

const (
	atOnce    = 2               // hashes computed at the same time
	waiting   = 16              // logins that wait for their turn, those under way included
	perSecond = 4               // hashes, in the long run
	burst     = 8               // hashes, at once after a pause
	longest   = 8 * time.Second // that a login waits
)

// ErrBusy means that more people log in than hashes are computed.
var ErrBusy = errors.New("too many people log in at the moment: try again in a few seconds")

// A press computes hashes, few at a time: each takes 19 MiB and tens of
// milliseconds, and a switch needs the processor more than a guesser does.
type press struct {
	queue    chan struct{} // holds a token for each login inside
	slots    chan struct{} // holds a token for each that computes
	pace     *rate.Limiter
	computed atomic.Uint64
}

func newPress() *press {
	return &press{
		queue: make(chan struct{}, waiting),
		slots: make(chan struct{}, atOnce),
		pace:  rate.NewLimiter(perSecond, burst),
	}
}

// matches waits for its turn and tells whether the password is the hash's.
func (p *press) matches(ctx context.Context, h hashed, password string) (bool, error) {
	select {
	case p.queue <- struct{}{}:
	default:
		return false, ErrBusy
	}
	defer func() { <-p.queue }()
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	if err := p.pace.Wait(ctx); err != nil {
		return false, ErrBusy
	}
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return false, ErrBusy
	}
	defer func() { <-p.slots }()
	p.computed.Add(1)
	return h.matches(password), nil
}
