package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"fairlead/internal/model"
)

const (
	mostRedirects = 3
	mostAnswer    = 64 << 10 // bytes of an answer that are read, and not looked at
)

// webhooks posts messages. Each one has a connection of its own: they are rare.
type webhooks struct{ client *http.Client }

// newWebhooks trusts the machine's certificates, or others.
func newWebhooks(roots *x509.CertPool) webhooks {
	return webhooks{&http.Client{
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{}).DialContext,
			TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout: 10 * time.Second,
			ForceAttemptHTTP2:   true,
			DisableKeepAlives:   true,
		},
		CheckRedirect: sameHost,
	}}
}

// sameHost follows only what sends the same message to the same host by the same
// scheme: the token and the event are for nobody else.
func sameHost(next *http.Request, via []*http.Request) error {
	first := via[0]
	if len(via) > mostRedirects || next.Method != first.Method || next.URL.Host != first.URL.Host || next.URL.Scheme != first.URL.Scheme {
		return http.ErrUseLastResponse
	}
	return nil
}

func (w webhooks) post(ctx context.Context, t model.Target, from sender, e model.Event) error {
	ctx, cancel := context.WithTimeout(ctx, t.Timeout)
	defer cancel()
	m := newMessage(from, e)
	body, err := m.json()
	if err != nil {
		return fmt.Errorf("write the message: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, t.To, bytes.NewReader(body))
	if err != nil {
		return errors.New("the webhook's URL is none") // the error has it
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "fairlead")
	r.Header.Set("Idempotency-Key", m.ID)
	r.Header.Set("Fairlead-Event-ID", m.ID)
	if t.SecretFile != "" {
		token, err := readSecret(t.SecretFile)
		if err != nil {
			return err
		}
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := w.client.Do(r)
	if err != nil {
		return unaddressed(err, t.Timeout)
	}
	defer answer.Body.Close()
	io.Copy(io.Discard, io.LimitReader(answer.Body, mostAnswer)) // the status says all
	return verdict(answer.StatusCode)
}

// unaddressed leaves the URL out of an error.
func unaddressed(err error, timeout time.Duration) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no answer within %v", timeout)
	}
	var whole *url.Error
	if errors.As(err, &whole) {
		return whole.Err
	}
	return err
}

// verdict judges an answer by its status.
func verdict(code int) error {
	words := fmt.Sprintf("%d %s", code, http.StatusText(code))
	switch {
	case code >= 200 && code < 300:
		return nil
	case code >= 300 && code < 400:
		return fmt.Errorf("it answered %s: redirects to another place are not followed; write the final URL into the configuration", words)
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return fmt.Errorf("it answered %s: see whether the token is right", words)
	case code == http.StatusBadRequest || code == http.StatusRequestEntityTooLarge || code == http.StatusUnprocessableEntity:
		return fmt.Errorf("it answered %s: %w", words, errRefused)
	}
	return fmt.Errorf("it answered %s", words)
}
