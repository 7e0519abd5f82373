package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"syscall"
	"time"

	"fairlead/internal/model"
)

// ErrNotRunning means that no daemon answers on the socket.
var ErrNotRunning = errors.New("no daemon answers")

// ErrForbidden means that the user may not open the socket.
var ErrForbidden = errors.New("permission denied")

// dialTime limits how long a connection to the socket may take.
const dialTime = 2 * time.Second

// Client gives orders to a daemon.
type Client struct {
	path string
	http *http.Client
}

// NewClient returns a client for the socket of that path.
func NewClient(path string) *Client {
	dialer := net.Dialer{Timeout: dialTime}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return dialer.DialContext(ctx, "unix", path) }
	return &Client{path: path, http: &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// Status asks for the daemon's status.
func (c *Client) Status(ctx context.Context) (model.Status, error) {
	var s model.Status
	err := c.call(ctx, http.MethodGet, "/api/v1/status", nil, &s)
	return s, err
}

// Reload makes the daemon read its configuration again. When it was refused,
// the error is an *Error with the findings, and nothing changed.
func (c *Client) Reload(ctx context.Context) (Reloaded, error) {
	var r Reloaded
	err := c.call(ctx, http.MethodPost, "/api/v1/reload", nil, &r)
	return r, err
}

// Order gives an operator's order. It returns when the order is carried out or
// refused; a switch may have to wait for hooks.
func (c *Client) Order(ctx context.Context, order Order) (Ordered, error) {
	var done Ordered
	err := c.call(ctx, http.MethodPost, "/api/v1/order", order, &done)
	return done, err
}

// Switch makes a director use a server, and returns the record of the switch.
func (c *Client) Switch(ctx context.Context, ref model.ServerRef) (model.Switch, error) {
	done, err := c.Order(ctx, Order{Verb: model.VerbSwitch, Director: ref.Director, Server: ref.Server})
	if err != nil || done.Switch == nil {
		return model.Switch{}, err
	}
	return *done.Switch, nil
}

// Connections lists TCP connections that the connection table knows.
func (c *Client) Connections(ctx context.Context, query ConnectionQuery) (Connections, error) {
	var found Connections
	err := c.call(ctx, http.MethodGet, "/api/v1/connections?"+query.values().Encode(), nil, &found)
	return found, err
}

// Examine lets the doctor look at the whole set-up now.
func (c *Client) Examine(ctx context.Context) (model.Diagnosis, error) {
	var d model.Diagnosis
	err := c.call(ctx, http.MethodPost, "/api/v1/doctor", nil, &d)
	return d, err
}

// History is what the last probes of a server found, the oldest first.
func (c *Client) History(ctx context.Context, ref model.ServerRef) ([]Probed, error) {
	var probed []Probed
	address := "/api/v1/servers/" + url.PathEscape(ref.Director) + "/" + url.PathEscape(ref.Server) + "/history"
	err := c.call(ctx, http.MethodGet, address, nil, &probed)
	return probed, err
}

// Configuration is the configuration as its files hold it.
func (c *Client) Configuration(ctx context.Context) (Configuration, error) {
	var found Configuration
	err := c.call(ctx, http.MethodGet, "/api/v1/config", nil, &found)
	return found, err
}

// Restart brings one of the daemon's services up anew.
func (c *Client) Restart(ctx context.Context, service string) error {
	body, err := c.open(ctx, http.MethodPost, "/api/v1/services/"+url.PathEscape(service)+"/restart", nil)
	if err != nil {
		return err
	}
	return body.Close()
}

// Events hands the entries of the journal to emit, the oldest first. With follow
// it goes on with those to come until ctx ends, which is not an error, or emit
// returns an error, which Events then returns.
func (c *Client) Events(ctx context.Context, since Since, follow bool, emit func(model.Event) error) error {
	query := url.Values{"since": {since.String()}}
	if follow {
		query.Set("follow", "1")
	}
	body, err := c.open(ctx, http.MethodGet, "/api/v1/events?"+query.Encode(), nil)
	if err != nil {
		return whenDone(ctx, err)
	}
	defer body.Close()
	var atEnd error
	if follow {
		atEnd = errors.New("the daemon ended the stream of events")
	}
	return readLines(ctx, body, emit, atEnd)
}

// Capture hands every captured packet to emit until ctx ends, which is not an
// error, or emit returns an error, which Capture then returns.
func (c *Client) Capture(ctx context.Context, snaplen int, emit func(Packet) error) error {
	body, err := c.open(ctx, http.MethodPost, "/api/v1/capture", CaptureOrder{Snaplen: snaplen})
	if err != nil {
		return whenDone(ctx, err)
	}
	defer body.Close()
	return readLines(ctx, body, emit, errors.New("the daemon ended the capture"))
}

// readLines hands the lines of a stream to emit until ctx ends. atEnd is the
// error that the end of the stream means.
func readLines[T any](ctx context.Context, body io.Reader, emit func(T) error, atEnd error) error {
	lines := json.NewDecoder(body)
	for {
		var text json.RawMessage
		err := lines.Decode(&text)
		if errors.Is(err, io.EOF) {
			return whenDone(ctx, atEnd)
		}
		if err == nil && bytes.HasPrefix(text, []byte(`{"stream_ended"`)) {
			var last streamEnd
			if err = json.Unmarshal(text, &last); err == nil {
				return &Error{Message: last.Message}
			}
		}
		var value T
		if err == nil {
			err = json.Unmarshal(text, &value)
		}
		if err != nil {
			return whenDone(ctx, fmt.Errorf("read the daemon's stream: %w", err))
		}
		if err := emit(value); err != nil {
			return err
		}
	}
}

// whenDone drops the error that the end of ctx has caused.
func whenDone(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (c *Client) call(ctx context.Context, method, address string, order, into any) error {
	body, err := c.open(ctx, method, address, order)
	if err != nil {
		return err
	}
	defer body.Close()
	if err := json.NewDecoder(body).Decode(into); err != nil {
		return fmt.Errorf("read the daemon's answer: %w", err)
	}
	return nil
}

// open sends a request and returns the body of a good answer.
func (c *Client) open(ctx context.Context, method, address string, order any) (io.ReadCloser, error) {
	var content bytes.Buffer
	if order != nil {
		if err := json.NewEncoder(&content).Encode(order); err != nil {
			return nil, fmt.Errorf("write the request as JSON: %w", err)
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://fairlead"+address, &content)
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, c.explain(err)
	}
	if response.StatusCode/100 == 2 {
		return response.Body, nil
	}
	defer response.Body.Close()
	var told Problem
	if err := json.NewDecoder(response.Body).Decode(&told); err != nil || told.Detail == "" {
		return nil, &Error{Message: "the daemon answered " + response.Status, Status: response.StatusCode}
	}
	return nil, &Error{Message: told.Detail, Diagnostics: told.Diagnostics, Type: told.Type, Title: told.Title, Status: told.Status}
}

// explain says in a user's words why the socket could not be used.
func (c *Client) explain(err error) error {
	switch {
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w on %s; start it with `fairlead run`, or name its socket with --socket", ErrNotRunning, c.path)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("open the control socket %s: %w; run this as root", c.path, ErrForbidden)
	}
	return fmt.Errorf("ask the daemon on %s: %w", c.path, err)
}
