package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	headerTime = 5 * time.Second  // for a request's header, and for a small body
	writeTime  = 10 * time.Second // a client that takes no part of the answer for so long is left
	part       = 64 << 10         // of an answer, bytes: what writeTime is about
)

// A limit bounds the body of a request.
type limit struct {
	bytes int64
	time  time.Duration
}

var (
	small = limit{64 << 10, headerTime}
	large = limit{4 << 20, 30 * time.Second} // of documents
)

// readBody reads a request to its end. Only this has a time limit: the server's
// own one would go on, and end a stream.
func readBody(w http.ResponseWriter, r *http.Request, most limit) ([]byte, error) {
	control := http.NewResponseController(w)
	if err := control.SetReadDeadline(time.Now().Add(most.time)); err != nil {
		return nil, fmt.Errorf("limit the time of the request: %w", err)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most.bytes))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, KindTooLarge.New(fmt.Sprintf("read the request: it is too large; at most %d KiB are taken here", most.bytes>>10))
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, KindSlow.New(fmt.Sprintf("read the request: it did not arrive within %v", most.time))
	case err != nil:
		return nil, fmt.Errorf("read the request: %w", err)
	}
	if err := control.SetReadDeadline(time.Time{}); err != nil {
		return nil, fmt.Errorf("lift the time limit of the request: %w", err)
	}
	return body, nil
}

// decode reads exactly one JSON value without unknown fields.
func decode[T any](body []byte) (T, error) {
	var value T
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&value); err != nil {
		return value, malformed("read the request: %s", unread(err))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return value, malformed("read the request: more than one value")
	}
	return value, nil
}

// unread says what is wrong with JSON, in words that know nothing of Go.
func unread(err error) string {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.Is(err, io.EOF):
		return "it is empty; a JSON object is expected"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "its JSON is cut off"
	case errors.As(err, &syntax):
		return fmt.Sprintf("it is no JSON: %v, at byte %d", syntax, syntax.Offset)
	case errors.As(err, &kind) && kind.Field == "":
		return fmt.Sprintf("a JSON object is expected, not one %s", kind.Value)
	case errors.As(err, &kind):
		return fmt.Sprintf("the field %q cannot hold one %s", kind.Field[strings.LastIndex(kind.Field, ".")+1:], kind.Value)
	}
	return strings.TrimPrefix(err.Error(), "json: ")
}

func malformed(format string, args ...any) *Error {
	return KindMalformed.New(fmt.Errorf(format, args...).Error())
}

// nothing is the answer when all was done and there is nothing to tell.
type nothing struct{}

func writeJSON(w http.ResponseWriter, value any) {
	if _, ok := value.(nothing); ok {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	body, err := json.Marshal(value)
	if err != nil {
		WriteProblem(w, KindFailed, errors.New("the answer cannot be written as JSON"))
		return
	}
	write(w, http.StatusOK, "application/json", body)
}

// write sends a whole answer.
func write(w http.ResponseWriter, code int, kind string, body []byte) {
	body = append(body, '\n')
	header := w.Header()
	header.Set("Content-Type", kind)
	header.Set("Content-Length", strconv.Itoa(len(body)))
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	// A client that has left is its own affair: there is nobody to tell.
	_ = sendParts(w, http.NewResponseController(w), body)
}

// sendParts writes in parts, so that a slow client is told from one that is gone.
func sendParts(w io.Writer, control *http.ResponseController, body []byte) error {
	for len(body) > 0 {
		if err := control.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
			return fmt.Errorf("limit the time of a write: %w", err)
		}
		n, err := w.Write(body[:min(len(body), part)])
		if err != nil {
			return err
		}
		body = body[n:]
	}
	return nil
}
