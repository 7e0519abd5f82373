package api

import (
	"encoding/json"
	"errors"
	"net/http"
)

// Kind is why a request failed. Each has a stable type by which programmes tell
// it, a title and a status code.
type Kind uint8

const (
	KindMalformed Kind = iota // the request itself is wrong
	KindLogin                 // nobody knows who asks
	KindRole                  // who asks may not do this
	KindForbidden             // nobody may do this in this way
	KindNotFound
	KindMethod
	KindSlow
	KindRefused // what was ordered cannot be done now
	KindConflict
	KindTooLarge
	KindInvalid     // the configuration has errors
	KindUnmatched   // If-Match is missing
	KindThrottled   // too many tries
	KindFailed      // it was tried, and failed
	KindUnavailable // too many others do the same
	kindsEnd
)

// kinds is the one table of them.
var kinds = [kindsEnd]struct {
	name   string
	status int
	title  string
}{
	KindMalformed:   {"malformed", http.StatusBadRequest, "The request cannot be understood"},
	KindLogin:       {"login-needed", http.StatusUnauthorized, "Log in first"},
	KindRole:        {"role-needed", http.StatusForbidden, "Your role does not allow this"},
	KindForbidden:   {"not-allowed", http.StatusForbidden, "This is not allowed here"},
	KindNotFound:    {"not-found", http.StatusNotFound, "There is no such thing"},
	KindMethod:      {"method", http.StatusMethodNotAllowed, "The address takes another method"},
	KindSlow:        {"too-slow", http.StatusRequestTimeout, "The request did not arrive in time"},
	KindRefused:     {"refused", http.StatusConflict, "It was not carried out"},
	KindConflict:    {"conflict", http.StatusPreconditionFailed, "Somebody changed it meanwhile"},
	KindTooLarge:    {"too-large", http.StatusRequestEntityTooLarge, "The request is too large"},
	KindInvalid:     {"invalid-configuration", http.StatusUnprocessableEntity, "The configuration was refused"},
	KindUnmatched:   {"if-match-needed", http.StatusPreconditionRequired, "Say what you edited"},
	KindThrottled:   {"too-many-tries", http.StatusTooManyRequests, "Too many tries"},
	KindFailed:      {"failed", http.StatusInternalServerError, "It was tried and failed"},
	KindUnavailable: {"busy", http.StatusServiceUnavailable, "Too many do this at once"},
}

// Kinds lists every kind.
func Kinds() []Kind {
	var all []Kind
	for k := range kindsEnd {
		all = append(all, k)
	}
	return all
}

// Type is the kind in a problem: a URI reference that never changes.
func (k Kind) Type() string { return "/problems/" + kinds[k].name }

// Status is the HTTP status code.
func (k Kind) Status() int { return kinds[k].status }

// Title is the kind in words.
func (k Kind) Title() string { return kinds[k].title }

// New is an error of that kind.
func (k Kind) New(message string) *Error {
	return &Error{Message: message, Type: k.Type(), Title: k.Title(), Status: k.Status()}
}

// Error is a request that failed. Diagnostics are the findings when it was
// refused because of the configuration. Type, Title and Status are set in the
// answer to a request; its JSON is what the command line prints.
type Error struct {
	Message     string       `json:"error"`
	Diagnostics []Diagnostic `json:"diagnostics,omitempty"`
	Type        string       `json:"-"`
	Title       string       `json:"-"`
	Status      int          `json:"-"`
}

func (e *Error) Error() string { return e.Message }

// Is tells what the answer to a request means.
func (e *Error) Is(target error) bool {
	switch target {
	case ErrNotFound:
		return e.Type == KindNotFound.Type()
	case ErrConflict:
		return e.Type == KindConflict.Type()
	case ErrNotAllowed:
		return e.Type == KindForbidden.Type()
	}
	return false
}

// Problem is an Error as it is sent (RFC 9457).
type Problem struct {
	Type        string       `json:"type"`
	Title       string       `json:"title"`
	Status      int          `json:"status"`
	Detail      string       `json:"detail"`
	Diagnostics []Diagnostic `json:"diagnostics,omitempty"`
}

// explained gives an error its kind: the one that it has or means, else this one.
func explained(err error, otherwise Kind) *Error {
	var found *Error
	if errors.As(err, &found) && found.Status != 0 {
		return found
	}
	kind := otherwise
	switch {
	case errors.Is(err, ErrNotFound):
		kind = KindNotFound
	case errors.Is(err, ErrConflict):
		kind = KindConflict
	case errors.Is(err, ErrNotAllowed):
		kind = KindForbidden
	case found != nil && len(found.Diagnostics) > 0:
		kind = KindInvalid
	}
	if found == nil {
		return kind.New(err.Error())
	}
	e := kind.New(found.Message)
	e.Diagnostics = found.Diagnostics
	return e
}

// WriteProblem answers a request that failed: with what err is or wraps, and
// else with that kind.
func WriteProblem(w http.ResponseWriter, kind Kind, err error) {
	e := explained(err, kind)
	body, err := json.Marshal(Problem{Type: e.Type, Title: e.Title, Status: e.Status, Detail: e.Message, Diagnostics: e.Diagnostics})
	if err != nil {
		body = []byte(`{"status":500,"detail":"the answer cannot be written as JSON"}`)
	}
	write(w, e.Status, "application/problem+json", body)
}
