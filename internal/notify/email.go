package notify

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/wneessen/go-mail"

	"fairlead/internal/model"
	"fairlead/internal/program"
)

// mailer sends e-mails.
type mailer struct{ roots *x509.CertPool } // nil: the machine's

func newMailer() mailer { return mailer{} }

// send sends events as one e-mail.
func (m mailer) send(ctx context.Context, t model.Target, from sender, batch []model.Event) error {
	ctx, cancel := context.WithTimeout(ctx, t.Timeout)
	defer cancel()
	letter, err := compose(t, from, batch)
	if err != nil {
		return err
	}
	// The library does not close the connection when the greeting fails, nor at the
	// end of ctx.
	client, err := m.client(t, func(c net.Conn) { context.AfterFunc(ctx, func() { c.Close() }) })
	if err != nil {
		return err
	}
	session, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return late(ctx, fmt.Errorf("speak to the mail server %s: %w", t.Server, err), t)
	}
	if err := client.SendWithSMTPClient(session, letter); err != nil {
		return late(ctx, fmt.Errorf("hand the e-mail to %s: %w", t.Server, err), t)
	}
	client.CloseWithSMTPClient(session) // it is delivered, whatever is said now
	return nil
}

// late says when the time was the cause of an error.
func late(ctx context.Context, err error, t model.Target) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("the mail server %s did not finish within %v", t.Server, t.Timeout)
	}
	return err
}

// client is a client for one e-mail. dialled is told the connection.
func (m mailer) client(t model.Target, dialled func(net.Conn)) (*mail.Client, error) {
	host, port, err := net.SplitHostPort(t.Server)
	if err != nil {
		return nil, fmt.Errorf("read the mail server's address: %w", err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return nil, fmt.Errorf("read the mail server's port: %w", err)
	}
	secure := &tls.Config{ServerName: host, RootCAs: m.roots, MinVersion: tls.VersionTLS12}
	// The library's own time is longer, so that it is the context that ends.
	options := []mail.Option{
		mail.WithPort(number), mail.WithTimeout(t.Timeout + time.Second), mail.WithTLSConfig(secure),
		mail.WithTLSPolicy(mail.TLSMandatory),
		mail.WithDialContextFunc(func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			dialled(c)
			if t.TLS == model.MailTLSOn {
				return tls.Client(c, secure), nil
			}
			return c, nil
		}),
	}
	if t.TLS != model.MailStartTLS {
		options = append(options, mail.WithTLSPolicy(mail.NoTLS)) // or from the first byte: see above
	}
	if t.User == "" {
		return mail.NewClient(host, options...)
	}
	if t.TLS == model.MailTLSOff {
		return nil, errors.New("a password is not sent without TLS: write tls starttls or tls on, or leave the user out")
	}
	password, err := readSecret(t.SecretFile)
	if err != nil {
		return nil, err
	}
	options = append(options, mail.WithUsername(t.User), mail.WithPassword(password),
		mail.WithOpportunisticSMTPAuth(mail.SMTPAuthSCRAMSHA256PLUS, mail.SMTPAuthSCRAMSHA256, mail.SMTPAuthPlain, mail.SMTPAuthLogin))
	return mail.NewClient(host, options...)
}

// compose writes an e-mail. What comes from elsewhere is made one line where it
// stands in a header.
func compose(t model.Target, from sender, batch []model.Event) (*mail.Msg, error) {
	m := mail.NewMsg(mail.WithNoDefaultUserAgent())
	if err := m.From(t.From); err != nil {
		return nil, fmt.Errorf("read the sender's address: %w", err)
	}
	if err := m.To(t.To); err != nil {
		return nil, fmt.Errorf("read the receiver's address: %w", err)
	}
	m.Subject(subject(from, batch))
	m.SetDateWithValue(batch[0].At)
	m.SetMessageIDWithValue(id(from, batch[0]) + "@" + domain(t.From))
	m.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834, section 5
	m.SetBodyString(mail.TypeTextPlain, text(from, batch))
	return m, nil
}

func domain(address string) string {
	_, d, _ := strings.Cut(address, "@")
	return program.Plain(strings.Trim(d, "> "))
}

// subject is of the most important event.
func subject(from sender, batch []model.Event) string {
	most := batch[0]
	for _, e := range batch {
		if importance(e.Kind) > importance(most.Kind) {
			most = e
		}
	}
	s := "[fairlead] " + summary(from, most)
	if len(batch) > 1 {
		s += fmt.Sprintf(" (and %d more)", len(batch)-1)
	}
	return s
}

// text is the body of an e-mail.
func text(from sender, batch []model.Event) string {
	var b strings.Builder
	for _, e := range batch {
		fmt.Fprintf(&b, "%s  %s\n", e.At.Format("2006-01-02 15:04:05.000 -0700"), program.Plain(e.Text))
		for _, line := range [...][2]string{
			{"event", e.Kind.String()}, {"director", e.Director}, {"server", e.Server}, {"error", e.Err}, {"by", e.By},
		} {
			if line[1] != "" {
				fmt.Fprintf(&b, "    %-9s %s\n", line[0], program.Plain(line[1]))
			}
		}
		if e.Took > 0 {
			fmt.Fprintf(&b, "    %-9s %v\n", "took", e.Took.Round(time.Millisecond))
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "From Fairlead %s on %s. What holds now: fairlead status. All events: fairlead events\n", from.version, from.host)
	return b.String()
}
