package notify

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/mail"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"fairlead/internal/model"
)

// office is a mail server on the loopback for one session at a time.
type office struct {
	addr  string
	cert  tls.Certificate
	roots *x509.CertPool
	said  chan string // what a session said, when it is over

	tls      model.MailTLS // what it offers
	echo     bool          // it repeats what it is told, and refuses it
	silent   string        // it does not answer to this word
	rudeQuit bool          // it closes instead of answering QUIT
}

func newOffice(t *testing.T, o office) *office {
	t.Helper()
	borrowed := newReceiver(t, func(http.ResponseWriter, *http.Request) {})
	o.cert, o.roots = borrowed.TLS.Certificates[0], x509.NewCertPool()
	o.roots.AddCert(borrowed.Certificate())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	o.addr, o.said = l.Addr().String(), make(chan string, 10)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.SetDeadline(time.Now().Add(10 * time.Second))
			o.said <- o.session(c)
			c.Close()
		}
	}()
	return &o
}

func (o *office) session(c net.Conn) string {
	config := &tls.Config{Certificates: []tls.Certificate{o.cert}}
	if o.tls == model.MailTLSOn {
		c = tls.Server(c, config)
	}
	var said strings.Builder
	r := bufio.NewReader(c)
	fmt.Fprint(c, "220 office ESMTP\r\n")
	secure := o.tls == model.MailTLSOn
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return said.String()
		}
		said.WriteString(line)
		word, _, _ := strings.Cut(strings.ToUpper(strings.TrimSpace(line)), " ")
		if word == o.silent {
			if _, err := r.ReadString('\n'); errors.Is(err, os.ErrDeadlineExceeded) {
				return said.String() + "(still there)"
			}
			return said.String() + "(gone)"
		}
		switch word {
		case "EHLO":
			offers := "250-AUTH PLAIN LOGIN\r\n"
			if o.tls == model.MailStartTLS && !secure {
				offers = "250-STARTTLS\r\n"
			}
			fmt.Fprint(c, "250-office\r\n"+offers+"250 8BITMIME\r\n")
		case "STARTTLS":
			fmt.Fprint(c, "220 go on\r\n")
			c = tls.Server(c, config)
			r, secure = bufio.NewReader(c), true
		case "AUTH":
			if o.echo {
				fmt.Fprintf(c, "535 5.7.8 not with %s\r\n", strings.TrimSpace(line))
				continue
			}
			fmt.Fprint(c, "235 welcome\r\n")
		case "DATA":
			fmt.Fprint(c, "354 go on\r\n")
			for line != ".\r\n" && err == nil {
				line, err = r.ReadString('\n')
				said.WriteString(line)
			}
			fmt.Fprint(c, "250 taken\r\n")
		case "QUIT":
			if !o.rudeQuit {
				fmt.Fprint(c, "221 bye\r\n")
			}
			return said.String()
		default:
			fmt.Fprint(c, "250 fine\r\n")
		}
	}
}

func (o *office) target() model.Target {
	return model.Target{Kind: model.TargetEmail, To: "ops@example.com", From: "fairlead@example.com", Server: o.addr, TLS: o.tls, Timeout: 5 * time.Second}
}

func (o *office) mail(t *testing.T, target model.Target, batch ...model.Event) error {
	t.Helper()
	return conceal(mailer{o.roots}.send(t.Context(), target, here, batch), target)
}

// letter is the e-mail in what a session said.
func (o *office) letter(t *testing.T) (*mail.Message, string) {
	t.Helper()
	said := <-o.said
	_, data, _ := strings.Cut(said, "DATA\r\n")
	m, err := mail.ReadMessage(strings.NewReader(data))
	if err != nil {
		t.Fatalf("%v in\n%s", err, said)
	}
	return m, said
}

func TestEmail(t *testing.T) {
	for _, way := range []model.MailTLS{model.MailStartTLS, model.MailTLSOn, model.MailTLSOff} {
		t.Run(way.String(), func(t *testing.T) {
			o := newOffice(t, office{tls: way, rudeQuit: true})
			target := o.target()
			if way != model.MailTLSOff {
				target.User, target.SecretFile = "fairlead", secretFile(t, "s3cr3t-word")
			}
			done := model.Event{Seq: 43, At: happening.At, Kind: model.EventDone, Text: "all old connections ended"}
			if err := o.mail(t, target, done, happening, done); err != nil {
				t.Fatal(err)
			}
			m, said := o.letter(t)
			for header, want := range map[string]string{"To": "<ops@example.com>", "From": "<fairlead@example.com>", "Auto-Submitted": "auto-generated",
				"Message-Id": "<director-1-43-1700000000123@example.com>", "Subject": "[fairlead] director-1: nfs: switched to nfs-02 (and 2 more)"} {
				if got := m.Header.Get(header); got != want {
					t.Errorf("%s is %q, want %q", header, got, want)
				}
			}
			if strings.Count(said, "DATA\r\n") != 1 || strings.Count(said, "all old connections ended") != 2 || !strings.Contains(said, "connection refused") {
				t.Errorf("said\n%s", said)
			}
			auth := base64.StdEncoding.EncodeToString([]byte("\x00fairlead\x00s3cr3t-word"))
			if has := strings.Contains(said, "AUTH PLAIN "+auth); has != (way != model.MailTLSOff) {
				t.Errorf("authentication: %t, in\n%s", has, said)
			}
		})
	}
}

// TestNoPasswordInTheClear: without TLS nothing secret is said, and no message.
func TestNoPasswordInTheClear(t *testing.T) {
	o := newOffice(t, office{tls: model.MailTLSOff})
	target := o.target()
	target.User, target.SecretFile = "fairlead", secretFile(t, "s3cr3t-word")
	if err := o.mail(t, target, happening); err == nil || !strings.Contains(err.Error(), "a password is not sent without TLS") {
		t.Errorf("tls off: %v", err)
	}
	target.TLS = model.MailStartTLS
	if err := o.mail(t, target, happening); err == nil || !strings.Contains(err.Error(), "STARTTLS") {
		t.Errorf("a server that does not offer it: %v", err)
	}
	if said := <-o.said; strings.Contains(said, "AUTH") || strings.Contains(said, "MAIL") {
		t.Errorf("said %q", said)
	}
	for _, way := range []model.MailTLS{model.MailStartTLS, model.MailTLSOn} {
		o := newOffice(t, office{tls: way})
		o.roots = nil // the machine's: its certificate is unknown
		if err := o.mail(t, o.target(), happening); err == nil || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%s, an unknown certificate: %v", way, err)
		}
	}
}

// TestHeadersCannotBeInjected by what events or the configuration say.
func TestHeadersCannotBeInjected(t *testing.T) {
	const evil = "x\r\nBcc: thief@example.com\r\n\r\nbody\r\n.\r\nRSET\r\n"
	o := newOffice(t, office{tls: model.MailTLSOff})
	e := happening
	e.Text, e.Director, e.Server, e.Err, e.By = evil, evil, evil, evil, evil
	if err := o.mail(t, o.target(), e); err != nil {
		t.Fatal(err)
	}
	m, said := o.letter(t)
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if m.Header.Get("Bcc") != "" || err != nil || !strings.HasPrefix(subject, "[fairlead] director-1: x  Bcc: thief") || strings.Contains(said, "\nRSET") && strings.Index(said, "\nRSET") < strings.Index(said, "DATA") {
		t.Errorf("%q, %v in\n%s", subject, err, said)
	}
	if lines := strings.Split(said, "\r\n"); slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "Bcc:") }) {
		t.Errorf("a line of its own in\n%s", said)
	}
	for _, spoil := range []func(*model.Target){func(t *model.Target) { t.To += evil }, func(t *model.Target) { t.From += evil }} {
		target := o.target()
		spoil(&target)
		if err := o.mail(t, target, happening); err == nil {
			t.Errorf("%q was taken", target)
		}
	}
}

func TestEmailFailures(t *testing.T) {
	o := newOffice(t, office{tls: model.MailTLSOn, echo: true})
	target := o.target()
	target.User, target.SecretFile = "fairlead", secretFile(t, "s3cr3t-word")
	auth := base64.StdEncoding.EncodeToString([]byte("\x00fairlead\x00s3cr3t-word"))
	if err := o.mail(t, target, happening); err == nil || strings.Contains(err.Error(), auth) || !strings.Contains(err.Error(), "535") {
		t.Errorf("a server that repeats the password: %v", err)
	}
	for _, word := range []string{"EHLO", "DATA"} {
		o := newOffice(t, office{tls: model.MailTLSOff, silent: word})
		target := o.target()
		target.Timeout = 200 * time.Millisecond
		if err := o.mail(t, target, happening); err == nil || !strings.Contains(err.Error(), "did not finish within 200ms") {
			t.Errorf("silent after %s: %v", word, err)
		}
		if said := <-o.said; !strings.HasSuffix(said, "(gone)") {
			t.Errorf("the connection stayed open: %q", said)
		}
	}
	target.Server = "127.0.0.1:1"
	if err := o.mail(t, target, happening); err == nil || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("nobody there: %v", err)
	}
}
