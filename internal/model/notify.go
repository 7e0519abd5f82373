package model

import (
	"net/netip"
	"time"
)

// Web says where the web pages and the API are served.
type Web struct {
	Off    bool
	Listen netip.AddrPort
	TLS    WebTLS
	Cert   string // files of WebTLSFiles
	Key    string
}

// WebTLS says how connections to the web pages are protected.
type WebTLS uint8

const (
	WebTLSOff   WebTLS = iota // only on a loopback address
	WebTLSOwn                 // a certificate that the daemon made itself
	WebTLSFiles               // a certificate from a file
)

var webTLSes = table{"off", "own", "files"}

func (t WebTLS) String() string               { return webTLSes.name("tls", uint8(t)) }
func (t WebTLS) MarshalText() ([]byte, error) { return []byte(t.String()), nil }
func (t *WebTLS) UnmarshalText(b []byte) error {
	v, err := webTLSes.value("tls", string(b))
	*t = WebTLS(v)
	return err
}

// DefaultWeb is where the pages are when the configuration does not say.
func DefaultWeb() Web {
	return Web{Listen: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 8480)}
}

// TargetKind is a way to notify somebody.
type TargetKind uint8

const (
	TargetWebhook TargetKind = iota
	TargetEmail
	TargetCommand
)

var targetKinds = table{"webhook", "email", "command"}

func (k TargetKind) String() string               { return targetKinds.name("target", uint8(k)) }
func (k TargetKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }
func (k *TargetKind) UnmarshalText(b []byte) error {
	v, err := targetKinds.value("target", string(b))
	*k = TargetKind(v)
	return err
}

// Target is who is notified of events, and how.
type Target struct {
	Kind    TargetKind
	To      string        // the URL (a secret: it may hold a token), the address, or the command's absolute path
	Events  []EventKind   // of which it is notified
	Timeout time.Duration // of one try

	// Of a webhook: a file with a token, sent as a bearer token. Of an e-mail:
	// a file with the password. "": none.
	SecretFile string

	From   string // of an e-mail
	Server string // of an e-mail: host:port of the mail server
	User   string // of an e-mail: "" without authentication
	TLS    MailTLS
}

// MailTLS is how a mail server is spoken to.
type MailTLS uint8

const (
	MailStartTLS MailTLS = iota // it must offer STARTTLS; the default
	MailTLSOn                   // TLS from the first byte
	MailTLSOff                  // only without a password
)

var mailTLSes = table{"starttls", "on", "off"}

func (t MailTLS) String() string               { return mailTLSes.name("tls", uint8(t)) }
func (t MailTLS) MarshalText() ([]byte, error) { return []byte(t.String()), nil }
func (t *MailTLS) UnmarshalText(b []byte) error {
	v, err := mailTLSes.value("tls", string(b))
	*t = MailTLS(v)
	return err
}
